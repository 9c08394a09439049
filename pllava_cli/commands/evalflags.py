"""The flags of `pllava eval`, and how those are read that say what is asked."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, get_args

from typer import Option

from pllava_cli import inputs, registry, settings
from pllava_cli.commands.options import (
    CHECKPOINT,
    FRAMES,
    RUN,
    CheckpointFlags,
    DeviceFlags,
    FrameFlags,
    OutputFlags,
    TextFlags,
    complete_from,
)
from pllava_cli.commands.staffing import StaffingFlags, count
from pllava_cli.errors import UsageError
from pllava_cli.evaluation.choices import Scoring
from pllava_cli.evaluation.questionsets import SETS
from pllava_cli.settings import Settings

QUESTIONS = "Questions"
MOST_SAMPLED = 1_000_000
LEAST_KEPT_GB, MOST_KEPT_GB = 0.1, 1_000_000


@dataclass(frozen=True)
class SampleFlags(OutputFlags):
    """Which of a benchmark's questions."""

    sample: Annotated[
        str | None,
        Option(
            metavar="N",
            rich_help_panel=QUESTIONS,
            help="Ask only N of each group, drawn at random: for a first look, no figures to compare.",
        ),
    ] = None
    sample_seed: Annotated[
        str | None, Option(metavar="N", rich_help_panel=QUESTIONS, help="Draw others; 0 if not said.")
    ] = None


@dataclass(frozen=True)
class EvalFlags(StaffingFlags, DeviceFlags, TextFlags, FrameFlags, CheckpointFlags, SampleFlags):
    """What commands understand that put a benchmark to a checkpoint."""

    # Questions are put as the benchmark puts them, whatever a settings file says of captions.
    own: ClassVar[frozenset[str]] = frozenset({"system", "system_file", "max_new_tokens"})

    alpha: Annotated[
        str | None,
        Option(
            metavar="X,...",
            rich_help_panel=CHECKPOINT,
            help="Weight of the LoRA; several make a sweep, a run for each.",
        ),
    ] = None
    frames: Annotated[
        str | None,
        Option(
            metavar="N,...", rich_help_panel=FRAMES, help="Frames to look at; several make a sweep likewise."
        ),
    ] = None
    pooling_shape: Annotated[
        str | None,
        Option(
            metavar="TxHxW,...",
            rich_help_panel=FRAMES,
            help="Frames, rows and columns of visual tokens that remain after pooling, none: all of them;"
            " several make a sweep likewise.",
        ),
    ] = None
    output: Annotated[
        str | None,
        Option(
            "-o",
            "--output",
            metavar="FOLDER",
            help="The folder to write, and to go on from; else eval-BENCHMARK-CHECKPOINT in this one.",
        ),
    ] = None
    redo: Annotated[
        bool, Option("--redo", help="Answer again what the folder holds from other settings.")
    ] = False
    keep_visual: Annotated[
        bool,
        Option(
            "--keep-visual/--no-keep-visual",
            rich_help_panel=RUN,
            help="Keep visual tokens of clips in the cache, so that no clip is seen twice.",
        ),
    ] = True
    keep_visual_gb: Annotated[
        str | None,
        Option(
            metavar="N",
            rich_help_panel=RUN,
            help="What all of them may take, in GB; 20 if not said. The least recently used go first.",
        ),
    ] = None
    dry_run: Annotated[
        bool, Option("--dry-run", help="Say what would be asked and what is answered, and change nothing.")
    ] = False


@dataclass(frozen=True)
class ChoiceFlags(EvalFlags):
    """What `mc` understands."""

    scoring: Annotated[
        str | None,
        Option(
            metavar="RULES",
            rich_help_panel=QUESTIONS,
            autocompletion=complete_from(*get_args(Scoring)),
            help="How options are read from answers: strict (default), or reference, as the published"
            " figures were.",
        ),
    ] = None


@dataclass(frozen=True)
class DataFlags(OutputFlags):
    """Where a published benchmark lies."""

    data: Annotated[
        str | None, Option(metavar="DIR", rich_help_panel=QUESTIONS, help="The benchmark's folder.")
    ] = None


@dataclass(frozen=True)
class MvbenchFlags(ChoiceFlags, DataFlags):
    """What `mvbench` understands."""

    tasks: Annotated[
        str | None,
        Option(metavar="NAME,...", rich_help_panel=QUESTIONS, help="Only these tasks: action_sequence, ..."),
    ] = None


