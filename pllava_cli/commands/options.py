"""The flags that commands share, declared once, and how a command gets them.

Flags stay text until `settings` reads them by the same rules as variables and files, so that a
wrong value is reported in one form wherever it was written.
"""

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Annotated, Any, TypeVar

import typer
from typer import Option

from pllava_cli import registry, settings
from pllava_cli.errors import PllavaError
from pllava_cli.terminal import Terminal

_CHECKPOINT, _FRAMES, _TEXT, _RUN = "Checkpoint", "Frames", "Text", "Running"
_DATA, _LORA, _TRAINING, _RESULT = "Data", "LoRA", "Training", "Result"


def complete_models(incomplete: str) -> list[tuple[str, str]]:
    """Offer the names of checkpoints with what they are."""
    try:
        known = registry.all_checkpoints()
    except PllavaError:  # a slip in the user's file must not spill into the command line
        return []
    return [(each.name, each.description) for each in known if each.name.startswith(incomplete)]


def complete_presets(incomplete: str) -> list[tuple[str, str]]:
    """Offer the names of presets with what they are."""
    try:
        presets = registry.defaults().presets
    except PllavaError:
        return []
    return [(each.name, each.description) for each in presets.values() if each.name.startswith(incomplete)]


def complete_from(*names: str) -> Callable[[str], list[str]]:
    """Make a completion that offers a few fixed names."""

    def complete(incomplete: str) -> list[str]:
        return [name for name in names if name.startswith(incomplete)]

    return complete


@dataclass(frozen=True)
class OutputFlags:
    """What every command understands."""

    json: Annotated[bool, Option("--json", help="Write JSON instead of text.")] = False
    quiet: Annotated[bool, Option("-q", "--quiet", help="Say nothing but errors on stderr.")] = False
    verbose: Annotated[
        int, Option("-v", "--verbose", count=True, help="Say more: settings and reasons; -vv: tracebacks.")
    ] = 0


