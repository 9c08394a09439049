"""Where a clip cuts from one shot to the next, by PySceneDetect. Runs inside the decode worker.

PySceneDetect would open the file itself. Here its detector only sees small copies of the pictures that our
own decoders give. So a cut is a picture's number, and its time is the one by which frames are sampled.
"""

import math
from array import array
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scenedetect import FrameTimecode
from scenedetect.detectors import AdaptiveDetector

from pllava_cli.video.opening import Opening
from pllava_cli.video.report import Method, whole_duration_s
from pllava_cli.video.scan import Frames, NothingDecodedError, Pictures, passed, shown_times

Shots = list[tuple[float, float]]
"""Start and end of each, seconds from the clip's first picture."""

LONG_SIDE_PX = 256
"""What pictures are shrunk to, and the way it is done: PySceneDetect's own (`scene_manager`), for which its
thresholds were chosen."""
ANY_RATE_FPS = 25.0
"""Pictures are counted for the detector; no decision of its depends on their rate."""
INTO_LAST = 1 / 3
"""A shot ends this part of the way from its last picture to the next shot's first: that one is neither
sampled (the nearest picture counts as the end), nor cut out by tools that leave out what is at the end."""


class ShotFinder(Opening[Shots]):
    """Finds the shots of a clip.

    `read` returns them, or none where the clip is one shot and how long it is is not known.
    """

    def _walk(self, pictures: Pictures, method: Method) -> Shots:
        cuts, times = CutDetector(), array("d")
        picture: Frames | None = None
        for _ in passed(pictures):
            times.append(pictures.time_s())
            picture = pictures.retrieve(picture)
            try:
                cuts.see(picture)
            except MemoryError:
                raise
            except Exception as error:  # not ours, and shown what nobody has made it for
                raise self._error(f"PySceneDetect fails on it: {error}") from error
            self.progress()
        if not times:
            raise NothingDecodedError
        timeline = shown_times(np.array(times), pictures.header.fps, complete=True)
        duration_s = whole_duration_s(pictures.header, timeline)
        indices = cuts.indices
        if not 0 < duration_s < math.inf:
            if indices:
                raise self._error(
                    "when its pictures are shown is not known, so it cannot be cut", "rewrap it"
                )
            return []
        return between(indices, timeline.times_s, duration_s)


class CutDetector:
    """PySceneDetect's adaptive detector with its own settings: cuts, but no slow fades."""

    def __init__(self) -> None:
        # Untyped: what it takes and returns has another type in each version.
        self._detector: Any = AdaptiveDetector()
        self._found: list[int] = []
        self._count = 0

    def see(self, picture: Frames) -> None:
        """Look at the next picture, uint8 RGB `[H, W, 3]`."""
        place: Any = FrameTimecode(self._count, ANY_RATE_FPS)
        found = self._detector.process_frame(place, _small(picture))
        self._found += [each.frame_num for each in found]
        self._count += 1

    @property
    def indices(self) -> list[int]:
        """The first pictures of all shots but the first one, as far as they were seen, ascending.

        A shot has PySceneDetect's least number of pictures, 15. That bounds the shots before a cut; a
        shorter rest after the last one belongs to the shot before it.
        """
        latest = self._count - self._detector.min_scene_len
        return [each for each in self._found if each <= latest]


def between(cuts: Sequence[int], times_s: NDArray[np.float64], duration_s: float) -> Shots:
    """Return the shots between cuts.

    Args:
        cuts: The first pictures of all shots but the first one, ascending, none of them 0.
        times_s: Float64 `[m]`: when each picture is shown.
        duration_s: When the last one ends.
    """
    starts = [0.0] + [float(times_s[cut]) for cut in cuts]
    lasts = [float(times_s[cut - 1]) for cut in cuts]
    ends = [last + INTO_LAST * (start - last) for last, start in zip(lasts, starts[1:], strict=True)]
    shots = zip(starts, [*ends, duration_s], strict=True)
    return [(round(start, 6), round(end, 6)) for start, end in shots]


def _small(picture: Frames) -> Frames:
    """Return a picture in BGR, shrunk where it is large."""
    height, width, _ = picture.shape
    scale = LONG_SIDE_PX / max(height, width)
    small: Any = picture
    if scale < 1:
        size = max(1, round(width * scale)), max(1, round(height * scale))
        small = cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2BGR), np.uint8)
