"""What was measured of `tiny`, as it is kept and as it is told: JSON files, Markdown tables, charts.

Every part of the measurement keeps its own file, and the tables are always made from the files: parts
can be repeated one by one, and nothing in the text can differ from what was measured.
"""

import json
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.tiny_run import Loaded
from benchmarks.tiny_scores import CAPTION_FIGURES, Figures, Tally
from benchmarks.tiny_study import Row
from pllava_cli.chart import line_chart
from pllava_cli.shapes.captions import TOGETHER, VERBS
from pllava_cli.shapes.questions import KINDS
from pllava_cli.shapes.subtasks import SUBTASKS

BEGIN, END = "<!-- tiny_quality: begin -->", "<!-- tiny_quality: end -->"
"""What stands between these lines of the results is written anew."""
PARTS = ("quality", "precision", "study")
ALL = "1–3 objects"
"""The row of the quality part that the aims are about."""
LABELS = {
    "all right": "objects all right",
    "colour": "colour",
    "shape": "shape",
    "size": "size",
    "motion": "motion",
    "hallucinated": "told objects that are not there",
    "things": "captions with all objects right",
    "background": "background right",
    "exact": "exact captions",
    "empty": "empty captions",
    "looping": "looping captions",
    "cut off": "captions cut off",
}
"""The caption figures in words."""


@dataclass(frozen=True)
class Part:
    """A part of the measurement."""

    name: str
    command: str
    machine: str
    date: str
    took_s: float
    rows: Sequence[Row]
    failed: dict[str, str]
    """Why a setting could not be measured, by its name."""

    def save(self, folder: Path) -> None:
        """Write the part's file."""
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(asdict(self), indent=1, ensure_ascii=False)
        _file(folder, self.name).write_text(text + "\n", encoding="utf-8")

    def table(self, name: str) -> list[Row]:
        """The rows of a table."""
        return [row for row in self.rows if row.table == name]


def load_parts(folder: Path) -> dict[str, Part]:
    """The parts that a folder holds, by name."""
    found = {}
    for name in PARTS:
        if _file(folder, name).exists():
            raw = json.loads(_file(folder, name).read_text(encoding="utf-8"))
            found[name] = Part(**raw | {"rows": [_row(each) for each in raw["rows"]]})
    return found


def _file(folder: Path, part: str) -> Path:
    return folder / f"tiny_{part}.json"


def _row(raw: dict[str, Any]) -> Row:
    figures = raw["figures"]
    for name in ("caption", "actions", "questions", "items"):
        figures[name] = {key: Tally(**tally) for key, tally in figures[name].items()}
    loaded = Loaded(**raw["loaded"] | {"pooling_shape": tuple(raw["loaded"]["pooling_shape"])})
    return Row(raw["table"], raw["name"], loaded, Figures(**figures))


def write_report(parts: dict[str, Part], charts: Path, report: Path) -> None:
    """Write the charts, and the tables into their place in the report, or at its end."""
    if "study" in parts:
        _draw(parts["study"], charts)
    tell = {"quality": _quality, "precision": _precision, "study": _study}
    lines = [BEGIN, "## Quality of `tiny`", ""]
    for name, part in parts.items():
        lines += [f"`{part.command}`: {part.took_s / 60:.1f} minutes on {part.date}.", f"{part.machine}.", ""]
        lines += tell[name](part)
        lines += [f"Not measured: {what}: {why}." for what, why in part.failed.items()]
        lines += [""] if part.failed else []
    if "study" in parts:
        where = Path(os.path.relpath(charts, report.parent)).as_posix()
        drawn = {name: chart for name, chart in CHARTS.items() if parts["study"].table(chart.table)}
        lines += [f"![{chart.title}]({where}/tiny_{name}.svg)" for name, chart in drawn.items()] + [""]
    section = "\n".join([*lines[:-1], END])
    text = report.read_text(encoding="utf-8") if report.exists() else ""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    text = before + section + after if begin and end else f"{text.rstrip()}\n\n{section}\n".lstrip()
    report.write_text(text, encoding="utf-8")


def _quality(part: Part) -> list[str]:
    rows = part.table("quality")
    whole = next(row for row in rows if row.name == ALL)
    lines = [
        "Captions, and the answers of the tool as a user gets them "
        f"({_spell(whole.loaded)}), on clips that training never saw. "
        "Percent; in parentheses the 95 % confidence interval (Wilson). An object is all right if its "
        "colour, shape, size and all that it does are told right, in whatever words; size and motion are "
        "looked for at the object of that colour and shape.",
        "",
    ]
    heads = ["", *(f"{row.name} ({row.figures.clips} clips)" for row in rows)]
    lines += _table(
        heads,
        [[LABELS[name], *(_between(row.figures.caption[name]) for row in rows)] for name in CAPTION_FIGURES],
    )
    figures = whole.figures
    doings = {kind: figures.actions[kind] for kind in (*VERBS, *TOGETHER) if kind in figures.actions}
    lines += ["Objects all of whose doings are told right, by what they do:", ""]
    lines += _by_kind(["action", "objects", "right"], doings)
    asked = {kind: figures.questions[kind] for kind in KINDS if kind in figures.questions}
    lines += ["Open questions answered in the very words of the truth:", ""]
    lines += _by_kind(["about", "asked", "right"], asked | {"all": figures.open_questions})
    items = [
        [task.replace("_", " "), str(tally.of), f"{100 * figures.chance(task):.1f}", _between(tally)]
        for task, tally in ((task, figures.items[task]) for task in SUBTASKS if task in figures.items)
    ]
    mean = f"{100 * figures.mean_choice:.1f} (± {100 * figures.choice_spread:.1f})"
    items.append(["**average**", "", f"{100 * figures.mean_chance:.1f}", f"**{mean}**"])
    lines += ["Multiple choice, by sub-task:", ""]
    return lines + _table(["sub-task", "asked", "chance", "right"], items)


