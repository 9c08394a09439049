"""What `pllava eval` says: the table, what could not be asked, and what a run would do."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pllava_cli.batch.planning import Planned
from pllava_cli.batch.tally import duration
from pllava_cli.errors import ExitStatus
from pllava_cli.evaluation.benchmarks import captions, splits
from pllava_cli.evaluation.items import ASIDE, Average, Benchmark, Fault, Group, Kind, Result, Said
from pllava_cli.evaluation.reading import is_there
from pllava_cli.phrases import share
from pllava_cli.terminal import Terminal, one_line

MOST_FAULTS = 20
"""Entries of a benchmark's files that are named one by one."""


def faults(terminal: Terminal, found: Sequence[Fault]) -> None:
    """Name what could not be asked."""
    for each in found[:MOST_FAULTS]:
        terminal.warn(f"{each.where}: {each.message}")
    if len(found) > MOST_FAULTS:
        terminal.warn(f"and {len(found) - MOST_FAULTS} more like these; the report has all of them")


def missing(terminal: Terminal, benchmark: Benchmark) -> None:
    """Tell, before hours are spent on the others, of clips to caption that are not there."""
    if benchmark.name != captions.NAME:
        return
    clips = {item.clip for item in benchmark.items}
    gone = {clip for clip in clips if not is_there(clip)}
    if gone:
        advice = splits.advice(benchmark, {item.id for item in benchmark.items if item.clip in gone})
        told = share(
            len(gone),
            len(clips),
            "clip",
            "is missing, and counts as an empty caption if it is not captioned already",
            "are missing, and count as empty captions if they are not captioned already",
        )
        terminal.warn(f"{told}; {advice}" if advice else told)


def status(said: Sequence[Said], benchmark: Benchmark) -> ExitStatus:
    """Return the exit status that a run's answers lead to."""
    failed = sum(each.text is None for each in said)
    if not failed and not benchmark.faults:
        return ExitStatus.OK
    return ExitStatus.ALL_FAILED if failed == len(said) else ExitStatus.SOME_FAILED


def table(terminal: Terminal, result: Result) -> None:
    """Write the figures to stdout."""
    kinds = [kind for kind in ASIDE if any(group.counts.get(kind) for group in result.groups)]
    rows = [("GROUP", "ANSWERS", result.unit.upper() or "SCORE", *(kind.upper() for kind in kinds))]
    rows += [_row(group, result.unit, kinds) for group in result.groups]
    terminal.table(rows)
    if result.averages:
        terminal.line()
    terminal.table([(one_line(each.label), _average(each, result), each.note) for each in result.averages])


def sweep(terminal: Terminal, runs: Sequence[tuple[Mapping[str, str], Result]]) -> None:
    """Write what each setting came to, a row each, to stdout."""
    names = list(runs[0][0])
    labels = list(dict.fromkeys(label for _, result in runs for label in _figures(result)))
    rows = [tuple(each.upper().replace("_", " ") for each in (*names, *labels))]
    for differs, result in runs:
        figures = _figures(result)
        values = (figures.get(label, _value(None, "")) for label in labels)
        rows.append((*(differs[name] for name in names), *values))
    terminal.table(rows)


def _figures(result: Result) -> dict[str, str]:
    """What a run came to in short: its averages, or its groups where there are none."""
    whole = {one_line(each.label): _average(each, result) for each in result.averages}
    return whole or {one_line(each.name): _value(each.value, result.unit) for each in result.groups}


def _row(group: Group, unit: str, kinds: Sequence[Kind]) -> tuple[str, ...]:
    counts = (str(group.counts.get(kind, 0)) for kind in kinds)
    return (one_line(group.name), str(group.of), _value(group.value, unit), *counts)


def _average(average: Average, result: Result) -> str:
    from pllava_cli.evaluation.report.tables import unit_of

    return _value(average.value, unit_of(average, result))


def _value(value: float | None, unit: str) -> str:
    return "-" if value is None else f"{value:.1f}" if unit == "%" else f"{value:.2f}"


@dataclass(frozen=True)
class Foreseen:
    """What a run would do."""

    benchmark: Benchmark
    said: Sequence[Said]
    """What is answered."""
    planned: Planned
    """Counted in clips, or parts of them."""
    each_s: float | None
    """Seconds that earlier answers took, each; None: not known."""

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        left = sum(each.text is None for each in self.said)
        clips = {item.clip for item in self.benchmark.items}
        return {
            "questions": len(self.said),
            "answered": len(self.said) - left,
            "to_answer": left,
            "clips": len(clips),
            "clips_missing": sum(not is_there(clip) for clip in clips),
            "parts": self.planned.seen,
            "parts_to_do": self.planned.to_do,
            "parts_failed_before": self.planned.failed,
            "parts_stale": self.planned.stale,
            "faults": len(self.benchmark.faults),
            "estimate_s": None if self.each_s is None else self.each_s * left,
        }


def dry_run(terminal: Terminal, foreseen: Foreseen, differs: Mapping[str, str], *, as_json: bool) -> None:
    """Say what would be done."""
    plain = foreseen.as_dict()
    if as_json:
        terminal.json_line(json.dumps({"setting": dict(differs)} | plain if differs else plain))
        return
    stale = "made with other settings; --redo would answer them again" if plain["parts_stale"] else ""
    terminal.table(
        [
            ("questions", str(plain["questions"]), ""),
            ("  answered", str(plain["answered"]), ""),
            ("  to answer", str(plain["to_answer"]), ""),
            ("clips", str(plain["clips"]), ""),
            ("  missing", str(plain["clips_missing"]), ""),
            ("parts of clips", str(plain["parts"]), "each decoded and encoded once"),
            ("  to do", str(plain["parts_to_do"]), ""),
            ("  failed before", str(plain["parts_failed_before"]), ""),
            ("  stale", str(plain["parts_stale"]), stale),
            ("cannot be asked", str(plain["faults"]), ""),
        ]
    )
    takes_s = plain["estimate_s"]
    if takes_s is not None:
        terminal.line(f"about {duration(takes_s)}, by the {foreseen.each_s:.3g} s that each answer took")
    else:
        terminal.line("how long that takes is not known before some are answered")
