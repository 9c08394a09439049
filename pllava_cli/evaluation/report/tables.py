"""What every report tells, whatever it is written in: rows of figures, their intervals, what went wrong.

The Markdown and the page are made from the same rows, so that they cannot say different things.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pllava_cli.evaluation.items import ASIDE, Average, Group, Kind, Result, Verdict
from pllava_cli.evaluation.report.published import Published, PublishedAverage, known
from pllava_cli.evaluation.scoring.choices import TASK_MEAN
from pllava_cli.evaluation.scoring.intervals import wilson, wilson_of_mean
from pllava_cli.phrases import counted

KINDS: dict[Kind, str] = {
    "right": "right",
    "wrong": "wrong",
    "unparsed": "not understood",
    "empty": "empty",
    "failed": "failed",
    "measured": "said",
    "unjudged": "not judged yet",
}
"""What became of answers, in words."""
UNITS = {"%": 100.0, "of 5": 5.0}
"""Units of figures that tell how much is right, each with the highest; metrics of captions have none."""
MOST_ROWS = 400
"""Of a table: a file of own questions may have as many groups as questions."""
MOST_LISTED = 20
"""Of answers that went wrong in one way, and of faults: the rest is in result.json."""
MOST_NOTE_LETTERS = 4000
"""Of a note: the words are ours, but files and models are named in it, and nothing of it may be lost."""
_SAME = 0.006
"""Averages that differ by less are the same: a scorer may round to two digits."""


@dataclass(frozen=True)
class Row:
    """A row of a table of figures."""

    name: str
    of: int | None = None
    """Answers counted; None: not one count."""
    value: float | None = None
    interval: tuple[float, float] | None = None
    """95 % confidence, in the value's unit; None: not worked out."""
    counts: Mapping[Kind, int] = field(default_factory=dict)
    published: Sequence[float | None] = ()
    """By model, as `Published.models`."""
    unit: str = "%"
    note: str = ""


def group_rows(result: Result, published: Published | None) -> list[Row]:
    """The rows of the groups, in the result's order; with the paper's figures if it has any of them."""
    has_any = published is not None and any(known(published.group(each.name)) for each in result.groups)
    beside = published if has_any else None
    return [
        Row(
            each.name,
            each.of,
            each.value,
            _interval(each, result.unit),
            each.counts,
            beside.group(each.name) if beside else (),
            result.unit,
        )
        for each in result.groups
    ]


def rest(count: str, what: str, several: str = "") -> str:
    """Say how many more there are than are shown; takes what `phrases.counted` does."""
    more = counted(count, f"more {what}", several and f"more {several}")
    return f"… and {more}, in result.json."


def average_rows(result: Result, published: Published | None) -> list[Row]:
    """The rows of the averages, and those of printed averages that the result does not have."""
    rows, matched = [], []
    for each in result.averages:
        printed = published.average(each.label) if published else None
        matched.append(printed)
        notes = [each.note, _printed_note(printed)]
        figures = printed.values if printed else (None,) * len(published.models) if published else ()
        rows.append(
            Row(
                each.label,
                value=each.value,
                interval=average_interval(each, result),
                published=figures,
                unit=unit_of(each, result),
                note="; ".join(filter(None, notes)),
            )
        )
    for printed in published.averages if published else ():
        if printed not in matched:
            note = _printed_note(printed)
            rows.append(Row(printed.label, published=printed.values, unit=printed.unit, note=note))
    return rows


def average_interval(average: Average, result: Result) -> tuple[float, float] | None:
    """The 95 % confidence interval of an average of accuracies; None where it is another kind of average."""
    tallies = [tally for tally in map(_tally, result.groups) if tally[1]]
    if average.value is None or unit_of(average, result) != "%" or not tallies:
        return None
    right, of = (sum(column) for column in zip(*tallies, strict=True))
    mean = 100 * sum(right / of for right, of in tallies) / len(tallies)
    # Over groups of several sizes both means may come to the same, as where all is right: one is less sure.
    is_over_groups = average.label == TASK_MEAN and len({of for _, of in tallies}) > 1
    if abs(average.value - 100 * right / of) < _SAME and not is_over_groups:
        low, high = wilson(right, int(of))
    elif abs(average.value - mean) < _SAME:
        low, high = wilson_of_mean(tallies)
    else:
        return None
    return 100 * low, 100 * high


def unit_of(average: Average, result: Result) -> str:
    """The unit of an average: its own, or that of the result."""
    return average.unit or result.unit


def is_graded(verdict: Verdict, result: Result) -> bool:
    """Whether an answer has a grade, and is not right or wrong."""
    return result.unit == "of 5" and verdict.kind not in ASIDE


