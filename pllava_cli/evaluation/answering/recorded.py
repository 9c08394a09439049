"""What a record tells besides its text, whatever another tool has made of it."""

from collections.abc import Mapping
from typing import Any

from pllava_cli.evaluation.benchmarks.entry import LONGEST_S


def timestamps_s(plain: Mapping[str, Any]) -> tuple[float, ...]:
    """Return when the frames that were looked at are shown, in seconds; what is no time is passed over."""
    frames = plain.get("frames")
    times = frames.get("timestamps_s") if isinstance(frames, dict) else None
    listed = times if isinstance(times, list) else []
    return tuple(float(each) for each in listed if isinstance(each, int | float) and abs(each) < LONGEST_S)


def error_message(plain: Mapping[str, Any]) -> str | None:
    """Return why there is no text; None: the record does not say."""
    error = plain.get("error")
    message = error.get("message") if isinstance(error, dict) else None
    return message if isinstance(message, str) else None
