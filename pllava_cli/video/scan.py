"""The simple exact way to read frames: every picture in order, counting.

Seeking by frame number returns wrong pictures in many ordinary files (variable rate, MPEG-TS, AVI), and
frame counts in headers lie, so nothing here seeks or trusts a count: a first pass looks for the frames
that the header makes likely and learns the true times; where these ask for other frames, a second pass
fetches them.
"""

from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pllava_cli.video.report import ClipHeader, Timeline
from pllava_cli.video.sampling import Choice, Selection, choose

Frames = NDArray[np.uint8]
Allocate = Callable[[tuple[int, ...]], Frames]

FAILED_GRABS_AT_END = 9
"""Damaged packets make single grabs fail in the middle of a clip; this many in a row mean its end."""
MAX_PASSES = 3
"""The first pass guesses, the second knows; a third only where a damaged file decodes unevenly."""


class NothingDecodedError(Exception):
    """The decoder opened the clip but no picture came out of it."""


class UnshowableError(Exception):
    """This decoder cannot show the clip rightly; another might."""

    def __init__(self, reason: str, needs_av: bool = False) -> None:
        """Keep the reason, and whether PyAV is known to help."""
        super().__init__(reason)
        self.reason = reason
        self.needs_av = needs_av


class Pictures(Protocol):
    """The pictures of one clip, one after the other in shown order."""

    @property
    def header(self) -> ClipHeader:
        """What the container says."""

    def rewind(self) -> None:
        """Go back to before the first picture."""

    def grab(self) -> bool:
        """Step to the next picture; False at the end and where data is damaged."""

    def time_s(self) -> float:
        """Shown time of the picture grabbed last, in seconds from any origin; NaN where unknown."""

    def retrieve(self, out: Frames | None = None) -> Frames:
        """Convert the picture grabbed last to upright RGB `[H, W, 3]`, into `out` if given."""


@dataclass(frozen=True)
class Scanned:
    """What a scan found."""

    frames: Frames
    """Uint8 RGB `[n, H, W, 3]`, upright."""
    choice: Choice
    """Which frames these are."""
    timeline: Timeline
    """The pictures that were passed."""


def scan(
    pictures: Pictures, selection: Selection, allocate: Allocate, progress: Callable[[], None]
) -> Scanned:
    """Read the selected frames of a clip, exactly, whatever its header says.

    Args:
        pictures: The clip, before its first picture.
        selection: How many frames, and of which segment.
        allocate: Makes the array for the frames from its shape.
        progress: Called after every picture.

    Raises:
        NothingDecodedError: Not a single picture could be decoded.
    """
    header = pictures.header
    frames: Frames | None = None
    rows = _guess(header, selection)
    for attempt in range(MAX_PASSES):
        if attempt:
            pictures.rewind()
        walk = _Walk(pictures, rows, selection.end_s, progress)
        frames, complete = walk.run(frames, allocate)
        if not walk.times:
            raise NothingDecodedError
        timeline = shown_times(np.array(walk.times), header.fps, complete)
        choice = choose(timeline.times_s, selection, header.fps, header.hidden)
        if frames is not None and choice.shown == rows and walk.taken.issuperset(rows):
            _repeat_rows(frames, rows)
            return Scanned(frames, choice, timeline)
        rows = choice.shown
    raise NothingDecodedError


def passed(pictures: Pictures) -> Iterator[None]:
    """Step from picture to picture, to the clip's end."""
    failed = 0
    while failed < FAILED_GRABS_AT_END:
        if pictures.grab():
            failed = 0
            yield
        else:
            failed += 1


def shown_times(raw_s: NDArray[np.float64], fps: float, complete: bool) -> Timeline:
    """Take times from the first picture's; count them where the container's do not increase.

    Bare streams have no times, AVI has none for B-frames, and times start again where recordings were
    joined. The usual step between two pictures then gives the rate, or else the header's `fps`.
    """
    steps = np.diff(raw_s)
    if np.isfinite(raw_s).all() and (steps > 0).all():
        return Timeline(raw_s - raw_s[0], complete)
    forward = steps[steps > 0]
    step_s = 1 / fps if fps > 0 else 0.0
    if len(forward) > len(steps) / 2:
        step_s = float(np.median(forward))
    return Timeline(np.arange(len(raw_s), dtype=np.float64) * step_s, complete, counted=True)


class _Walk:
    """One pass over a clip that takes the frames at `indices`."""

    def __init__(
        self, pictures: Pictures, indices: list[int], until_s: float | None, progress: Callable[[], None]
    ) -> None:
        self.pictures = pictures
        self.rows = {index: row for row, index in reversed(list(enumerate(indices)))}
        self.n = len(indices)
        self.until_s = until_s
        self.progress = progress
        self.times = array("d")
        self.taken: set[int] = set()

    def run(self, frames: Frames | None, allocate: Allocate) -> tuple[Frames | None, bool]:
        """Return the frames (None: none was met) and whether the end of the clip was reached."""
        increasing = True
        for _ in passed(self.pictures):
            time_s = self.pictures.time_s()
            increasing = increasing and (not self.times or time_s > self.times[-1])
            frames = self._take(len(self.times), frames, allocate)
            self.times.append(time_s)
            self.progress()
            if self.until_s is not None and increasing and time_s - self.times[0] > self.until_s:
                return frames, False
        return frames, True

    def _take(self, index: int, frames: Frames | None, allocate: Allocate) -> Frames | None:
        row = self.rows.get(index)
        if row is None:
            return frames
        if frames is None:
            first = self.pictures.retrieve()
            frames = allocate((self.n, *first.shape))
            frames[row] = first
        else:
            self.pictures.retrieve(frames[row])
        self.taken.add(index)
        return frames


def _guess(header: ClipHeader, selection: Selection) -> list[int]:
    """Guess the frames from the header; where it is nonsense the first pass only counts."""
    if header.frames_expected is None or header.fps <= 0:
        return [0] * selection.n
    shown = header.frames_expected - (header.hidden is not None)
    return choose(np.arange(max(1, shown)) / header.fps, selection, header.fps, header.hidden).shown


def _repeat_rows(frames: Frames, indices: list[int]) -> None:
    """Fill the rows of repeated indices; a pass writes only the first of them."""
    for row in range(1, len(indices)):
        if indices[row] == indices[row - 1]:
            frames[row] = frames[row - 1]