def heading(verdict: Verdict, result: Result) -> str:
    """What stands above an answer that is shown."""
    became = KINDS[verdict.kind]
    if is_graded(verdict, result):  # 3 of 5 is neither right nor wrong
        became = f"{figure(verdict.score, result.unit)} {result.unit}"
    return f"{became.capitalize()}: {verdict.said.item.id}"


def aside_kinds(rows: Sequence[Row]) -> list[Kind]:
    """Kinds of answers that occur and are listed one by one, which the table has columns for."""
    return [kind for kind in ASIDE if any(row.counts.get(kind) for row in rows)]


def listed(result: Result) -> dict[Kind, list[Verdict]]:
    """Answers that went wrong in a way of their own, by kind."""
    found = {kind: [each for each in result.verdicts if each.kind == kind] for kind in ASIDE}
    return {kind: verdicts for kind, verdicts in found.items() if verdicts}


def figure(value: float | None, unit: str) -> str:
    """Write a figure as it is printed: one digit of per cents, two of scores."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:.1f}" if unit == "%" else f"{value:.2f}"


def between(interval: tuple[float, float] | None, unit: str) -> str:
    """Write an interval."""
    return "" if interval is None else "–".join(figure(limit, unit) for limit in interval)


def explanation(result: Result) -> str:
    """Say what the figures of the groups are."""
    if result.unit == "%":
        return "Per cent right, with the 95 % confidence interval (Wilson)."
    return f"Figures are {result.unit}." if result.unit else "Figures as each metric is usually given."


def limits(rows: Sequence[Row]) -> list[str]:
    """The head of the column of intervals, if there is any in the rows."""
    return ["95 %"] if any(row.interval for row in rows) else []


def comparability(result: Result, published: Published) -> str:
    """Say where the printed figures come from, and whether this run may be compared with them."""
    origin = f"The figures of {', '.join(published.models)} are those that the paper prints for the released "
    origin += f"checkpoints on the official data ({published.source})."
    differences = published.differences(result)
    if differences:
        return f"{origin} This run is not comparable with them: {'; '.join(differences)}."
    return f"{origin} This run differs from theirs in nothing that it tells; its data were not compared."


def notes(result: Result, published: Published | None) -> list[str]:
    """What a reader must know to compare the figures, of the run and of what is printed beside it."""
    own = list(result.notes)
    return [*own, comparability(result, published), *published.notes] if published else own


def reasons(verdict: Verdict) -> list[str]:
    """What is told of an answer that went wrong: why, and what was said, nothing of it twice."""
    text = verdict.said.text
    parts = (_untold_error(verdict), f"said “{text}”" if text else "", verdict.note)
    return [each for each in parts if each]


def details(verdict: Verdict, result: Result) -> list[tuple[str, str]]:
    """What is told of an answer that is shown: names and texts, without those that are empty."""
    said, item = verdict.said, verdict.said.item
    is_told = is_graded(verdict, result) or (result.unit == "%" and verdict.score in (0.0, 1.0))
    found = [
        ("question", item.question),
        ("to choose from", "\n".join(item.candidates)),
        ("right", item.answer),
        ("said", "" if said.text is None else said.text or "nothing"),
        ("error", _untold_error(verdict)),
        ("score", "" if is_told or verdict.kind in ASIDE else figure(verdict.score, "")),
        ("note", verdict.note),
        ("clip", str(item.clip)),
        ("part", window(verdict)),
    ]
    return [(name, text) for name, text in found if text]


def window(verdict: Verdict) -> str:
    """The part of the clip that is asked about; nothing for the whole of it."""
    item = verdict.said.item
    if item.start_s is None and item.end_s is None:
        return ""
    end = "end" if item.end_s is None else f"{item.end_s:g} s"
    return f"{item.start_s or 0:g} s to {end}"


def _untold_error(verdict: Verdict) -> str:
    """Why there is no answer, if the note does not say it."""
    error = verdict.said.error or ""
    return "" if error in verdict.note else error


def _printed_note(printed: PublishedAverage | None) -> str:
    return f"printed: {printed.note}" if printed and printed.note else ""


def _interval(group: Group, unit: str) -> tuple[float, float] | None:
    if unit != "%" or not group.of or group.value is None:
        return None
    low, high = wilson(*_tally(group))
    return 100 * low, 100 * high


def _tally(group: Group) -> tuple[float, int]:
    """How many are right, of how many."""
    if not group.of or group.value is None:
        return 0.0, 0
    return min(max(group.value / 100, 0.0), 1.0) * group.of, group.of
