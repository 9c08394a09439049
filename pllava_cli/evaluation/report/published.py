"""What the paper prints of the released checkpoints, to stand beside a run's own figures.

The figures are in `published.toml`, each with its table or figure. Some look comparable and are not, which
`differences` and the notes say: no report shows them without.
"""

import math
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from pllava_cli.evaluation.items import CHECKPOINT, SAMPLE, Result
from pllava_cli.evaluation.report import own_words
from pllava_cli.phrases import counted

_FILE = Path(__file__).with_name("published.toml")


@dataclass(frozen=True)
class PublishedAverage:
    """A printed average, or one worked out from printed cells."""

    label: str
    values: Sequence[float | None]
    """By model, as `Published.models`."""
    note: str
    also: Sequence[str]
    """Other labels of the same average."""
    unit: str


@dataclass(frozen=True)
class PublishedSweep:
    """A figure over a setting."""

    setting: str
    source: str
    x: Sequence[str]
    """The setting's values."""
    curves: Mapping[str, Sequence[float]]
    """By name, as many as `x`; NaN: not measured."""

    def curves_of(self, checkpoint: str | None) -> dict[str, Sequence[float]]:
        """The curve of a released checkpoint by its registry name, if there is one; else all of them."""
        own = {name: curve for name, curve in self.curves.items() if plain(name) == plain(checkpoint or "")}
        return own or dict(self.curves)


@dataclass(frozen=True)
class Published:
    """What is printed of a benchmark."""

    unit: str
    source: str
    """Paper, and table within it."""
    models: Sequence[str]
    checkpoints: Sequence[str]
    """Their registry names, in the same order."""
    answers: int | None
    """Answers counted in all; None: not known."""
    sizes: Mapping[str, int]
    """Answers counted in each group, by `plain` names; none: not known."""
    scoring: str
    """The rules, by the name that a run gives them; empty: the judge's."""
    judge: str
    """Who judged; empty: nobody had to."""
    settings: Mapping[str, str]
    groups: Mapping[str, Sequence[float]]
    """By `plain` names."""
    averages: Sequence[PublishedAverage]
    sweeps: Sequence[PublishedSweep]
    notes: Sequence[str]

    def group(self, name: str) -> Sequence[float | None]:
        """The models' figures for a group, None where there are none."""
        return self.groups.get(plain(name), [None] * len(self.models))

    def average(self, label: str) -> PublishedAverage | None:
        """The average of that label, or of one that means the same."""
        names = ((each, map(plain, (each.label, *each.also))) for each in self.averages)
        return next((each for each, labels in names if plain(label) in labels), None)

    def sweep(self, setting: str) -> PublishedSweep | None:
        """The figure over a setting."""
        return next((each for each in self.sweeps if each.setting == plain(setting)), None)

    def differences(self, result: Result) -> list[str]:
        """Say in what a run differs from what is printed, as far as the run tells; none: in nothing known."""
        found = [self._checkpoint(result.settings), *self._settings(result.settings), self._size(result)]
        drawn = result.settings.get(SAMPLE)
        if drawn is not None:
            found.append(f"only a sample was asked: {drawn}")
        scoring = result.scoring.casefold()
        if self.scoring and self.scoring not in scoring:
            found.append(f"it was scored by “{result.scoring}”, not by the reference's rules")
        if self.judge and not _is_by(self.judge, scoring):
            found.append(f"it was scored by “{result.scoring}”, not by {self.judge}")
        packed = result.settings.get("quantisation", "none")
        if packed != "none":
            found.append(f"its weights are quantised: {packed}")
        if result.faults:
            found.append(f"entries of the benchmark that could not be asked: {len(result.faults):,}")
        unjudged = sum(verdict.kind == "unjudged" for verdict in result.verdicts)
        if unjudged:
            found.append(f"answers not judged yet: {unjudged:,}")
        found += own_words.differences(result)
        return [each for each in found if each]

    def _checkpoint(self, settings: Mapping[str, str]) -> str:
        used = settings.get(CHECKPOINT)
        if used is None:
            return "it does not say which checkpoint was asked"
        return "" if used in self.checkpoints else f"the checkpoint is {used}"

    def _settings(self, settings: Mapping[str, str]) -> list[str]:
        found = []
        for name, value in self.settings.items():
            used = settings.get(name)
            if used in (None, value):
                continue
            if name == "alpha":
                found.append(f"alpha {used}, published at {value}")
            else:
                found.append(f"{name} {used} instead of {value}")
        return found

    def _size(self, result: Result) -> str:
        counts = {plain(each.name): each.of for each in result.groups}
        asked = sum(each.of for each in result.groups)
        if self.answers is None or (asked == self.answers and self.sizes.items() <= counts.items()):
            return ""
        return f"it counts {counted(f'{asked:,}', 'answer')}, the paper {self.answers:,}"


@lru_cache
def of(benchmark: str) -> Published | None:
    """Return what is printed of a benchmark; None: nothing."""
    read = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    part = read.get(benchmark)
    if not isinstance(part, dict):
        return None
    return Published(
        unit=part["unit"],
        source=f"{read['paper']}, {part['source']}",
        models=read["models"],
        checkpoints=read["checkpoints"],
        answers=part.get("answers"),
        sizes={plain(name): size for name, size in part.get("size", {}).items()},
        scoring=part.get("scoring", ""),
        judge=part.get("judge", ""),
        settings=part["settings"],
        groups={plain(name): figures for name, figures in part.get("groups", {}).items()},
        averages=[_average(each, part["unit"]) for each in part["averages"]],
        sweeps=[_sweep(each, read["paper"]) for each in part.get("sweeps", ())],
        notes=[*part.get("notes", ()), *_of_judge(part.get("judge", ""))],
    )


def _average(read: Mapping[str, Any], unit: str) -> PublishedAverage:
    return PublishedAverage(
        read["label"], read["values"], read.get("note", ""), read.get("also", ()), read.get("unit", unit)
    )


def _sweep(read: Mapping[str, Any], paper: str) -> PublishedSweep:
    curves = {name: [float(value) for value in curve] for name, curve in read["curves"].items()}
    return PublishedSweep(read["setting"], f"{paper}, {read['source']}", read["x"], curves)


def _is_by(judge: str, scoring: str) -> bool:
    """Whether all verdicts are a judge's, by the name that its endpoint gives it, if it gives any.

    Args:
        judge: Its name.
        scoring: As `scoring.verdicts.judges` writes it: `judge: asked-for (replied) at host, other at host`.
    """
    parts = scoring.removeprefix("judge: ").split(", ")
    return all(re.search(rf"(?:^|\(){re.escape(judge)}\)? at ", part) for part in parts)


def _of_judge(judge: str) -> list[str]:
    if not judge:
        return []
    return [
        f"The judge was {judge}; another judge, or another snapshot of it, moves the figures by more than "
        "the models differ."
    ]


def plain(name: str) -> str:
    """Return a name as it is compared: `pooling_shape` and `Pooling shape` are one."""
    return " ".join(re.findall(r"[^\W_]+", name.casefold()))


def known(values: Sequence[float | None]) -> list[float]:
    """Return the figures that are there."""
    return [value for value in values if value is not None and math.isfinite(value)]
