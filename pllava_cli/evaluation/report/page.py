"""The report as a page: settings, figures as bars beside the paper's, and what was said to what was seen."""

from collections.abc import Sequence
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element

from pllava_cli.chart import shortened
from pllava_cli.errors import PllavaError
from pllava_cli.evaluation.items import CHECKPOINT, Result, Verdict
from pllava_cli.evaluation.report import tables
from pllava_cli.evaluation.report.elements import add, add_table, new_page, to_text
from pllava_cli.evaluation.report.examples import choose, evenly
from pllava_cli.evaluation.report.published import Published, known
from pllava_cli.evaluation.report.thumbnails import PICTURES, jpeg_url, seen_frames

if TYPE_CHECKING:
    from pllava_cli.evaluation.report.thumbnails import Frames

MOST_LETTERS = 1000
"""Of an answer or a question."""
MOST_NAME_LETTERS = 120
"""Of a group, which would make the table wide."""
MOST_PICTURE_LETTERS = 2_000_000
"""Of all pictures together, in base64: the page stays below 3 MB."""


def write_page(result: Result, published: Published | None, frames: "Frames | None" = None) -> str:
    """Return the report of a result.

    Args:
        result: What a run came to.
        published: What the paper prints of the benchmark.
        frames: Gives the frames that were seen for an answer; None decodes its clip again.
    """
    page, body = new_page(f"{result.benchmark}: {_name(result)}")
    add(body, "p", f"Scoring: {result.scoring}", kind="soft")
    _add_settings(body, result)
    _add_groups(body, result, published)
    _add_averages(body, result, published)
    add_notes(body, tables.notes(result, published))
    _add_asides(body, result)
    _add_examples(body, result, frames or seen_frames)
    return to_text(page)


def _name(result: Result) -> str:
    """What tells this page from those of other runs of the benchmark."""
    return shortened(result.settings.get(CHECKPOINT, "result"), MOST_NAME_LETTERS)


def _add_settings(body: Element, result: Result) -> None:
    if result.settings:
        add(body, "h2", "Settings")
        rows = add_table(body, [], kind="settings")
        for name, value in result.settings.items():
            row = add(rows, "tr")
            add(row, "td", shortened(name, MOST_NAME_LETTERS), kind="soft")
            add(row, "td", shortened(value, MOST_LETTERS))


def _add_groups(body: Element, result: Result, published: Published | None) -> None:
    rows = tables.group_rows(result, published)
    if not rows:
        return
    kinds = tables.aside_kinds(rows)
    models = list(published.models) if published and rows[0].published else []
    add(body, "h2", "Result")
    _add_legend(body, result, models)
    limits = tables.limits(rows)
    counted = ["answers", *(tables.KINDS[kind] for kind in kinds)]
    top = tables.UNITS.get(result.unit)  # metrics of captions end at 100 or at 1000: no bars side by side
    bars = [] if top is None else [""]
    heads = ["group", *bars, result.unit or "figure", *limits, *counted, *models]
    filled = add_table(body, heads, kind="groups")
    for row in rows[: tables.MOST_ROWS]:
        line = add(filled, "tr")
        add(line, "td", shortened(row.name, MOST_NAME_LETTERS))
        if top is not None:
            _add_bar(add(line, "td", kind="chart"), row, top, models)
        _add_figures(line, row, limits)
        add(line, "td", f"{row.of:,}")
        for kind in kinds:
            add(line, "td", str(row.counts.get(kind, 0)))
        _add_printed(line, row)
    _add_rest(body, len(rows) - tables.MOST_ROWS, "group")


def _add_legend(body: Element, result: Result, models: Sequence[str]) -> None:
    legend = add(body, "p", tables.explanation(result), kind="soft")
    keys = [
        ("own", "this run"),
        *((f"m{number}", f"{model}, printed") for number, model in enumerate(models)),
    ]
    for kind, words in keys if models else ():
        label = add(legend, "span", kind="label")
        add(label, "span", kind=f"key {kind}").tail = words


def _add_bar(cell: Element, row: tables.Row, top: float, models: Sequence[str]) -> None:
    def place(value: float) -> float:
        return min(max(100 * value / top, 0.0), 100.0)

    bar = add(cell, "span", kind="bar")
    for own in known([row.value]):
        add(bar, "i", kind="value", style=f"width:{place(own):.1f}%")
    if row.interval is not None:
        low, high = map(place, row.interval)
        add(bar, "i", kind="spread", style=f"left:{low:.1f}%;width:{high - low:.1f}%")
    for number, (model, value) in enumerate(zip(models, row.published, strict=False)):
        for there in known([value]):
            title = f"{model}: {tables.figure(there, row.unit)}"
            add(bar, "i", kind=f"m{number}", style=f"left:{place(there):.1f}%", title=title)


