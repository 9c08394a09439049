"""Whether an mp4 file's edit list hides one picture, and which.

Cutting programs and phones hide coded pictures from the player by an edit list. Where exactly one is
hidden the reference's way of counting matters: see `sampling.choose`.
"""

from pathlib import Path

import numpy as np

from pllava_cli.video.index import SpliceRefused
from pllava_cli.video.mp4 import read_mp4
from pllava_cli.video.probe import is_mp4
from pllava_cli.video.sampling import Hidden


def hidden_picture(clip: Path) -> Hidden | None:
    """Tell which picture is hidden; None where it is none, several, or the tables cannot be read."""
    if not is_mp4(clip):
        return None
    try:
        with clip.open("rb") as file:
            index = read_mp4(file, clip.stat().st_size)
    except (SpliceRefused, OSError):
        return None
    hidden = np.flatnonzero(~index.is_shown)
    if len(hidden) != 1:
        return None
    return "first" if index.pts[hidden[0]] < index.pts[index.shown[0]] else "last"
