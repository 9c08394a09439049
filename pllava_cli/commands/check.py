"""`pllava check`: which records of a file to look at again before anything is made of them."""

import json
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer
from typer import Option

from pllava_cli import inputs
from pllava_cli.commands.options import OutputFlags, complete_from, takes
from pllava_cli.errors import ExitStatus, UsageError
from pllava_cli.terminal import Terminal, one_line

if TYPE_CHECKING:
    from pllava_cli.checks.findings import Finding, Report

EXAMPLES = """
# what is wrong with last night's captions
pllava check captions.jsonl
# the ids of all that are flagged
pllava check --json captions.jsonl | jq -r '.flagged[].id'
# in a script: fail only on what no person needs to look at
pllava check --ignore boilerplate,near-duplicate captions.jsonl
"""

MEANINGS = {
    "error": "an error stands in place of the text",
    "empty": "there is no text",
    "looping": "half of its words were said before in it, or the model was stopped for that",
    "cut-off": "cut off at --max-new-tokens",
    "boilerplate": "opens like `The video shows`, or as more than a fifth of all clips do",
    "near-duplicate": "nearly the caption of another clip",
    "missing-file": "the clip is not there, seen from this folder",
    "torn": "the line is no record",
}
"""What each flag says."""

MOST_ROWS = 50
"""Findings that are listed one by one; --json has all."""

MOST_ABOUT = 120
"""Characters of an error's message in the list."""


@dataclass(frozen=True)
class CheckFlags(OutputFlags):
    """What `check` understands."""

    statuses: ClassVar = {ExitStatus.SOME_FAILED: "Something is flagged."}

    ignore: Annotated[
        str | None,
        Option(
            metavar="FLAG,...",
            autocompletion=complete_from(*MEANINGS),
            help="Flags that do not matter: " + ", ".join(MEANINGS) + ".",
        ),
    ] = None


@takes(CheckFlags)
def check(
    terminal: Terminal,
    flags: CheckFlags,
    file: Annotated[
        str, typer.Argument(metavar="FILE.jsonl", help="Records, as batch or --json writes them.")
    ],
) -> int:
    """Flag captions and answers that need another look.

    Empty, looping or cut-off texts, captions that open with boilerplate or are nearly those of other
    clips, errors, clips that are gone, and lines that are no records. Of several records of the same
    thing only the newest counts. Nothing is changed. Exit status: 0 if nothing is flagged, 3 if
    something is.
    """
    from pllava_cli.checks.findings import examine  # not for --help: numpy is slow to load

    path = inputs.named(file, "the file", "name a file of records")
    ignored = read_flags("--ignore", flags.ignore or "")
    terminal.progress.update("looking through the records", 0, 0)
    report = examine(path, ignored)
    if flags.json:
        terminal.json_line(json.dumps(_plain(file, report)))
    else:
        _render(terminal, report)
    return ExitStatus.SOME_FAILED if report.findings else ExitStatus.OK


def read_flags(option: str, text: str, offered: Collection[str] = tuple(MEANINGS)) -> frozenset[str]:
    """Read what an option takes that names flags, with commas between them.

    Args:
        option: As it is spelt.
        text: What it is given.
        offered: The flags that a hint names.

    Raises:
        UsageError: There is no such flag.
    """
    names = frozenset(name.strip() for name in text.split(",")) - {""}
    for name in sorted(names - MEANINGS.keys()):
        near = get_close_matches(name, offered, 1)
        hint = f"did you mean {near[0]}?" if near else "choose among " + ", ".join(offered)
        raise UsageError(f"{option}: there is no flag {name!r:.60}", hint)
    return names


def _plain(file: str, report: "Report") -> dict[str, object]:
    return {
        "file": file,
        "records": report.records,
        "superseded": report.superseded,
        "counts": report.counts,
        "flagged": [asdict(finding) for finding in report.findings],
    }


def _render(terminal: Terminal, report: "Report") -> None:
    counts = {flag: count for flag, count in report.counts.items() if count}
    superseded = f", superseded: {report.superseded}" if report.superseded else ""
    terminal.line(f"records: {report.records}, flagged: {len(report.findings)}{superseded}")
    if counts:
        terminal.line()
        terminal.table([(flag, str(count), MEANINGS[flag]) for flag, count in counts.items()])
        terminal.line()
        terminal.table([("line", "flags", "clip", ""), *_rows(report.findings[:MOST_ROWS])])
    if len(report.findings) > MOST_ROWS:
        terminal.note(f"and {len(report.findings) - MOST_ROWS} more: --json lists all")


def _rows(findings: "Sequence[Finding]") -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for each in findings:
        about = f"like line {each.like}" if "near-duplicate" in each.flags else each.detail or ""
        rows.append(
            (str(each.line), ", ".join(each.flags), one_line(each.path or ""), one_line(about[:MOST_ABOUT]))
        )
    return rows