@dataclass(frozen=True)
class RunFlags(OutputFlags):
    """What commands understand that run a checkpoint. None: not said."""

    model: Annotated[
        str | None,
        Option(
            "-m",
            "--model",
            metavar="NAME|PATH",
            rich_help_panel=_CHECKPOINT,
            autocompletion=complete_models,
            help="Checkpoint: a name of `pllava models list`, or a directory.",
        ),
    ] = None
    base: Annotated[
        str | None,
        Option(
            metavar="NAME|PATH",
            rich_help_panel=_CHECKPOINT,
            autocompletion=complete_models,
            help="For a directory that holds only an adapter: the checkpoint it was trained from.",
        ),
    ] = None
    alpha: Annotated[
        str | None,
        Option(
            metavar="X",
            rich_help_panel=_CHECKPOINT,
            help="Weight of the LoRA: 0 is the image model, higher is more of the video training.",
        ),
    ] = None
    preset: Annotated[
        str | None,
        Option(
            metavar="NAME",
            rich_help_panel=_FRAMES,
            autocompletion=complete_presets,
            help="Frames and pooling shape for a purpose: standard, or fast with 4 frames.",
        ),
    ] = None
    frames: Annotated[
        str | None, Option(metavar="N", rich_help_panel=_FRAMES, help="Frames to look at, evenly spaced.")
    ] = None
    pooling_shape: Annotated[
        str | None,
        Option(
            metavar="T,H,W",
            rich_help_panel=_FRAMES,
            help="Frames, rows and columns of visual tokens that remain after pooling; none: all of them.",
        ),
    ] = None
    start: Annotated[
        str | None,
        Option(metavar="TIME", rich_help_panel=_FRAMES, help="Look from here on: seconds or [HH:]MM:SS."),
    ] = None
    end: Annotated[
        str | None,
        Option(metavar="TIME", rich_help_panel=_FRAMES, help="Look up to here: seconds or [HH:]MM:SS."),
    ] = None
    system: Annotated[
        str | None, Option(metavar="TEXT", rich_help_panel=_TEXT, help="System text; '' for none.")
    ] = None
    system_file: Annotated[
        str | None, Option(metavar="FILE", rich_help_panel=_TEXT, help="Read the system text from a file.")
    ] = None
    max_new_tokens: Annotated[
        str | None, Option(metavar="N", rich_help_panel=_TEXT, help="Longest answer, in tokens.")
    ] = None
    temperature: Annotated[
        str | None,
        Option(
            metavar="X",
            rich_help_panel=_TEXT,
            help="0 takes the likeliest token each time; higher draws more freely.",
        ),
    ] = None
    top_p: Annotated[
        str | None,
        Option(metavar="P", rich_help_panel=_TEXT, help="Draw among the likeliest tokens of this total."),
    ] = None
    seed: Annotated[
        str | None, Option(metavar="N", rich_help_panel=_TEXT, help="Make drawn answers repeatable.")
    ] = None
    device: Annotated[
        str | None,
        Option(
            metavar="NAME",
            rich_help_panel=_RUN,
            autocompletion=complete_from("auto", "cpu", "cuda"),
            help="auto, cpu, cuda or cuda:N.",
        ),
    ] = None
    dtype: Annotated[
        str | None,
        Option(
            metavar="NAME",
            rich_help_panel=_RUN,
            autocompletion=complete_from(*settings.DTYPES),
            help="Precision: " + ", ".join(settings.DTYPES) + ".",
        ),
    ] = None
    quantize: Annotated[
        str | None,
        Option(
            metavar="NAME",
            rich_help_panel=_RUN,
            autocompletion=complete_from(*settings.QUANTIZATIONS),
            help="Quantisation of the language model: " + ", ".join(settings.QUANTIZATIONS) + ".",
        ),
    ] = None
    decode_timeout: Annotated[
        str | None,
        Option(
            metavar="SECONDS", rich_help_panel=_RUN, help="Give up a decoder without progress after this."
        ),
    ] = None
    offline: Annotated[
        bool | None,
        Option("--offline/--no-offline", rich_help_panel=_RUN, help="Make no request to any network."),
    ] = None


@dataclass(frozen=True)
class CaptionFlags(RunFlags):
    """What `caption` understands."""

    prompt: Annotated[
        str | None,
        Option(
            "-p", "--prompt", metavar="TEXT", rich_help_panel=_TEXT, help="Instruction in place of our own."
        ),
    ] = None
    prompt_file: Annotated[
        str | None, Option(metavar="FILE", rich_help_panel=_TEXT, help="Read the instruction from a file.")
    ] = None


@dataclass(frozen=True)
class MergeFlags(OutputFlags):
    """What `models merge` understands. None: not said."""

    out: Annotated[str | None, Option("-o", "--out", metavar="FOLDER", help="The folder to write.")] = None
    alpha: Annotated[
        str | None, Option(metavar="X", help="Weight of the LoRA; the checkpoint's own if not given.")
    ] = None
    base: Annotated[
        str | None,
        Option(
            metavar="NAME|PATH",
            autocompletion=complete_models,
            help="For an adapter: its base, if it is not where the adapter says.",
        ),
    ] = None
    dtype: Annotated[
        str | None,
        Option(
            metavar="NAME",
            autocompletion=complete_from(*settings.DTYPES),
            help="Precision of what is written; auto: as it is stored now.",
        ),
    ] = None
    offline: Annotated[
        bool | None, Option("--offline/--no-offline", help="Make no request to any network.")
    ] = None


