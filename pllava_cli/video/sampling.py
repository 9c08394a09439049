"""Which frames to look at: index arithmetic, without any file.

The frame indices are part of what the published checkpoints were evaluated with, so the arithmetic of
the reference (its benchmark reader, which without a segment gives the same indices as its demo) is kept
to the last rounding. Only where that arithmetic has no meaning, at a variable frame rate, are the ends
of a segment found by the pictures' true times.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

CONSTANT_RATE_TOLERANCE = 0.5
"""How far, in frame durations, a picture may stand from index/fps at a constant frame rate: up to half
a frame `round(time * fps)` still names the right picture."""

Hidden = Literal["first", "last"]


@dataclass(frozen=True)
class Selection:
    """What to take from a clip."""

    n: int
    """How many frames, at least 1."""
    start_s: float | None = None
    """Start of the segment in seconds from the first picture; None: the first picture."""
    end_s: float | None = None
    """End of the segment in seconds; None: the last picture."""


def uniform_indices(count: int, n: int) -> list[int]:
    """Spread `n` frame indices over a clip of `count` frames: the middle of each of n equal parts."""
    return _spread(0, count - 1, n)


def bounded_indices(
    count: int, n: int, fps: float, start_s: float | None = None, end_s: float | None = None
) -> list[int]:
    """Spread `n` frame indices over the segment from `start_s` to `end_s` at a constant frame rate.

    Args:
        count: Frames in the clip, at least 1.
        n: Indices wanted; where the segment has fewer frames some come more than once.
        fps: Frames per second.
        start_s: Start of the segment in seconds; None is the first frame.
        end_s: End of the segment in seconds; None is the last frame.

    Returns:
        `n` ascending indices in [0, count). The frame at `end_s` counts as part of the segment.
    """
    last = count - 1
    first = 0 if start_s is None else _named(start_s * fps, 0, last)
    if end_s is not None:
        last = _named(end_s * fps, 0, last)
    return _spread(first, max(first, last), n)


def numbered_indices(
    count: int, n: int, fps: float, start_s: float | None = None, end_s: float | None = None
) -> list[int]:
    """Spread `n` numbers over pictures that are numbered from 1 to `count`, or over a segment of them.

    The reference's reader of frame folders: where a clip's last frame is `count - 1`, a folder's is
    `count`, and no number lies below 1 (magic-research/PLLaVA, tasks/eval/mvbench). Arguments as those of
    `bounded_indices`; a time t names the picture number `round(t * fps)`.
    """
    first = 1 if start_s is None else _named(start_s * fps, 1, count)
    last = count if end_s is None else _named(end_s * fps, 1, count)
    return _spread(first, max(first, last), n)


@dataclass(frozen=True)
class Choice:
    """Which frames a selection comes to in one clip. Both lists are ascending and `n` long."""

    indices: list[int]
    """Frame indices as the reference counts them."""
    shown: list[int]
    """The same frames counted from the first shown picture: equal to `indices` in nearly every clip."""


def choose(
    times_s: NDArray[np.float64], selection: Selection, fps: float, hidden: Hidden | None = None
) -> Choice:
    """Choose frames of a clip whose pictures' times are known.

    Args:
        times_s: Float64 `[m]`, ascending: the shown time of every picture, from the first one's.
        selection: How many frames, and of which segment.
        fps: The nominal frame rate.
        hidden: Which picture an edit list hides, where it hides exactly one beside the m shown.
    """
    # Kept verbatim: the reference's reader counts coded pictures, the hidden one too. Of the published
    # example clips cooking.mp4 has an edit list that hides its first picture, and the recorded indices
    # (4, 14, 24, ... of 160) name the pictures that are shown as 3, 13, 23, ... of 159.
    count = len(times_s)
    indices = _choose(times_s, count + (hidden is not None), selection, fps)
    before = 1 if hidden == "first" else 0
    return Choice(indices, [min(max(index - before, 0), count - 1) for index in indices])


def _choose(times_s: NDArray[np.float64], count: int, selection: Selection, fps: float) -> list[int]:
    n, start_s, end_s = selection.n, selection.start_s, selection.end_s
    if start_s is None and end_s is None:
        return uniform_indices(count, n)
    if is_constant_rate(times_s, fps, end_s):
        return bounded_indices(count, n, fps, start_s, end_s)
    first = 0 if start_s is None else _nearest(times_s, start_s)
    last = count - 1 if end_s is None else _nearest(times_s, end_s)
    return _spread(first, max(first, last), n)


def is_constant_rate(times_s: NDArray[np.float64], fps: float, until_s: float | None = None) -> bool:
    """Tell whether every picture (up to `until_s` seconds) stands at index/fps, to half a frame."""
    if fps <= 0:
        return False
    if until_s is not None:
        times_s = times_s[: int(np.searchsorted(times_s, until_s, side="right")) + 1]
    distance = np.abs(times_s * fps - np.arange(len(times_s)))
    return bool((distance < CONSTANT_RATE_TOLERANCE).all())


def _named(place: float, least: int, most: int) -> int:
    """Return the frame that a place between frames names, whatever lies outside brought within first."""
    # Kept verbatim: Python's round(), half to even, decides which frame a time names. It takes no infinity.
    return round(min(max(least, place), most))


def _spread(first: int, last: int, n: int) -> list[int]:
    step = (last - first) / n
    return [int(first + step / 2 + round(step * i)) for i in range(n)]


def _nearest(times_s: NDArray[np.float64], time_s: float) -> int:
    return int(np.argmin(np.abs(times_s - time_s)))
