"""The report as Markdown: what a run came to, to be read as it is or within a repository.

Answers and file names are not ours: every one is written so that it can be neither markup nor a new line.
"""

import re
from collections.abc import Iterable, Sequence
from itertools import islice

from pllava_cli.chart import shortened
from pllava_cli.evaluation.items import Kind, Result, Verdict
from pllava_cli.evaluation.report import tables
from pllava_cli.evaluation.report.examples import choose
from pllava_cli.evaluation.report.published import Published
from pllava_cli.terminal import one_line

MOST_LETTERS = 400
"""Of an answer or a question."""
WORDS = ("value", "of what")
"""Heads of columns that hold no figures."""
_MARKUP = re.compile(r"[\\`*\[\]<>|~$]|(?<!\w)_|_(?!\w)|!(?=\[)|&(?=#?\w+;)")
"""What could begin markup within a line, HTML too."""
_OPENING = re.compile(r"(\d*)([#+.)-])(?=#*(?:\s|$))")
"""What would make a point of a list a heading, or a list of its own: `# `, `- `, `1. `."""


def write_markdown(result: Result, published: Published | None) -> str:
    """Return the report of a result."""
    lines = [f"# {text(result.benchmark)}", "", f"Scoring: {text(result.scoring)}.", ""]
    if result.settings:
        lines += ["## Settings", "", *table(["setting", "value"], map(_cells, result.settings.items()))]
    lines += _figures(result, published)
    lines += notes_list(tables.notes(result, published))
    lines += _asides(result)
    lines += _faults(result)
    lines += _examples(result)
    return "\n".join(lines).rstrip() + "\n"


def text(value: str, most: int = MOST_LETTERS) -> str:
    """Write a text so that it stays one: on one line, without markup, not too long."""
    return _MARKUP.sub(
        lambda match: "&amp;" if match[0] == "&" else "\\" + match[0], one_line(shortened(value, most))
    )


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Write a table, its figures to the right, and an empty line; what is in the cells is written already."""
    rule = ["---" if at == 0 or head in WORDS else "---:" for at, head in enumerate(heads)]
    return [*("| " + " | ".join(cells) + " |" for cells in (heads, rule, *rows)), ""]


def point(written: str) -> str:
    """Make a point of a list of what is written already, and nothing else of it."""
    opening = _OPENING.match(written)
    return "* " + (f"{opening[1]}\\{written[opening.end(1) :]}" if opening else written)


def notes_list(notes: Sequence[str]) -> list[str]:
    """Write notes below a heading of their own; nothing if there are none."""
    points = [point(text(note, tables.MOST_NOTE_LETTERS)) for note in notes]
    return ["## Notes", "", *points, ""] if points else []


def _cells(pair: tuple[str, str]) -> list[str]:
    return [text(each) for each in pair]


def _figures(result: Result, published: Published | None) -> list[str]:
    rows = tables.group_rows(result, published)
    kinds = tables.aside_kinds(rows)
    models = [text(model) for model in published.models] if published else []
    beside = models if rows and rows[0].published else []
    unit = text(result.unit) or "figure"
    lines = ["## Result", "", text(tables.explanation(result)), ""]
    if rows:
        limits = tables.limits(rows)
        heads = ["group", "answers", unit, *limits, *(tables.KINDS[kind] for kind in kinds), *beside]
        cells = ([text(row.name), str(row.of), *_figures_of(row, limits, kinds)] for row in rows)
        lines += table(heads, islice(cells, tables.MOST_ROWS))
        lines += _rest(len(rows) - tables.MOST_ROWS, "group")
    averages = tables.average_rows(result, published)
    if averages:
        limits = tables.limits(averages)
        heads = ["average", "figure", *limits, *models, "of what"]
        cells = ([_named(row), *_figures_of(row, limits), text(row.note)] for row in averages)
        lines += ["## Averages", "", *table(heads, cells)]
    return lines


def _figures_of(row: tables.Row, limits: Sequence[str], kinds: Sequence[Kind] = ()) -> list[str]:
    """A row's own figure, its interval if there is a column for it, its counts, and the paper's figures."""
    between = [tables.between(row.interval, row.unit) for _ in limits]
    counts = [str(row.counts.get(kind, 0)) for kind in kinds]
    printed = [tables.figure(value, row.unit) for value in row.published]
    return [tables.figure(row.value, row.unit), *between, *counts, *printed]


def _named(row: tables.Row) -> str:
    return text(row.name if row.unit == "%" else f"{row.name} ({row.unit})")


def _asides(result: Result) -> list[str]:
    lines = []
    for kind, verdicts in tables.listed(result).items():
        lines += [f"## {tables.KINDS[kind].capitalize()}: {len(verdicts)}", ""]
        lines += [point(_aside(verdict)) for verdict in verdicts[: tables.MOST_LISTED]]
        lines += ["", *_rest(len(verdicts) - tables.MOST_LISTED, "answer")]
    return lines


def _aside(verdict: Verdict) -> str:
    item = verdict.said.item
    named = f"{text(item.id)}, {text(str(item.clip), 120)}"
    return ": ".join(filter(None, [named, "; ".join(map(text, tables.reasons(verdict)))]))


def _faults(result: Result) -> list[str]:
    if not result.faults:
        return []
    lines = [f"## Entries of the benchmark that could not be asked: {len(result.faults)}", ""]
    listed = result.faults[: tables.MOST_LISTED]
    lines += [point(f"{text(each.where)}: {text(each.message)}") for each in listed]
    return [*lines, "", *_rest(len(result.faults) - tables.MOST_LISTED, "entry", "entries")]


def _examples(result: Result) -> list[str]:
    chosen = choose(result.verdicts)
    if not chosen:
        return []
    lines = ["## Some of the answers", ""]
    for verdict in chosen:
        lines += [f"### {text(tables.heading(verdict, result))}", ""]
        told = tables.details(verdict, result)
        lines += [f"* {name}: “{text('; '.join(value.splitlines()))}”" for name, value in told]
        lines.append("")
    return lines


def _rest(count: int, what: str, several: str = "") -> list[str]:
    return [tables.rest(str(count), what, several), ""] if count > 0 else []
