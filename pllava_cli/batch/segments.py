"""A clip cut into segments: of one length (`--every 10s`), or at its shots (`--shots`).

A short last piece would be described from frames that hardly differ, so it is joined to the segment
before it.
"""

import math
from collections.abc import Sequence

from pllava_cli import inputs
from pllava_cli.errors import ClipError, UsageError
from pllava_cli.records import Segment

MIN_LENGTH_S = 0.1
MAX_SEGMENTS = 100_000
"""A day in seconds is 86,400; a broken header may claim a thousand years."""
SHORT_PART = 1 / 5
"""A last piece shorter than this part of the length is joined to the segment before it."""


def parse_length(text: str) -> float:
    """Read a length of time such as `10s`, `1m`, `1.5h` or `0.5`, in seconds.

    Raises:
        UsageError: It is none, or shorter than `MIN_LENGTH_S`.
    """
    length_s = inputs.length(text.strip())
    if length_s is None:
        raise UsageError(
            f"--every: expected a length of time, found {text!r}",
            "write --every 10s, --every 1m or --every 0.5",
        )
    if length_s < MIN_LENGTH_S:
        raise UsageError(f"--every {text} is shorter than {MIN_LENGTH_S} s", "write a longer time")
    return length_s


def every(duration_s: float | None, length_s: float) -> list[Segment]:
    """Cut a clip into segments of `length_s` seconds, numbered from 0.

    Args:
        duration_s: How long the clip is; None if that is not known.
        length_s: How long each segment is to be. The last is between 1/5 and 6/5 of it, or the whole
            clip if that is shorter.

    Raises:
        ClipError: The clip's duration is not known, or makes no sensible number of segments.
    """
    if duration_s is None or not math.isfinite(duration_s) or duration_s <= 0:
        raise ClipError("how long the clip is is not known, so it cannot be cut into segments", "rewrap it")
    whole, rest = divmod(duration_s, length_s)
    count = max(1, int(whole) + (rest >= SHORT_PART * length_s))
    if count > MAX_SEGMENTS:
        raise ClipError(
            f"a clip of {duration_s:g} s has more than {MAX_SEGMENTS} segments of {length_s:g} s",
            "choose a longer --every",
        )
    bounds = [round(index * length_s, 6) for index in range(count)] + [duration_s]
    return [Segment(index, bounds[index], bounds[index + 1]) for index in range(count)]


def shots(found: Sequence[tuple[float, float]]) -> list[Segment]:
    """Number the shots of a clip from 0.

    Args:
        found: Start and end of each in seconds; none where the clip is one shot of unknown length.

    Raises:
        ClipError: There are too many.
    """
    if len(found) > MAX_SEGMENTS:
        raise ClipError(f"the clip has more than {MAX_SEGMENTS} shots", "cut it with --every")
    return [Segment(index, start_s, end_s) for index, (start_s, end_s) in enumerate(found)] or [Segment()]