@dataclass(frozen=True)
class FolderFlags(EvalFlags, DataFlags):
    """What `vcgbench` understands."""


@dataclass(frozen=True)
class VideoqaFlags(FolderFlags):
    """What `videoqa` understands."""

    set: Annotated[
        str | None,
        Option(
            metavar="NAME",
            rich_help_panel=QUESTIONS,
            autocompletion=complete_from(*SETS),
            help="Which questions: " + ", ".join(SETS) + ".",
        ),
    ] = None
    instruction_file: Annotated[
        str | None,
        Option(
            metavar="FILE",
            rich_help_panel=QUESTIONS,
            help="Say this with each question, {question} standing for it; else our own words.",
        ),
    ] = None


@dataclass(frozen=True)
class CaptionsFlags(EvalFlags):
    """What `captions` understands."""

    data: Annotated[
        str | None,
        Option(metavar="DIR", rich_help_panel=QUESTIONS, help="The folder below which the clips are."),
    ] = None
    captions: Annotated[
        str | None,
        Option(
            metavar="FILE",
            rich_help_panel=QUESTIONS,
            help="Score these, made before by pllava batch or anything else, instead of making some.",
        ),
    ] = None


def absolute(text: str | None, what: str, hint: str) -> Path:
    """Return the path that a word names, from the file system's root: records name clips by it.

    Raises:
        UsageError: It is not given (None), or empty.
    """
    if text is None:
        raise UsageError(f"{what} is not named", hint)
    return Path(os.path.abspath(inputs.named(text, what, hint)))  # noqa: PTH100 (links are not followed)


def scoring(text: str | None) -> Scoring:
    """Read the rules of scoring; None: the strict ones.

    Raises:
        UsageError: There are no such rules.
    """
    if text == "reference":
        return "reference"
    if text not in (None, "strict"):
        raise UsageError(f"--scoring: unknown {text!r}", f"choose one of: {', '.join(get_args(Scoring))}")
    return "strict"


def sampled(flags: SampleFlags) -> tuple[int | None, int]:
    """Read how many questions of each group are wanted, None: all, and the seed of the draw.

    Raises:
        UsageError: One is no number, or out of range.
    """
    number = count("--sample", flags.sample, MOST_SAMPLED)
    if flags.sample_seed is None:
        return number, 0
    if number is None:
        raise UsageError("--sample-seed is for a sample", "add --sample N, or leave it out")
    try:
        return number, settings.OPTIONS["seed"].check(settings.integer_text(flags.sample_seed))
    except ValueError as error:
        raise UsageError(f"--sample-seed: {error.args[0]}", "give a whole number") from None


def most_kept_bytes(flags: EvalFlags) -> int | None:
    """Read what visual tokens may take on the disk; None: as much as it is unasked.

    Raises:
        UsageError: It is no number, or out of range, or they are not kept at all.
    """
    text = flags.keep_visual_gb
    if text is None:
        return None
    if not flags.keep_visual:
        raise UsageError("--keep-visual-gb is for tokens that are kept", "leave --no-keep-visual out")
    try:
        number = settings.number_text(text)
    except ValueError as error:
        raise UsageError(f"--keep-visual-gb: {error}", "give a number of GB") from None
    if not LEAST_KEPT_GB <= number <= MOST_KEPT_GB:
        raise UsageError(
            f"--keep-visual-gb {text} is not from {LEAST_KEPT_GB} to {MOST_KEPT_GB}", "choose another number"
        )
    return int(number * 10**9)


def names(flag: str, text: str | None) -> Sequence[str]:
    """Read a list of names; None is none.

    Raises:
        UsageError: There is none in it.
    """
    found = [] if text is None else [part.strip() for part in text.split(",") if part.strip()]
    if text is not None and not found:
        raise UsageError(f"{flag} names nothing", "name some, with commas between, or leave it out")
    return found


def output(flags: EvalFlags, benchmark: str, chosen: Settings) -> Path:
    """Return the folder to write.

    Raises:
        PllavaError: -o is empty, or there is no checkpoint of that name.
    """
    if flags.output is not None:
        return inputs.named(flags.output, "the folder for the result", "name one with -o")
    name = Path(registry.find(chosen.model).name).name
    return Path(f"eval-{benchmark}-" + (re.sub(r"[^\w.-]+", "-", name).strip("-.") or "checkpoint"))
