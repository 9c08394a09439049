"""How a run goes: how many clips are done or have failed, how fast, and how long the rest will take."""

import os
import re
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pllava_cli.batch.pipeline import Outcome
from pllava_cli.phrases import figure
from pllava_cli.video.probe import shown_name

MOST_CAUSES = 10
"""Causes that are told one by one."""


@dataclass
class Tally:
    """Counts outcomes, and the time since it was made.

    Args:
        clock: Seconds from some instant.
    """

    clock: Callable[[], float] = time.monotonic
    done: int = 0
    """Clips, or segments, with an answer to every question."""
    failed: int = 0
    """Clips with an error in the place of an answer, or without the sidecar that was wanted."""
    causes: Counter[str] = field(default_factory=Counter)
    """Errors by what they say, the clip's name left out."""

    def __post_init__(self) -> None:
        self._began = self.clock()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start."""
        return self.clock() - self._began

    @property
    def per_minute(self) -> float:
        """Clips a minute, failed ones too."""
        return 60 * (self.done + self.failed) / max(self.elapsed_s, 1e-9)

    def count(self, outcome: Outcome) -> None:
        """Count an outcome."""
        error = outcome.record.error or outcome.unwritten
        if error is not None:
            self.causes[cause(error.message, outcome.record.path)] += 1
        if outcome.is_last:
            self.failed += outcome.has_failed
            self.done += not outcome.has_failed

    def note(self, skipped: int, total: int | None, waited_share: float) -> str:
        """Return what stands beside a progress display.

        Args:
            skipped: Clips that were done before.
            total: Clips in all; None while that is not known.
            waited_share: The share of its time in which the model had nothing to do.
        """
        handled = self.done + self.failed
        parts = [f"{skipped} done before"] if skipped else []
        if self.failed:
            parts.append(f"{self.failed} failed")
        if handled:
            parts.append(f"{figure(self.per_minute)} clips/min")
        if handled and total is not None:
            left_s = 60 * max(0, total - skipped - handled) / self.per_minute
            parts.append(f"{duration(left_s)} left")
        if waited_share >= 0.01:
            parts.append(f"model waits {waited_share:.0%}")
        return ", ".join(parts)

    def as_dict(self) -> dict[str, Any]:
        """Return the counts as plain data."""
        return {
            "done": self.done,
            "failed": self.failed,
            "causes": dict(self.causes.most_common()),
            "elapsed_s": round(self.elapsed_s, 3),
        }


def cause_lines(causes: Counter[str]) -> list[str]:
    """Return the causes of errors with their counts, the commonest first."""
    common = causes.most_common(MOST_CAUSES)
    rest = causes.total() - sum(count for _, count in common)
    return [f"{count:>6}  {cause}" for cause, count in common] + (
        [f"{rest:>6}  other causes"] if rest else []
    )


def duration(seconds: float) -> str:
    """Return a time for people, in its two largest units at most."""
    minutes, hours = round(seconds / 60), round(seconds / 3600)
    if seconds < 90:
        return f"{seconds:.0f} s"
    if minutes < 90:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"


def cause(message: str, path: str) -> str:
    """Return an error's message without the name of its clip, so that equal causes count as one."""
    text = message
    for name in (path, shown_name(path)):
        text = re.sub(_named_after(name), "…", text)
    return re.sub(r"^…[:\s]*", "", text)


def _named_after(name: str) -> str:
    """Return a pattern for a clip's name, or its sidecar's, where it stands alone: a name may be `a`."""
    stem, ending = os.path.splitext(name)  # noqa: PTH122 (a Path would tidy up what the message has)
    return rf"(?<!\w){re.escape(stem)}(?:\.[^\s:]*\w|{re.escape(ending)})(?!\w)"
