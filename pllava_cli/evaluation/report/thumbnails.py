"""Frames as small pictures within a page."""

import base64
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from pllava_cli.evaluation.items import Said
from pllava_cli.evaluation.report.examples import evenly

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Frames = Callable[[Said, int], Sequence[NDArray[np.uint8]]]
    """At most so many of the frames that were seen for an answer, uint8 RGB `[H, W, 3]` each.

    Raises a PllavaError where the clip cannot be decoded any more."""

HEIGHT_PX, MOST_WIDTH_PX = 112, 300
"""Of a picture: enough to tell what happens; a panorama is made lower."""
QUALITY = 72
"""Of the JPEG, of 100: about 5 kB a picture."""
PICTURES = 6
"""Of one answer."""
TIMEOUT_S = 20.0
"""Seconds without progress before a clip is given up: a report does not wait as long as a run does."""


def seen_frames(said: Said, most: int) -> "Sequence[NDArray[np.uint8]]":
    """Decode the clip of an answer again: at most so many of the frames that were seen.

    Raises:
        PllavaError: It cannot be decoded any more.
    """
    from pllava_cli.video.reader import sample_frames

    item = said.item
    count = len(said.timestamps_s) or most
    frames, _, _ = sample_frames(item.clip, count, item.start_s, item.end_s, timeout_s=TIMEOUT_S)
    return [frames[number] for number in evenly(range(count), most)]


def jpeg_url(frame: "NDArray[np.uint8]") -> str:
    """Return a frame, uint8 RGB `[H, W, 3]`, as a small JPEG in a `data:` address."""
    import cv2

    height, width = frame.shape[:2]
    scale = min(HEIGHT_PX / height, MOST_WIDTH_PX / width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small: Any = cv2.resize(frame, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    _, encoded = cv2.imencode(
        ".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
    )
    return "data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode("ascii")