def _add_figures(line: Element, row: tables.Row, limits: Sequence[str]) -> None:
    add(line, "td", tables.figure(row.value, row.unit), kind="figure")
    for _ in limits:
        add(line, "td", tables.between(row.interval, row.unit), kind="low")


def _add_printed(line: Element, row: tables.Row) -> None:
    for value in row.published:
        add(line, "td", tables.figure(value, row.unit))


def _add_averages(body: Element, result: Result, published: Published | None) -> None:
    rows = tables.average_rows(result, published)
    if not rows:
        return
    add(body, "h2", "Averages")
    models = list(published.models) if published else []
    limits = tables.limits(rows)
    filled = add_table(body, ["average", "figure", *limits, *models, "of what"], kind="averages")
    for row in rows:
        line = add(filled, "tr")
        add(line, "td", row.name if row.unit == "%" else f"{row.name} ({row.unit})")
        _add_figures(line, row, limits)
        _add_printed(line, row)
        add(line, "td", row.note, kind="words")


def add_notes(body: Element, notes: Sequence[str]) -> None:
    """Add notes below a heading of their own; nothing if there are none."""
    if notes:
        add(body, "h2", "Notes")
        _add_list(body, notes, tables.MOST_NOTE_LETTERS)


def _add_asides(body: Element, result: Result) -> None:
    for kind, verdicts in tables.listed(result).items():
        folded = add(body, "details")
        add(folded, "summary", f"{tables.KINDS[kind].capitalize()}: {len(verdicts):,}")
        _add_list(folded, [_aside(verdict) for verdict in verdicts[: tables.MOST_LISTED]])
        _add_rest(folded, len(verdicts) - tables.MOST_LISTED, "answer")
    if result.faults:
        folded = add(body, "details")
        add(folded, "summary", f"Entries of the benchmark that could not be asked: {len(result.faults):,}")
        _add_list(folded, [f"{each.where}: {each.message}" for each in result.faults[: tables.MOST_LISTED]])
        _add_rest(folded, len(result.faults) - tables.MOST_LISTED, "entry", "entries")


def _aside(verdict: Verdict) -> str:
    item = verdict.said.item
    return ": ".join(filter(None, [f"{item.id}, {item.clip}", "; ".join(tables.reasons(verdict))]))


def _add_list(body: Element, texts: Sequence[str], most: int = MOST_LETTERS) -> None:
    points = add(body, "ul")
    for text in texts:
        add(points, "li", shortened(text, most))


def _add_rest(body: Element, count: int, what: str, several: str = "") -> None:
    if count > 0:
        add(body, "p", tables.rest(f"{count:,}", what, several), kind="soft")


def _add_examples(body: Element, result: Result, frames: "Frames") -> None:
    chosen = choose(result.verdicts)
    if not chosen:
        return
    add(body, "h2", "Some of the answers")
    add(
        body,
        "p",
        "Chosen by lot, the same in every run; with some of the frames that were seen.",
        kind="soft",
    )
    cards = add(body, "div", kind="cards")
    room = MOST_PICTURE_LETTERS
    for verdict in chosen:
        look = "graded" if tables.is_graded(verdict, result) else verdict.kind
        card = add(cards, "article", kind=f"card {look}")
        add(card, "h3", tables.heading(verdict, result))
        room -= _add_frames(card, verdict, frames, room)
        listed = add(card, "dl")
        for name, value in tables.details(verdict, result):
            add(listed, "dt", name)
            add(listed, "dd", shortened(value, MOST_LETTERS))


def _add_frames(card: Element, verdict: Verdict, frames: "Frames", room: int) -> int:
    """Add the frames that were seen for an answer; returns how many letters they take."""
    said = verdict.said
    if verdict.kind == "failed":
        return 0
    try:
        pictures = [jpeg_url(frame) for frame in frames(said, PICTURES)]
    except PllavaError as error:
        add(card, "p", f"The frames cannot be shown: {error}", kind="soft")
        return 0
    letters = sum(map(len, pictures))
    if letters > room:
        add(card, "p", "The frames are left out, as the page would become too large.", kind="soft")
        return 0
    if pictures and not said.timestamps_s:
        add(card, "p", "Frames of the clip: which of them were seen is not known.", kind="soft")
    times = evenly(said.timestamps_s, len(pictures)) if pictures else []
    row = add(card, "div", kind="frames")
    for number, picture in enumerate(pictures):
        shown = add(row, "figure")
        time = f"{times[number]:.1f} s" if number < len(times) else ""
        add(shown, "img", src=picture, alt=f"frame {number + 1}, {time}".rstrip(", "))
        if time:
            add(shown, "figcaption", time)
    return letters
