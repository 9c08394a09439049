"""`pllava merge`: the records of several runs, or several machines, in one file."""

import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer
from typer import Option

from pllava_cli import inputs
from pllava_cli.batch.disk import ELSEWHERE, replacing
from pllava_cli.batch.merging import Counts, Merging
from pllava_cli.commands.options import OutputFlags, OutputOption, SummaryJson, takes
from pllava_cli.errors import ExitStatus, UsageError
from pllava_cli.phrases import counted
from pllava_cli.terminal import Terminal

EXAMPLES = """
# the shards of a night, in one file
pllava merge captions-*.jsonl -o captions.jsonl
# add what another machine has made
pllava merge captions.jsonl other.jsonl -o captions.jsonl
# one line for each clip of a file that runs have appended to again and again
pllava merge captions.jsonl -o captions.jsonl
# to another program
pllava merge captions-*.jsonl | jq -r .text
"""

SHOWN_EVERY = 1000
"""Records read between two updates of the display."""


@dataclass(frozen=True)
class MergeFlags(OutputFlags):
    """What `merge` understands."""

    json: SummaryJson = False
    output: Annotated[
        str | None,
        OutputOption(
            metavar="FILE",
            help="The file to write, which may be one of those read; else records go to stdout.",
        ),
    ] = None
    newest: Annotated[
        bool,
        Option(
            "--newest",
            help="If files answer the same with different settings, keep what was made later; else that is"
            " refused.",
        ),
    ] = False
    force: Annotated[
        bool, Option("--force", help="Replace a file that is there, and is none of those read.")
    ] = False


@takes(MergeFlags)
def merge(
    terminal: Terminal,
    flags: MergeFlags,
    files: Annotated[
        list[str], typer.Argument(metavar="FILE.jsonl", help="Records, as batch or --json writes them.")
    ],
) -> int:
    """Fold files of records into one, with one record for each clip, segment and question.

    Of several records of the same thing an answer stays before an error, then what was made later.
    Clips are the same if their paths are, as written: run all shards from one folder, or name clips by
    absolute paths. Records are copied as they are; the file appears once it is whole. A last line that a
    kill has broken off is left out; any other line that is no record ends the merge, and nothing is
    written.
    """
    paths = [inputs.named(file, "the file", "name a file of records") for file in files]
    output = _output(flags, paths)

    def show(count: int) -> None:
        if count % SHOWN_EVERY == 0:
            terminal.progress.update("reading records", 0, 0, f"{count} so far")

    merging = Merging(paths, is_newest=flags.newest, on_record=show)
    if output is None:
        _check_stdout(paths)
        merging.survey()
        for line in merging.chosen():
            terminal.json_line(line[:-1].decode())
    else:
        if not flags.force:
            _check_output(output, paths)
        with replacing(output) as stream:
            merging.survey()
            terminal.progress.update("writing records", 0, 0)
            stream.writelines(merging.chosen())
    terminal.pause()
    for torn in merging.torn:
        terminal.warn(f"the last line of {torn} was torn by a kill, and is left out")
    _tell(terminal, flags, merging.counts)
    return ExitStatus.OK


def _output(flags: MergeFlags, paths: list[Path]) -> Path | None:
    if flags.output is not None and flags.output != "-":
        return inputs.named(flags.output, "the file for the records", "give -o FILE")
    if flags.json:
        raise UsageError("--json writes the summary to stdout, where the records go", "give -o FILE")
    if flags.force:
        raise UsageError("--force is for a file that is there", "give -o FILE, or leave it out")
    return None


def _check_output(output: Path, paths: list[Path]) -> None:
    if os.path.lexists(output) and not any(_is_same(output, path) for path in paths):
        raise UsageError(
            f"{output} is there already",
            f"name it among the files to add to it, replace it with --force, or {ELSEWHERE}",
        )


def _is_same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:  # one of them is not there, which is told elsewhere
        return False


def _check_stdout(paths: list[Path]) -> None:
    try:
        out = os.fstat(sys.stdout.fileno())
        same = next((path for path in paths if os.path.samestat(out, path.stat())), None)
    except (OSError, ValueError):  # no file behind it, or nothing to read, which is told elsewhere
        return
    if same is not None:
        raise UsageError(f"standard output is {same}, which is to be read", f"write -o {same}, which is safe")


def _tell(terminal: Terminal, flags: MergeFlags, counts: Counts) -> None:
    if flags.json:
        terminal.json_line(json.dumps({"records": counts.records, **asdict(counts)}))
        return
    told = [counted(counts.answers, "answer"), counted(counts.errors, "error")]
    if counts.superseded:
        told.append(f"{counts.superseded} superseded")
    if counts.duplicates:
        told.append(f"{counts.duplicates} there twice")
    terminal.note(f"{counted(counts.read, 'record')} of {counted(counts.files, 'file')}: {', '.join(told)}")
    if counts.settings > 1:
        terminal.note(f"the answers were made with {counts.settings} different settings")
