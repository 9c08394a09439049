"""`pllava batch`: many clips into records, over nights, on one machine.

Flags become a request here, and whatever can be refused is refused; `batching` does the work.
"""

import os
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, get_args

import typer
from typer import Option

from pllava_cli import inputs, settings
from pllava_cli.batch.segments import parse_length
from pllava_cli.batch.sharding import parse_shard
from pllava_cli.batch.sidecar import Existing, Sidecars
from pllava_cli.batch.wording import Wording
from pllava_cli.commands import staffing
from pllava_cli.commands.asking import check_question
from pllava_cli.commands.check import read_flags
from pllava_cli.commands.layout import ALL
from pllava_cli.commands.options import (
    CaptionFlags,
    OutputOption,
    SummaryJson,
    complete_from,
    in_text,
    said,
    takes,
)
from pllava_cli.commands.request import Request, Sources
from pllava_cli.commands.staffing import StaffingFlags
from pllava_cli.errors import UsageError
from pllava_cli.terminal import Terminal

EXAMPLES = """
# every clip below a folder; stop it as you like, the same command goes on with it
pllava batch clips/ -o captions.jsonl
# what it would do, and how long that would take
pllava batch clips/ -o captions.jsonl --dry-run
# make those again that were cut off, with room for more words; all others stay
pllava batch clips/ -o captions.jsonl --redo-flagged=cut-off --max-new-tokens 512
# questions about ten seconds at a time
pllava batch films/ -o answers.jsonl --every 10s --ask "What happens?" --ask "Who is there?"
# a caption of each shot
pllava batch films/ -o shots.jsonl --shots
# captions for a trainer, a .txt beside each clip; of clips that are done, without the model
pllava batch clips/ -o captions.jsonl --sidecar .txt --trigger mycat
# a model on each of two GPUs, or on each GPU of a Ray cluster
pllava batch clips/ -o captions.jsonl --devices cuda:0,cuda:1
pllava batch /shared/clips -o captions.jsonl --engine ray --address 10.0.0.1:6379
# a list from another program; records to stdout
find clips/ -name "*.mp4" -print0 | pllava batch --from-file - -0 > captions.jsonl
"""

_PATHS = (
    "Video files, folders, patterns, or manifests: .jsonl or .csv with path, and if wanted id, start, end and"
    " question; paths in one are relative to its folder."
)
CLIPS, SIDECARS = "Clips", "Sidecars"
_in_clips = partial(Option, rich_help_panel=CLIPS)
_in_sidecars = partial(Option, rich_help_panel=SIDECARS)
MENDABLE = ("error", "empty", "looping", "cut-off", "boilerplate", "near-duplicate")
"""Flags of `pllava check` that another text may not have."""


@dataclass(frozen=True)
class BatchFlags(StaffingFlags, CaptionFlags):
    """What `batch` understands."""

    json: SummaryJson = False
    output: Annotated[
        str | None,
        OutputOption(
            metavar="FILE",
            help="Append records to this file and go on from what is in it; else they go to stdout.",
        ),
    ] = None
    redo: Annotated[bool, Option("--redo", help="Make again what the file holds from other settings.")] = (
        False
    )
    redo_flagged: Annotated[
        str | None,
        Option(
            metavar="[=FLAG,...]",
            help="Make again what `pllava check` flags with one of these (" + ", ".join(MENDABLE) + "; all"
            " if none is said), and keep everything else as it is, whatever settings made it. The same"
            " settings would give the same text: change --max-new-tokens, --temperature or --prompt with it.",
        ),
    ] = None
    dry_run: Annotated[
        bool, Option("--dry-run", help="Say what would be done and what is done, and change nothing.")
    ] = False
    from_file: Annotated[
        list[str] | None,
        _in_clips(
            metavar="LIST",
            help="Take clips from a list, one a line, relative to this folder, or from a .jsonl or .csv"
            " manifest; - is stdin, a list. May repeat.",
        ),
    ] = None
    null: Annotated[bool, _in_clips("-0", "--null", help="Names in lists end in NUL bytes.")] = False
    recursive: Annotated[
        bool,
        _in_clips("--recursive/--no-recursive", help="Look into folders within folders."),
    ] = True
    every: Annotated[
        str | None,
        _in_clips(metavar="LENGTH", help="Cut clips into segments: 10s, 1m, 0.5."),
    ] = None
    shots: Annotated[
        bool,
        _in_clips("--shots", help="Cut clips into their shots (extra: shots)."),
    ] = False
    shard: Annotated[
        str | None,
        _in_clips(
            metavar="I/N",
            help="Do one of N parts, chosen by the clips' ids; in a job array of Slurm, the task's own.",
        ),
    ] = None
    ask: Annotated[
        list[str] | None,
        in_text(metavar="QUESTION", help="Ask this instead of for a caption. May repeat."),
    ] = None
    sidecar: Annotated[
        str | None,
        _in_sidecars(
            metavar="SUFFIX",
            help="Write each text beside its clip too: .txt. Of clips that are done, what is missing is"
            " written from their records.",
        ),
    ] = None
    existing: Annotated[
        str | None,
        _in_sidecars(
            metavar="WHAT",
            autocompletion=complete_from(*get_args(Existing)),
            help="What to do with a sidecar that is there, of clips that are done too: skip (default),"
            " overwrite, append or prepend. A text that it holds is not added again.",
        ),
    ] = None
    prefix: Annotated[str | None, _in_sidecars(metavar="TEXT", help="Put this before each text.")] = None
    suffix: Annotated[str | None, _in_sidecars(metavar="TEXT", help="Put this after each text.")] = None
    trigger: Annotated[
        str | None, _in_sidecars(metavar="WORD", help="Begin each text that does not say this word with it.")
    ] = None


