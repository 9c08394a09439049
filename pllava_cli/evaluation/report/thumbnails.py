"""Frames as small pictures within a page."""

import base64
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from pllava_cli.errors import ClipError
from pllava_cli.evaluation.items import Said
from pllava_cli.evaluation.report.examples import evenly
from pllava_cli.video.probe import shown_name

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Frames = Callable[[Said, int], Sequence[NDArray[np.uint8]]]
    """At most so many of the frames that were seen for an answer, uint8 RGB `[H, W, 3]` each.

    Raises a PllavaError where they cannot be had any more."""

HEIGHT_PX, MOST_WIDTH_PX = 112, 300
"""Of a picture: enough to tell what happens; a panorama is made lower."""
QUALITY = 72
"""Of the JPEG, of 100: about 5 kB a picture."""
PICTURES = 6
"""Of one answer."""
TIMEOUT_S = 20.0
"""Seconds without progress before a clip is given up: a report does not wait as long as a run does."""
SAME_S = 0.05
"""Times that differ by less are the same: the page shows tenths of a second."""


def seen_frames(said: Said, most: int) -> "Sequence[NDArray[np.uint8]]":
    """Decode the clip of an answer again: at most so many of the frames that were seen.

    Where nobody has written down which these were, frames are spread over the clip, or its part.

    Raises:
        PllavaError: It cannot be decoded any more, or other frames of it were seen than are found now.
    """
    from pllava_cli.video.reader import sample_frames

    item, seen_s = said.item, said.timestamps_s
    count = len(seen_s) or most
    frames, times_s, _ = sample_frames(item.clip, count, item.start_s, item.end_s, timeout_s=TIMEOUT_S)
    if any(abs(now_s - then_s) > SAME_S for now_s, then_s in zip(times_s, seen_s, strict=False)):
        raise ClipError(f"{shown_name(item.clip)}: other frames of it were seen", "look at the clip itself")
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