@dataclass(frozen=True)
class TrainFlags(OutputFlags):
    """What `train` understands. None: not said."""

    out: Annotated[
        str | None,
        Option("-o", "--out", metavar="FOLDER", rich_help_panel=_RESULT, help="Where the result goes."),
    ] = None
    model: Annotated[
        str | None,
        Option(
            "-m",
            "--model",
            metavar="NAME|PATH",
            rich_help_panel=_CHECKPOINT,
            autocompletion=complete_models,
            help="The base to train from: an image model, or one merged by `pllava models merge`.",
        ),
    ] = None
    frames: Annotated[
        str | None,
        Option(metavar="N", rich_help_panel=_FRAMES, help="Frames of a clip, evenly spaced."),
    ] = None
    pooling_shape: Annotated[
        str | None,
        Option(
            metavar="T,H,W",
            rich_help_panel=_FRAMES,
            help="Visual tokens of a clip after pooling; none: all of them.",
        ),
    ] = None
    system: Annotated[
        str | None,
        Option(
            metavar="TEXT",
            rich_help_panel=_TEXT,
            help="System text of conversations that give none; '' for none.",
        ),
    ] = None
    rank: Annotated[
        str | None,
        Option(metavar="N", rich_help_panel=_LORA, help="Rank of LoRA (128)."),
    ] = None
    alpha: Annotated[
        str | None,
        Option(
            metavar="X", rich_help_panel=_LORA, help="Strength of LoRA: its update counts alpha / rank (32)."
        ),
    ] = None
    dropout: Annotated[
        str | None,
        Option(metavar="X", rich_help_panel=_LORA, help="Dropout on the input of LoRA (0.05)."),
    ] = None
    targets: Annotated[
        str | None,
        Option(
            metavar="NAMES",
            rich_help_panel=_LORA,
            help="Layers that get LoRA, with commas between; all: every linear one (q_proj,v_proj).",
        ),
    ] = None
    epochs: Annotated[
        str | None,
        Option(metavar="X", rich_help_panel=_TRAINING, help="Passes over the data (3)."),
    ] = None
    steps: Annotated[
        str | None,
        Option(metavar="N", rich_help_panel=_TRAINING, help="Updates of the weights, in place of epochs."),
    ] = None
    batch_size: Annotated[
        str | None,
        Option(metavar="N", rich_help_panel=_TRAINING, help="Conversations of one pass (1)."),
    ] = None
    gradient_accumulation: Annotated[
        str | None,
        Option(metavar="N", rich_help_panel=_TRAINING, help="Passes of one update (16)."),
    ] = None
    learning_rate: Annotated[
        str | None,
        Option(
            metavar="X",
            rich_help_panel=_TRAINING,
            help="Highest learning rate (2e-5); a cosine leads down from it.",
        ),
    ] = None
    warmup: Annotated[
        str | None,
        Option(
            metavar="X",
            rich_help_panel=_TRAINING,
            help="Share of the steps in which the learning rate rises (0.2).",
        ),
    ] = None
    weight_decay: Annotated[
        str | None,
        Option(metavar="X", rich_help_panel=_TRAINING, help="Weight decay of AdamW (0.02)."),
    ] = None
    max_grad_norm: Annotated[
        str | None,
        Option(
            metavar="X", rich_help_panel=_TRAINING, help="Scale gradients down to this norm; 0: never (0)."
        ),
    ] = None
    seed: Annotated[
        str | None,
        Option(
            metavar="N",
            rich_help_panel=_TRAINING,
            help="Seed of the order, of dropout and of LoRA's first values (0).",
        ),
    ] = None
    validation: Annotated[
        str | None,
        Option(metavar="FILE", rich_help_panel=_DATA, help="Data to tell the loss on now and then."),
    ] = None
    skip_bad: Annotated[
        bool,
        Option(
            "--skip-bad",
            rich_help_panel=_DATA,
            help="Leave bad lines out, and list them in OUT/skipped.jsonl.",
        ),
    ] = False
    check_only: Annotated[
        bool,
        Option("--check-only", rich_help_panel=_DATA, help="Look at the data and train nothing."),
    ] = False
    cache_gb: Annotated[
        str | None,
        Option(
            metavar="GB",
            rich_help_panel=_DATA,
            help="Disk that decoded clips may take in OUT while it trains (16).",
        ),
    ] = None
    workers: Annotated[
        str | None,
        Option(
            metavar="N",
            rich_help_panel=_DATA,
            help="Processes that prepare batches; 0: the training process itself.",
        ),
    ] = None
    decode_timeout: Annotated[
        str | None,
        Option(
            metavar="SECONDS", rich_help_panel=_DATA, help="Give up a decoder without progress after this."
        ),
    ] = None
    save_every: Annotated[
        str | None,
        Option(metavar="N", rich_help_panel=_RESULT, help="Steps between checkpoints (200)."),
    ] = None
    keep_checkpoints: Annotated[
        str | None,
        Option(metavar="N", rich_help_panel=_RESULT, help="Checkpoints to keep until the end (2)."),
    ] = None
    log_every: Annotated[
        str | None,
        Option(metavar="N", rich_help_panel=_RESULT, help="Steps between lines of OUT/log.jsonl (10)."),
    ] = None
    eval_every: Annotated[
        str | None,
        Option(
            metavar="N", rich_help_panel=_RESULT, help="Steps between looks at the validation data (200)."
        ),
    ] = None
    resume: Annotated[
        bool | None,
        Option(
            "--resume/--no-resume",
            rich_help_panel=_RESULT,
            help="Go on with an unfinished run in OUT, or throw it away.",
        ),
    ] = None
    device: Annotated[
        str | None,
        Option(
            metavar="NAME",
            rich_help_panel=_RUN,
            autocompletion=complete_from("auto", "cpu", "cuda"),
            help="auto, cpu or cuda.",
        ),
    ] = None
    dtype: Annotated[
        str | None,
        Option(
            metavar="NAME",
            rich_help_panel=_RUN,
            autocompletion=complete_from(*settings.DTYPES),
            help="Precision of what is frozen and of the arithmetic; what is trained is kept in fp32.",
        ),
    ] = None
    quantize: Annotated[
        str | None,
        Option(
            metavar="NAME",
            rich_help_panel=_RUN,
            autocompletion=complete_from(*settings.QUANTIZATIONS),
            help="Quantisation of the frozen language model: " + ", ".join(settings.QUANTIZATIONS) + ".",
        ),
    ] = None
    gradient_checkpointing: Annotated[
        bool | None,
        Option(
            "--gradient-checkpointing/--no-gradient-checkpointing",
            rich_help_panel=_RUN,
            help="Recompute activations rather than keep them: less memory, more time.",
        ),
    ] = None