@takes(BatchFlags)
def batch(
    terminal: Terminal,
    flags: BatchFlags,
    paths: Annotated[list[str] | None, typer.Argument(metavar="PATH", help=_PATHS)] = None,
) -> int:
    """Caption many clips, or ask about them, and write a record of each.

    Records come as they are made, in no order. With `-o` every record is on the disk before the next is
    begun: a run that was stopped, or killed, goes on where it was, and clips that failed are tried again.
    A clip that cannot be used costs its own record and no more. Ctrl-C finishes what is under way.
    """
    from pllava_cli.commands import batching  # not for --help

    request = read(flags, paths or [])
    part = request.sources.shard
    if flags.shard is None and part is not None:
        # Else whoever has given each task a list of its own would lose most of it without a word.
        terminal.note(
            f"shard {part.index}/{part.count}, as a task of Slurm's job array; --shard 1/1 does all clips"
        )
    return batching.run(terminal, request)


def read(flags: BatchFlags, paths: list[str]) -> Request:
    """Read and check the flags.

    Raises:
        UsageError: They cannot be meant.
    """
    questions = tuple(dict.fromkeys(flags.ask or []))
    for question in questions:
        check_question(question)
    if questions and (flags.prompt is not None or flags.prompt_file is not None):
        raise UsageError("--ask and --prompt both say what to ask", "give --ask alone")
    window = inputs.window(flags.start, flags.end)
    _check_cutting(flags, window)
    output = _output(flags)
    chosen = settings.resolve(said(flags))
    asked: tuple[str | None, ...] = questions or (None,)
    return Request(
        sources=Sources(
            paths=paths,
            lists=flags.from_file or [],
            nul=flags.null,
            recursive=flags.recursive,
            questions=asked,
            window=window,
            every_s=None if flags.every is None else parse_length(flags.every),
            shots=flags.shots,
            shard=parse_shard(flags.shard, os.environ),
        ),
        settings=chosen,
        output=output,
        sidecars=_sidecars(flags),
        redo=flags.redo,
        redo_flagged=_redo_flagged(flags, output),
        dry_run=flags.dry_run,
        json=flags.json,
        needs=staffing.needs(flags, flags.device, chosen.device, asked),
    )


def _check_cutting(flags: BatchFlags, window: tuple[float | None, float | None]) -> None:
    if flags.every is not None and flags.shots:
        raise UsageError("--every and --shots both say where to cut", "give one of them")
    if (flags.every is not None or flags.shots) and window != (None, None):
        flag = "--shots" if flags.shots else "--every"
        raise UsageError(f"{flag} cuts whole clips", "leave --start and --end out")
    if flags.shots and find_spec("scenedetect") is None:
        raise UsageError("--shots needs PySceneDetect, which is not installed", "pip install 'pllava[shots]'")


def _output(flags: BatchFlags) -> Path | None:
    if flags.output is not None and flags.output != "-":
        return inputs.named(flags.output, "the file for the records", "give -o FILE")
    if flags.json and not flags.dry_run:
        raise UsageError("--json writes the run's summary to stdout, where the records go", "give -o FILE")
    return None


def _redo_flagged(flags: BatchFlags, output: Path | None) -> frozenset[str]:
    text = flags.redo_flagged
    if text is None:
        return frozenset()
    names = frozenset(MENDABLE) if text == ALL else read_flags("--redo-flagged", text, MENDABLE)
    for name in sorted(names.difference(MENDABLE)):
        raise UsageError(
            f"--redo-flagged: what is flagged {name} cannot be made again",
            "choose among " + ", ".join(MENDABLE),
        )
    if not names:
        raise UsageError("--redo-flagged= names no flag", "leave = out for all of them")
    if flags.redo:
        raise UsageError(
            "--redo makes again what other settings made, --redo-flagged keeps it", "give one of them"
        )
    if output is None:
        raise UsageError("--redo-flagged needs the records there are", "give -o FILE")
    return names


def _sidecars(flags: BatchFlags) -> Sidecars | None:
    names = ("existing", "prefix", "suffix", "trigger")
    if flags.sidecar is None:
        idle = next((name for name in names if getattr(flags, name) is not None), None)
        if idle is not None:
            raise UsageError(f"--{idle} is for sidecars", "add --sidecar .txt, or leave it out")
        return None
    existing = flags.existing if flags.existing is not None else "skip"
    wording = Wording(flags.trigger or "", flags.prefix or "", flags.suffix or "")
    return Sidecars(flags.sidecar, existing=existing, wording=wording)  # type: ignore[arg-type]  # it checks
