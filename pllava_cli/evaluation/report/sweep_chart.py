"""The chart of a sweep: what is drawn over which axis, and the paper's own curves beside it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pllava_cli.chart import Chart, Curve
from pllava_cli.evaluation.items import CHECKPOINT
from pllava_cli.evaluation.report.published import Published, plain
from pllava_cli.evaluation.report.sweep import Run, Sweep, in_order, is_numeric, named, number
from pllava_cli.evaluation.report.tables import average_interval, group_rows, unit_of
from pllava_cli.terminal import one_line

PREFERRED = "CIDEr-D"
"""Of several metrics, the one that is drawn where there is room for one: most compare captions by it."""
MOST_BANDS = 3
"""More bands than these hide each other."""
AXIS_LABELS = {
    "alpha": "LoRA alpha at inference (the update is scaled by alpha / rank)",
    "frames": "frames sampled of a clip",
    "keep tokens": "share of the visual tokens kept",
    "pooling shape": "pooled to frames × rows × columns",
}
"""What an axis is called, by its setting."""

_Figure = tuple[float | None, tuple[float, float] | None]
"""A value and its interval."""


@dataclass(frozen=True)
class _Measure:
    """What a curve is of: an average, or a group."""

    name: str
    is_group: bool

    def of(self, run: Run) -> _Figure:
        """Its figure in a run."""
        if self.is_group:
            rows = group_rows(run.result, None)
            return next(((row.value, row.interval) for row in rows if row.name == self.name), (None, None))
        average = run.average(self.name)
        return (None, None) if average is None else (average.value, average_interval(average, run.result))

    def unit(self, sweep: Sweep) -> str:
        """The unit of its figures."""
        averages = ((run.average(self.name), run.result) for run in sweep.runs)
        found = (unit_of(average, result) for average, result in averages if average is not None)
        return sweep.first.unit if self.is_group else next(found)


def chart_of(sweep: Sweep, published: Published | None, defaults: Mapping[str, str]) -> Chart | None:
    """Return the chart of the first average over the first axis, a line for each value of the others.

    Args:
        sweep: The runs.
        published: What the paper prints of the benchmark: its own curves are drawn dashed.
        defaults: What the settings are if nobody sets them: the place is pointed out.

    Returns:
        None: there is no figure, or no axis, to draw.
    """
    measures = _measures(sweep)
    if not measures or not sweep.axes:
        return None
    axis = sweep.axes[0]
    values = in_order([run.settings[axis] for run in sweep.runs])
    has_numbers = is_numeric(values)
    places = {value: number(value) if has_numbers else float(at) for at, value in enumerate(values)}
    lines: dict[str, list[Run]] = {}
    for run in sweep.runs:
        rest = {name: value for name, value in run.settings.items() if name != axis}
        lines.setdefault(named(rest), []).append(run)
    if len(lines) > 1:
        measures = [next((each for each in measures if each.name == PREFERRED), measures[0])]
    curves = [
        _curve(name or measure.name, [(places[run.settings[axis]], measure.of(run)) for run in mine])
        for name, mine in lines.items()
        for measure in measures
    ]
    if len(curves) > MOST_BANDS:
        curves = [replace(curve, band=()) for curve in curves]
    unit = measures[0].unit(sweep)
    if published is not None and published.unit == unit:
        curves += _printed(published, axis, places, has_numbers, sweep.first.settings.get(CHECKPOINT))
    return Chart(
        one_line(f"{sweep.first.benchmark} over {axis.replace('_', ' ')}"),
        AXIS_LABELS.get(plain(axis), one_line(axis)),
        one_line(", ".join(filter(None, [measures[0].name if len(measures) == 1 else "figure", unit]))),
        curves,
        x_names=() if has_numbers else [one_line(value) for value in values],
        marked=_marked(defaults.get(axis), places, has_numbers),
    )


def _measures(sweep: Sweep) -> list[_Measure]:
    """What is drawn: the first average that has a value, or where there are no averages every group."""
    for label in sweep.labels:
        if any(average.value is not None for run in sweep.runs if (average := run.average(label))):
            return [_Measure(label, is_group=False)]
    groups = [_Measure(name, is_group=True) for name in sweep.groups]
    return [each for each in groups if any(each.of(run)[0] is not None for run in sweep.runs)]


def _curve(name: str, figures: Sequence[tuple[float, _Figure]]) -> Curve:
    points = [(x, math.nan if value is None else value) for x, (value, _) in figures]
    band = [limits or (math.nan, math.nan) for _, (_, limits) in figures]
    return Curve(one_line(name), points, band if any(limits for _, (_, limits) in figures) else ())


def _printed(
    published: Published, axis: str, places: Mapping[str, float], has_numbers: bool, used: str | None
) -> list[Curve]:
    """The paper's curves over the axis, where it has any, at the places that the axis has."""
    sweep = published.sweep(axis)
    if sweep is None:
        return []
    at = [_place(x, places, has_numbers) for x in sweep.x]
    found = []
    for name, heights in sweep.curves_of(used).items():
        there = sorted(point for point in zip(at, heights, strict=True) if not math.isnan(sum(point)))
        if there:
            found.append(Curve(f"{name}, printed", there, is_dashed=True))
    return found


def _place(value: str, places: Mapping[str, float], has_numbers: bool) -> float:
    """Where on the axis a value is; NaN: it has no place there."""
    return number(value) if has_numbers else places.get(value, math.nan)


def _marked(default: str | None, places: Mapping[str, float], has_numbers: bool) -> tuple[float, str] | None:
    if default is None:
        return None
    place = _place(default, places, has_numbers)
    return None if math.isnan(place) else (place, one_line(f"default: {default}"))