def _by_kind(heads: Sequence[str], tallies: dict[str, Tally]) -> list[str]:
    return _table(heads, [[kind, str(tally.of), _between(tally)] for kind, tally in tallies.items()])


def _precision(part: Part) -> list[str]:
    rows = part.table("precision")
    cells = [
        [
            row.name,
            row.loaded.dtype,
            _between(row.figures.caption["all right"]),
            _percent(row.figures.caption["exact"]),
            _percent(row.figures.open_questions),
            f"{100 * row.figures.mean_choice:.1f} (± {100 * row.figures.choice_spread:.1f})",
            f"{row.figures.elapsed_s / row.figures.clips:.2f}",
        ]
        for row in rows
    ]
    clips = rows[0].figures.clips if rows else 0
    heads = ["precision", "computed in", "objects all right", "exact captions", "open questions"]
    heads += ["multiple choice", "seconds a clip"]
    return [f"The same in other precisions, {clips} clips each:", "", *_table(heads, cells)]


_STUDY: dict[str, tuple[str, Callable[[Row], str]]] = {
    "visual tokens": ("", lambda row: str(row.loaded.visual_tokens)),
    "objects all right": ("", lambda row: _between(row.figures.caption["all right"])),
    "exact captions": ("", lambda row: _percent(row.figures.caption["exact"])),
    "multiple choice": ("", lambda row: f"{100 * row.figures.mean_choice:.1f}"),
    "tokens a caption": ("", lambda row: f"{row.figures.mean_tokens:.1f}"),
    "empty": ("prompts", lambda row: str(row.figures.caption["empty"].right)),
    "looping": ("prompts", lambda row: str(row.figures.caption["looping"].right)),
    "cut off": ("prompts", lambda row: str(row.figures.caption["cut off"].right)),
}
"""The study's columns: the only table that has it, "" all; and what stands in it."""
TITLES = {
    "temporal pooling": "Pooling over time at inference, frames × rows × columns (the paper's figure 7 c, d)",
    "spatial pooling": "Pooling over space at inference (the paper's figure 7 a, b)",
    "kept tokens": "Share of the visual tokens left where what stays the same over time is merged",
    "prompts": "Prompts not trained with (the paper's figure 4; the last three columns count captions)",
    "alpha": "Strength of LoRA at inference, alpha (the paper's figure 9)",
}


def _study(part: Part) -> list[str]:
    lines = []
    for table, title in TITLES.items():
        rows = part.table(table)
        if not rows:
            continue
        columns = {name: cell for name, (only, cell) in _STUDY.items() if only in ("", table)}
        heads = ["checkpoint", "prompt"] if table == "prompts" else [table]
        cells = [[*row.name.split(" | "), *(cell(row) for cell in columns.values())] for row in rows]
        lines += [f"{title}, {rows[0].figures.clips} clips each:", "", *_table([*heads, *columns], cells)]
    return lines


@dataclass(frozen=True)
class _Chart:
    """A chart of a table of the study."""

    table: str
    title: str
    x_label: str
    x: Callable[[Row], float]
    """Where a row stands."""
    y_label: str = "right, %"
    curves: Callable[[Figures], dict[str, float]] = lambda figures: {
        "objects all right": 100 * figures.caption["all right"].share,
        "exact captions": 100 * figures.caption["exact"].share,
        "multiple choice": 100 * figures.mean_choice,
    }
    """How high each curve is there."""
    y_range: tuple[float, float] | None = (0.0, 100.0)


CHARTS = {
    "temporal": _Chart(
        "temporal pooling", "Pooling over time", "frames left", lambda row: row.loaded.pooling_shape[0]
    ),
    "spatial": _Chart(
        "spatial pooling",
        "Pooling over space",
        "rows and columns left",
        lambda row: row.loaded.pooling_shape[1],
    ),
    "kept": _Chart(
        "kept tokens", "Merging over time", "visual tokens left", lambda row: row.loaded.visual_tokens
    ),
    "alpha": _Chart("alpha", "Strength of LoRA", "alpha", lambda row: row.loaded.alpha or 0.0),
    "length": _Chart(
        "alpha",
        "Length of captions by strength of LoRA",
        "alpha",
        lambda row: row.loaded.alpha or 0.0,
        "tokens a caption",
        lambda figures: {"captions": figures.mean_tokens},
        None,
    ),
}
"""The charts by the names of their files."""


def _draw(part: Part, folder: Path) -> None:
    for name, chart in CHARTS.items():
        curves: dict[str, list[tuple[float, float]]] = {}
        for row in part.table(chart.table):
            for curve, height in chart.curves(row.figures).items():
                curves.setdefault(curve, []).append((chart.x(row), height))
        if curves:
            file = folder / f"tiny_{name}.svg"
            line_chart(file, chart.title, chart.x_label, chart.y_label, curves, y_range=chart.y_range)


def _spell(loaded: Loaded) -> str:
    parts = [loaded.device, loaded.dtype]
    parts += [loaded.quantize] if loaded.quantize != "none" else []
    return ", ".join(parts if loaded.alpha is None else [*parts, f"alpha {loaded.alpha:g}"])


def _percent(tally: Tally) -> str:
    return f"{100 * tally.share:.1f}" if tally.of else "–"


def _between(tally: Tally) -> str:
    if not tally.of:
        return "–"
    low, high = tally.interval
    return f"{100 * tally.share:.1f} ({100 * low:.1f}–{100 * high:.1f})"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [heads, ["---"] * len(heads), *rows]
    return [*(f"| {' | '.join(cells)} |" for cells in lines), ""]
