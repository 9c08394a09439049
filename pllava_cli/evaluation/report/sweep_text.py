"""A sweep as Markdown and as a page: what each setting came to, side by side."""

from collections.abc import Iterator, Sequence
from xml.etree.ElementTree import Element

from pllava_cli.chart import Chart
from pllava_cli.evaluation.report import markdown
from pllava_cli.evaluation.report.elements import add, add_chart, add_table, new_page, to_text
from pllava_cli.evaluation.report.page import add_notes
from pllava_cli.evaluation.report.published import Published
from pllava_cli.evaluation.report.sweep import Run, Sweep
from pllava_cli.evaluation.report.tables import KINDS, MOST_ROWS, average_interval, between, figure, unit_of

MOST_COLUMNS = 12
"""Runs beside each other in a table."""
EXPLAINED = "In parentheses: the 95 % confidence interval (Wilson), as only so many questions were asked."


def write_markdown(sweep: Sweep, published: Published | None, chart: Chart | None, has_picture: bool) -> str:
    """Return a sweep as Markdown; `has_picture`: whether the chart lies beside it."""
    text = markdown.text
    lines = [f"# {text(_title(sweep))}", "", text(_scored(sweep)), ""]
    if chart is not None and has_picture:
        lines += [f"![{text(chart.title)}](sweep.png)", ""]
    heads, rows = averages_table(sweep)
    lines += ["## Averages", "", *markdown.table([*map(text, heads)], ([*map(text, row)] for row in rows))]
    heads, rows = groups_table(sweep)
    if rows:
        lines += ["## Groups", "", *markdown.table([*map(text, heads)], ([*map(text, row)] for row in rows))]
    lines += markdown.notes_list(notes_of(sweep, published, chart if has_picture else None))
    if sweep.common:
        pairs = ([text(name), text(value)] for name, value in sweep.common.items())
        lines += ["## Settings of all runs", "", *markdown.table(["setting", "value"], pairs)]
    return "\n".join(lines).rstrip() + "\n"


def write_page(sweep: Sweep, published: Published | None, chart: Chart | None) -> str:
    """Return a sweep as a page that stands alone."""
    page, body = new_page(_title(sweep))
    add(body, "p", _scored(sweep), kind="soft")
    if chart is not None and chart.points:
        add_chart(body, chart)
    for title, (heads, rows) in (("Averages", averages_table(sweep)), ("Groups", groups_table(sweep))):
        if rows:
            add(body, "h2", title)
            _fill(add_table(body, heads), rows)
    add_notes(body, notes_of(sweep, published, chart))
    if sweep.common:
        add(body, "h2", "Settings of all runs")
        _fill(add_table(body, [], kind="settings"), list(sweep.common.items()))
    return to_text(page)


def averages_table(sweep: Sweep) -> tuple[list[str], list[list[str]]]:
    """Return the heads and rows of the averages: a run in each row."""
    kinds = sweep.aside_kinds
    heads = [*map(_shown, sweep.axes), *sweep.labels, "answers", *(KINDS[kind] for kind in kinds)]
    rows = [
        [
            *(run.settings[name] for name in sweep.axes),
            *(_average_cell(run, label) for label in sweep.labels),
            f"{len(run.result.verdicts):,}",
            *(str(run.counts[kind]) for kind in kinds),
        ]
        for run in sweep.runs
    ]
    return heads, rows


def groups_table(sweep: Sweep) -> tuple[list[str], list[list[str]]]:
    """Return the heads and rows of the groups: a run in each column, or in each row where they are many."""
    names = sweep.groups[:MOST_ROWS]
    found = {name: [_group_cell(run, name) for run in sweep.runs] for name in names}
    if len(sweep.runs) <= MOST_COLUMNS:
        return ["group", *(run.name for run in sweep.runs)], [[name, *cells] for name, cells in found.items()]
    settings = ([run.settings[name] for name in sweep.axes] for run in sweep.runs)
    columns = zip(*found.values(), strict=True)
    rows = [[*own, *cells] for own, cells in zip(settings, columns, strict=False)]
    return [*map(_shown, sweep.axes), *names], rows


def notes_of(sweep: Sweep, published: Published | None, chart: Chart | None) -> list[str]:
    """Return what a reader must know to compare the figures.

    Args:
        sweep: The runs.
        published: What the paper prints of the benchmark.
        chart: What the reader sees beside them; None: nothing.
    """
    notes = [*_notes_of_runs(sweep), *_other_differences(sweep)]
    scorings = sorted({run.result.scoring for run in sweep.runs})
    if len(scorings) > 1:
        notes.append(f"The runs were scored in different ways: {'; '.join(scorings)}.")
    sizes = {len(run.result.verdicts) for run in sweep.runs}
    if len(sizes) > 1:
        notes.append("The runs are of different numbers of answers: their figures differ by that too.")
    faults = len({each for run in sweep.runs for each in run.result.faults})
    if faults:
        notes.append(
            f"Entries of the benchmark that could not be asked: {faults:,};"
            " the report of each run names them."
        )
    has_printed = chart is not None and any(curve.is_dashed for curve in chart.curves)
    printed = published.sweep(sweep.axes[0]) if published and has_printed else None
    if printed is not None:
        notes.append(
            f"Dashed: what the paper shows of its own runs on the official data ({printed.source}). How high "
            "it lies can be compared only where checkpoint, data, rules and judge are the same."
        )
    return notes


def _notes_of_runs(sweep: Sweep) -> list[str]:
    """What is noted of the runs, each once; what is not of all of them, with those that it is of."""
    names: dict[str, list[str]] = {}
    for run in sweep.runs:
        for note in dict.fromkeys(run.result.notes):
            names.setdefault(note, []).append(run.name)
    return [
        note if len(own) == len(sweep.runs) else f"{'; '.join(own)}: {note}" for note, own in names.items()
    ]


def _other_differences(sweep: Sweep) -> Iterator[str]:
    """Say what else the runs were not made alike in, as in a quantisation that one of them needs to fit."""
    for name in sweep.other_differences:
        runs: dict[str, list[str]] = {}
        for run in sweep.runs:
            runs.setdefault(run.result.settings.get(name, "none"), []).append(run.name)
        told = "; ".join(f"{value} ({', '.join(own)})" for value, own in runs.items())
        yield f"The runs differ in more than is compared here: {name} is {told}."


def _title(sweep: Sweep) -> str:
    return f"{sweep.first.benchmark} over {' and '.join(map(_shown, sweep.axes)) or 'one setting'}"


def _scored(sweep: Sweep) -> str:
    scored = f"Scoring: {sweep.first.scoring}."
    return f"{scored} {EXPLAINED}" if sweep.first.unit == "%" else scored


def _shown(axis: str) -> str:
    return axis.replace("_", " ")


def _average_cell(run: Run, label: str) -> str:
    average = run.average(label)
    if average is None:
        return "–"
    unit = unit_of(average, run.result)
    limits = between(average_interval(average, run.result), unit)
    return figure(average.value, unit) + (f" ({limits})" if limits else "")


def _group_cell(run: Run, name: str) -> str:
    group = run.group(name)
    return figure(group.value if group else None, run.result.unit)


def _fill(body: Element, rows: Sequence[Sequence[str]]) -> None:
    for row in rows:
        line = add(body, "tr")
        for cell in row:
            add(line, "td", cell)
