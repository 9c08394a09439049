"""Runs of one benchmark under settings that differ: which of these are axes, and all figures as data."""

import csv
import io
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from pllava_cli.errors import UsageError
from pllava_cli.evaluation.items import ASIDE, Average, Group, Kind, Result
from pllava_cli.evaluation.report.published import plain
from pllava_cli.evaluation.report.stored import dump
from pllava_cli.evaluation.report.tables import average_interval, group_rows, unit_of

SCHEMA = "pllava.sweep/1"
"""Fields are only ever added within a schema."""
LARGEST = 1e15
"""What is larger is no setting, and cannot be drawn beside others."""


@dataclass(frozen=True)
class Run:
    """One setting's result."""

    settings: Mapping[str, str]
    """Those that differ between runs, by name."""
    result: Result

    def average(self, label: str) -> Average | None:
        """The average of that label; None: this run has none."""
        return next((each for each in self.result.averages if each.label == label), None)

    def group(self, name: str) -> Group | None:
        """The group of that name; None: this run has none."""
        return next((each for each in self.result.groups if each.name == name), None)

    @cached_property
    def counts(self) -> Counter[Kind]:
        """Answers by what became of them."""
        return Counter(verdict.kind for verdict in self.result.verdicts)

    @property
    def name(self) -> str:
        """Its settings in a line."""
        return named(self.settings)


@dataclass(frozen=True)
class Sweep:
    """Runs, put in order."""

    axes: Sequence[str]
    """Settings that differ; that of the x axis first."""
    runs: Sequence[Run]

    @property
    def first(self) -> Result:
        """Of all results, what they have in common can be read off any."""
        return self.runs[0].result

    @property
    def labels(self) -> list[str]:
        """Labels of all averages, in the order of the results."""
        return list(dict.fromkeys(each.label for run in self.runs for each in run.result.averages))

    @property
    def groups(self) -> list[str]:
        """Names of all groups, likewise."""
        return list(dict.fromkeys(each.name for run in self.runs for each in run.result.groups))

    @property
    def common(self) -> dict[str, str]:
        """Settings that all runs were made with."""
        swept = {name for run in self.runs for name in run.settings}
        return {
            name: value
            for name, value in self.first.settings.items()
            if name not in swept and all(run.result.settings.get(name) == value for run in self.runs)
        }

    @property
    def other_differences(self) -> list[str]:
        """Settings other than the axes that not all runs were made with alike."""
        axes = {plain(name) for name in self.axes}
        names = dict.fromkeys(name for run in self.runs for name in run.result.settings)
        values = {name: {run.result.settings.get(name) for run in self.runs} for name in names}
        return [name for name, found in values.items() if len(found) > 1 and plain(name) not in axes]

    @property
    def aside_kinds(self) -> list[Kind]:
        """Kinds of answers that occur and that reports list one by one."""
        return [kind for kind in ASIDE if any(run.counts[kind] for run in self.runs)]


def arrange(runs: Sequence[tuple[Mapping[str, str], Result]]) -> Sweep:
    """Find the axes of some runs, and put the runs in order along them.

    Raises:
        UsageError: There are none, or they cannot be compared.
    """
    if not runs:
        raise UsageError("there are no runs to compare", "name at least one setting")
    kinds = {(result.benchmark, result.unit) for _, result in runs}
    if len(kinds) > 1:
        different = " and ".join(sorted({f"{benchmark} ({unit})" for benchmark, unit in kinds}))
        raise UsageError(f"runs of {different} cannot be compared", "compare runs of one benchmark")
    names = dict.fromkeys(name for settings, _ in runs for name in settings)
    values = {name: list(dict.fromkeys(settings.get(name, "") for settings, _ in runs)) for name in names}
    axes = [name for name, found in values.items() if len(found) > 1] or list(values)
    axes.sort(key=lambda name: (not is_numeric(values[name]), -len(values[name])))
    kept = [Run({name: settings.get(name, "") for name in axes}, result) for settings, result in runs]
    places = {name: {value: at for at, value in enumerate(in_order(values[name]))} for name in axes}
    others = [*axes[1:], *axes[:1]]  # lines one after the other, each along the x axis
    kept.sort(key=lambda run: [places[name][run.settings[name]] for name in others])
    return Sweep(axes, kept)


def to_json(sweep: Sweep) -> str:
    """Write the figures of all runs, without their answers."""
    lines = []
    for run in sweep.runs:
        averages = [
            {
                "label": each.label,
                "value": each.value,
                "note": each.note,
                "interval": average_interval(each, run.result),
            }
            for each in run.result.averages
        ]
        groups = [
            {
                "name": row.name,
                "of": row.of,
                "value": row.value,
                "interval": row.interval,
                "counts": dict(row.counts),
            }
            for row in group_rows(run.result, None)
        ]
        lines.append(
            dump(
                {
                    "settings": dict(run.settings)
                    | {name: run.result.settings.get(name) for name in sweep.other_differences},
                    "answers": len(run.result.verdicts),
                    "counts": dict(run.counts),
                    "averages": averages,
                    "groups": groups,
                }
            )
        )
    head = {
        "schema": SCHEMA,
        "benchmark": sweep.first.benchmark,
        "scoring": sweep.first.scoring,
        "unit": sweep.first.unit,
        "axes": list(sweep.axes),
        "settings": sweep.common,
    }
    parts = [f' "{name}": {dump(value)}' for name, value in head.items()]
    return "{\n" + ",\n".join([*parts, ' "runs": [\n  ' + ",\n  ".join(lines) + "\n ]"]) + "\n}\n"


def to_csv(sweep: Sweep) -> str:
    """Write a line for every figure of every run, for other tools to draw."""
    written = io.StringIO()
    rows = csv.writer(written, lineterminator="\n")
    rows.writerow([*sweep.axes, "what", "name", "answers", "figure", "low", "high", "unit"])
    for run in sweep.runs:
        settings = [run.settings[name] for name in sweep.axes]
        for each in run.result.averages:
            limits = average_interval(each, run.result)
            figures = [_cell(value) for value in (each.value, *(limits or (None, None)))]
            rows.writerow([*settings, "average", each.label, "", *figures, unit_of(each, run.result)])
        for row in group_rows(run.result, None):
            figures = [_cell(value) for value in (row.value, *(row.interval or (None, None)))]
            rows.writerow([*settings, "group", row.name, row.of, *figures, row.unit])
    return written.getvalue().encode("utf-8", "backslashreplace").decode()


def number(text: str) -> float:
    """Read a setting's value as a number; NaN: it is none."""
    try:
        value = float(text)
    except ValueError:
        return math.nan
    return value if abs(value) < LARGEST else math.nan


def named(settings: Mapping[str, str]) -> str:
    """Write settings in a line."""
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in settings.items())


def is_numeric(values: Sequence[str]) -> bool:
    """Whether all values of a setting are numbers."""
    return not any(math.isnan(number(value)) for value in values)


def in_order(values: Sequence[str]) -> list[str]:
    """Each value once: numbers by size, all else in the order in which it came."""
    once = list(dict.fromkeys(values))
    return sorted(once, key=number) if is_numeric(once) else once


def _cell(value: float | None) -> str:
    return "" if value is None or not math.isfinite(value) else f"{value:.6g}"
