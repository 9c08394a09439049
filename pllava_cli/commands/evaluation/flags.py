"""The flags of `pllava eval`; how those are read that say what is asked stands in `given`."""

from dataclasses import dataclass
from functools import partial
from typing import Annotated, ClassVar, get_args

from typer import Option

from pllava_cli.commands.options import (
    CheckpointFlags,
    DeviceFlags,
    FrameFlags,
    OutputFlags,
    OutputOption,
    TextFlags,
    complete_from,
    in_checkpoint,
    in_frames,
    in_run,
)
from pllava_cli.commands.staffing import StaffingFlags
from pllava_cli.evaluation.benchmarks.questionsets import SETS
from pllava_cli.evaluation.scoring.chosen_option import Scoring

QUESTIONS = "Questions"
_in_questions = partial(Option, rich_help_panel=QUESTIONS)


@dataclass(frozen=True)
class SampleFlags(OutputFlags):
    """Which of a benchmark's questions."""

    sample: Annotated[
        str | None,
        _in_questions(
            metavar="N",
            help="Ask only N of each group, drawn at random: for a first look, no figures to compare.",
        ),
    ] = None
    sample_seed: Annotated[str | None, _in_questions(metavar="N", help="Draw others; 0 if not said.")] = None


@dataclass(frozen=True)
class EvalFlags(StaffingFlags, DeviceFlags, TextFlags, FrameFlags, CheckpointFlags, SampleFlags):
    """What commands understand that put a benchmark to a checkpoint."""

    # Questions are put as the benchmark puts them, whatever a settings file says of captions.
    own: ClassVar[frozenset[str]] = frozenset({"system", "system_file", "max_new_tokens"})

    alpha: Annotated[
        str | None,
        in_checkpoint(metavar="X,...", help="Weight of the LoRA; several make a sweep, a run for each."),
    ] = None
    frames: Annotated[
        str | None,
        in_frames(metavar="N,...", help="Frames to look at; several make a sweep likewise."),
    ] = None
    pooling_shape: Annotated[
        str | None,
        in_frames(
            metavar="TxHxW,...",
            help="Frames, rows and columns of visual tokens that remain after pooling, none: all of them;"
            " several make a sweep likewise.",
        ),
    ] = None
    output: Annotated[
        str | None,
        OutputOption(
            metavar="FOLDER",
            help="The folder to write, and to go on from; else eval-BENCHMARK-CHECKPOINT in this one.",
        ),
    ] = None
    redo: Annotated[
        bool, Option("--redo", help="Answer again what the folder holds from other settings.")
    ] = False
    keep_visual: Annotated[
        bool,
        in_run(
            "--keep-visual/--no-keep-visual",
            help="Keep visual tokens of clips up to 1 GiB in the cache, so that none is seen twice.",
        ),
    ] = True
    keep_visual_gb: Annotated[
        str | None,
        in_run(
            metavar="N",
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
        _in_questions(
            metavar="RULES",
            autocompletion=complete_from(*get_args(Scoring)),
            help="How options are read from answers: strict (default), or reference, as the published"
            " figures were.",
        ),
    ] = None


@dataclass(frozen=True)
class DataFlags(OutputFlags):
    """Where a published benchmark lies."""

    data: Annotated[str | None, _in_questions(metavar="DIR", help="The benchmark's folder.")] = None


@dataclass(frozen=True)
class MvbenchFlags(ChoiceFlags, DataFlags):
    """What `mvbench` understands."""

    tasks: Annotated[
        str | None,
        _in_questions(metavar="NAME,...", help="Only these tasks: action_sequence, ..."),
    ] = None


@dataclass(frozen=True)
class FolderFlags(EvalFlags, DataFlags):
    """What `vcgbench` understands."""


@dataclass(frozen=True)
class VideoqaFlags(FolderFlags):
    """What `videoqa` understands."""

    set: Annotated[
        str | None,
        _in_questions(
            metavar="NAME",
            autocompletion=complete_from(*SETS),
            help="Which questions: " + ", ".join(SETS) + ".",
        ),
    ] = None
    instruction_file: Annotated[
        str | None,
        _in_questions(
            metavar="FILE",
            help="Say this with each question, {question} standing for it; else our own words.",
        ),
    ] = None


@dataclass(frozen=True)
class CaptionsFlags(EvalFlags):
    """What `captions` understands."""

    data: Annotated[
        str | None,
        _in_questions(metavar="DIR", help="The folder below which the clips are."),
    ] = None
    split: Annotated[
        str | None,
        _in_questions(
            metavar="NAME",
            help="Only the clips that REFERENCES puts in this split: test, ...; else all that it names.",
        ),
    ] = None
    captions: Annotated[
        str | None,
        _in_questions(
            metavar="FILE",
            help="Score these, made before by pllava batch or anything else, instead of making some.",
        ),
    ] = None