Flags = TypeVar("Flags", bound=OutputFlags)


def said(flags: OutputFlags) -> dict[str, Any]:
    """Return the settings that the command line gives, by option name."""
    return {name: value for name, value in vars(flags).items() if name in settings.OPTIONS}


def takes(kind: type[Flags]) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Give a command the flags of a dataclass and the run's terminal.

    The command is declared as `command(terminal, flags, ...arguments)`; the words of the command
    line that Typer sees are the arguments and each field of the dataclass.
    """

    def decorate(command: Callable[..., int]) -> Callable[..., int]:
        @functools.wraps(command)
        def run(ctx: typer.Context, **values: Any) -> int:
            flags = kind(**{each.name: values.pop(each.name) for each in fields(kind)})
            terminal: Terminal = ctx.obj
            terminal.configure(quiet=flags.quiet, verbose=flags.verbose)
            return command(terminal, flags, **values)

        _, _, *arguments = inspect.signature(command).parameters.values()
        parameters = [inspect.Parameter("ctx", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)]
        parameters += [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in arguments]
        parameters += [
            inspect.Parameter(
                each.name, inspect.Parameter.KEYWORD_ONLY, default=each.default, annotation=each.type
            )
            for each in fields(kind)
        ]
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {each.name: each.annotation for each in parameters}
        del run.__wrapped__  # whose own signature would be read instead
        return run

    return decorate
