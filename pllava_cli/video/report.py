"""What is known of a clip: from its header before decoding, and after its frames were read.

All of it is plain data without OpenCV, so that it crosses from the decode worker as JSON.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pllava_cli.phrases import counted
from pllava_cli.video.sampling import Choice, Hidden, Selection, is_constant_rate

MIN_SHARE_OF_DURATION = 0.9
"""Where a count is only estimated from the duration, less than this share of it is worth a warning."""

Method = Literal["splice", "scan", "pyav", "images"]


@dataclass(frozen=True)
class ClipHeader:
    """What the container says before a picture is decoded; any of it may be wrong."""

    codec: str
    """FFmpeg's name of the codec, for example `h264`."""
    width_px: int
    """Width as shown, after rotation."""
    height_px: int
    """Height as shown, after rotation."""
    rotation_deg: int
    """Clockwise turn that makes the stored picture upright: 0, 90, 180 or 270."""
    fps: float
    """Nominal frame rate; 0 where there is none."""
    frames_expected: int | None
    """Pictures to expect: counted or estimated from the duration; None where that is nonsense."""
    lists_pictures: bool
    """True where `frames_expected` counts the coded pictures that the container lists (mp4, QuickTime)."""
    hidden: Hidden | None
    """Which picture an edit list hides, where it hides exactly one."""


@dataclass(frozen=True)
class Timeline:
    """When the pictures of a clip are shown."""

    times_s: NDArray[np.float64]
    """Float64 `[m]`, ascending: the shown time of every picture, from the first one's."""
    complete: bool
    """False where only the pictures up to the end of a segment were looked at."""
    counted: bool = False
    """True where the container has no usable times, so that they are index times step."""

    @property
    def count(self) -> int:
        """How many pictures."""
        return len(self.times_s)

    def rate(self, nominal_fps: float) -> tuple[float, bool]:
        """The frame rate, and whether it is constant: the nominal one where the pictures keep to it."""
        if self.count < 2 or is_constant_rate(self.times_s, nominal_fps):
            return nominal_fps, True
        span_s = float(self.times_s[-1])
        average_fps = (self.count - 1) / span_s if span_s > 0 else 0.0
        return average_fps, is_constant_rate(self.times_s, average_fps)


@dataclass(frozen=True)
class DecodeReport:
    """How the frames of a clip were found, and what the clip turned out to be."""

    indices: list[int]
    """Index of each frame as the reference counts, ascending; repeated where the clip has too few.

    It counts from the first picture, also where an edit list hides exactly that one (`sampling.choose`).
    """
    timestamps_s: list[float]
    """Shown time of each frame in seconds from the clip's first picture."""
    duration_s: float
    """From the first picture to the end of the last."""
    fps: float
    """The nominal frame rate, or the average one where the rate varies."""
    width_px: int
    """Width of the frames, upright."""
    height_px: int
    """Height of the frames, upright."""
    rotation_deg: int
    """Clockwise turn that was applied to the stored pictures: 0, 90, 180 or 270."""
    codec: str
    """FFmpeg's name of the codec."""
    frames_header: int | None
    """Pictures that the container declares or implies; None where that is nonsense."""
    frames_decoded: int | None
    """Pictures that the clip shows; None where only part of the clip was looked at."""
    warnings: tuple[str, ...]
    """What is odd about the clip, one line each."""
    method: Method
    """How the frames were read."""


def make_report(
    header: ClipHeader, selection: Selection, choice: Choice, timeline: Timeline, method: Method
) -> DecodeReport:
    """Put together what was asked, promised and found.

    Args:
        header: What the container says.
        selection: What was asked for.
        choice: The frames that were read.
        timeline: The clip's pictures.
        method: How the frames were read.
    """
    fps, _ = timeline.rate(header.fps)
    return DecodeReport(
        indices=choice.indices,
        timestamps_s=[float(timeline.times_s[index]) for index in choice.shown],
        duration_s=whole_duration_s(header, timeline),
        fps=fps,
        width_px=header.width_px,
        height_px=header.height_px,
        rotation_deg=header.rotation_deg,
        codec=header.codec,
        frames_header=header.frames_expected,
        frames_decoded=timeline.count if timeline.complete else None,
        warnings=tuple(_warnings(header, selection, choice, timeline, method)),
        method=method,
    )


def whole_duration_s(header: ClipHeader, timeline: Timeline) -> float:
    """Seconds to the end of the last picture, which is shown for as long as pictures usually are."""
    fps, constant = timeline.rate(header.fps)
    last_s = 1 / fps if fps > 0 else 0.0
    if not constant:
        last_s = float(np.median(np.diff(timeline.times_s)))
    known_s = float(timeline.times_s[-1]) + last_s
    if timeline.complete or not header.frames_expected or header.fps <= 0:
        return known_s
    return max(known_s, header.frames_expected / header.fps)


def _warnings(
    header: ClipHeader, selection: Selection, choice: Choice, timeline: Timeline, method: Method
) -> Iterator[str]:
    fps, constant = timeline.rate(header.fps)
    if method != "splice" and _falls_short(header, timeline):
        promised = counted(str(header.frames_expected), "frame")
        yield f"the header promises {promised}, {timeline.count} could be decoded"
    distinct = len(set(choice.shown))
    if distinct < selection.n:
        yield f"{selection.n} frames were asked for, {distinct} distinct; the others are repeats"
    if timeline.counted:
        yield f"the container has no usable times: counted at {fps:g} frames a second"
    elif not constant:
        yield f"the frame rate varies, {fps:.3g} frames a second on average"


def _falls_short(header: ClipHeader, timeline: Timeline) -> bool:
    """Tell whether pictures are missing. One listed but not shown is what an edit list ordinarily hides."""
    promised = header.frames_expected
    if promised is None or not timeline.complete:
        return False
    if header.lists_pictures:
        return timeline.count < promised - 1
    return (
        header.fps > 0 and whole_duration_s(header, timeline) < MIN_SHARE_OF_DURATION * promised / header.fps
    )
