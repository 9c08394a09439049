"""The flags that commands share, declared once, and how a command gets them.

Flags stay text until `settings` reads them by the same rules as variables and files, so that a
wrong value is reported in one form wherever it was written.
"""

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import partial
from typing import Annotated, Any, ClassVar, TypeVar

import typer
from typer import Option

from pllava_cli import registry, settings
from pllava_cli.errors import PllavaError, UsageError
from pllava_cli.precisions import DTYPES, ENCODINGS, QUANTIZATIONS
from pllava_cli.terminal import Terminal

CHECKPOINT, FRAMES, TEXT, RUN = "Checkpoint", "Frames", "Text", "Running"
"""Headings that the flags stand under in a command's help."""


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


CheckpointName = Annotated[
    str,
    typer.Argument(metavar="NAME", help="A name, an alias or a directory.", autocompletion=complete_models),
]
"""The argument of commands about one checkpoint."""

in_checkpoint = partial(Option, rich_help_panel=CHECKPOINT)
in_frames = partial(Option, rich_help_panel=FRAMES)
in_text = partial(Option, rich_help_panel=TEXT)
in_run = partial(Option, rich_help_panel=RUN)
"""A flag under a heading."""

ModelOption = partial(in_checkpoint, "-m", "--model", metavar="NAME|PATH", autocompletion=complete_models)
BaseOption = partial(Option, metavar="NAME|PATH", autocompletion=complete_models)
DeviceOption = partial(Option, metavar="NAME", autocompletion=complete_from("auto", "cpu", "cuda"))
DtypeOption = partial(Option, metavar="NAME", autocompletion=complete_from(*DTYPES))
QuantizeOption = partial(Option, metavar="NAME", autocompletion=complete_from(*QUANTIZATIONS))
DecodeTimeoutOption = partial(
    Option, metavar="SECONDS", help="Give up a decoder without progress after this."
)
OutputOption = partial(Option, "-o", "--output")
OfflineOption = partial(Option, "--offline/--no-offline", help="Make no request to any network.")
"""What the flags of several commands have in common; each command adds its heading and its words."""

SummaryJson = Annotated[
    bool, Option("--json", help="Write the summary as JSON to stdout; records are JSON in any case.")
]
"""The flag of commands whose results are records."""

SystemFile = Annotated[str | None, in_text(metavar="FILE", help="Read the system text from a file.")]


@dataclass(frozen=True)
class OutputFlags:
    """What every command understands."""

    own: ClassVar[frozenset[str]] = frozenset()
    """Flags that have the name of a setting and another meaning."""
    variables: ClassVar[Mapping[str, str]] = {}
    """What is read of the environment besides settings, and what for."""
    statuses: ClassVar[Mapping[int, str]] = {}
    """Exit statuses that say something of their own here."""

    json: Annotated[bool, Option("--json", help="Write JSON instead of text.")] = False
    quiet: Annotated[bool, Option("-q", "--quiet", help="Say nothing but errors on stderr.")] = False
    verbose: Annotated[
        int, Option("-v", "--verbose", count=True, help="Say more: settings and reasons; -vv: tracebacks.")
    ] = 0


@dataclass(frozen=True)
class CheckpointFlags(OutputFlags):
    """Which checkpoint. None, here as below: not said."""

    model: Annotated[
        str | None, ModelOption(help="Checkpoint: a name of `pllava models list`, or a directory.")
    ] = None
    base: Annotated[
        str | None,
        BaseOption(
            rich_help_panel=CHECKPOINT,
            help="For a directory that holds only an adapter: the checkpoint it was trained from.",
        ),
    ] = None
    alpha: Annotated[
        str | None,
        in_checkpoint(
            metavar="X",
            help="Weight of the LoRA: 0 is the image model, higher is more of the video training.",
        ),
    ] = None


@dataclass(frozen=True)
class FrameFlags(OutputFlags):
    """What the checkpoint sees of a clip."""

    preset: Annotated[
        str | None,
        in_frames(
            metavar="NAME",
            autocompletion=complete_presets,
            help="Frames and pooling shape for a purpose: standard, or fast with 4 frames; never more than"
            " the checkpoint's own.",
        ),
    ] = None
    frames: Annotated[str | None, in_frames(metavar="N", help="Frames to look at, evenly spaced.")] = None
    pooling_shape: Annotated[
        str | None,
        in_frames(
            metavar="T,H,W",
            help="Frames, rows and columns of visual tokens that remain after pooling; none: all of them.",
        ),
    ] = None
    keep_tokens: Annotated[
        str | None,
        in_frames(
            metavar="SHARE",
            help="Share of the visual tokens to leave, above 0 and at most 1: what stays the same over time"
            " is merged.",
        ),
    ] = None


@dataclass(frozen=True)
class WindowFlags(OutputFlags):
    """Which part of it."""

    start: Annotated[
        str | None, in_frames(metavar="TIME", help="Look from here on: 90, 90s or [HH:]MM:SS.")
    ] = None
    end: Annotated[
        str | None,
        in_frames(metavar="TIME", help="Look up to here: 90, 90s or [HH:]MM:SS."),
    ] = None


@dataclass(frozen=True)
class TextFlags(OutputFlags):
    """What stands before a question, and how long the answer may be."""

    system: Annotated[str | None, in_text(metavar="TEXT", help="System text; '' for none.")] = None
    system_file: SystemFile = None
    max_new_tokens: Annotated[str | None, in_text(metavar="N", help="Longest answer, in tokens.")] = None


@dataclass(frozen=True)
class DrawingFlags(OutputFlags):
    """How its words are chosen."""

    temperature: Annotated[
        str | None,
        in_text(metavar="X", help="0 takes the likeliest token each time; higher draws more freely."),
    ] = None
    top_p: Annotated[
        str | None, in_text(metavar="P", help="Draw among the likeliest tokens of this total.")
    ] = None
    seed: Annotated[str | None, in_text(metavar="N", help="Make drawn answers repeatable.")] = None


@dataclass(frozen=True)
class DeviceFlags(OutputFlags):
    """Where and how the checkpoint runs."""

    device: Annotated[str | None, DeviceOption(rich_help_panel=RUN, help="auto, cpu, cuda or cuda:N.")] = None
    dtype: Annotated[
        str | None, DtypeOption(rich_help_panel=RUN, help="Precision: " + ", ".join(DTYPES) + ".")
    ] = None
    quantize: Annotated[
        str | None,
        QuantizeOption(
            rich_help_panel=RUN,
            help="Quantisation of the language model: " + ", ".join(QUANTIZATIONS) + ".",
        ),
    ] = None
    encode: Annotated[
        str | None,
        in_run(
            metavar="NAME",
            autocompletion=complete_from(*ENCODINGS),
            help="How a CPU puts clips into the model: int8, nearly exact, with AVX512 about twice as fast;"
            " exact; or auto: int8 where the weights are quantised and the CPU has units for it.",
        ),
    ] = None
    decode_timeout: Annotated[str | None, DecodeTimeoutOption(rich_help_panel=RUN)] = None
    offline: Annotated[bool | None, OfflineOption(rich_help_panel=RUN)] = None
    pull: Annotated[
        bool | None,
        in_checkpoint(
            "--pull/--no-pull",
            help="Fetch the checkpoint if it is not on this machine; else you are asked, on a terminal.",
        ),
    ] = None


@dataclass(frozen=True)
class RunFlags(DeviceFlags, DrawingFlags, TextFlags, WindowFlags, FrameFlags, CheckpointFlags):
    """What commands understand that run a checkpoint; in help the last named come first."""


@dataclass(frozen=True)
class CaptionFlags(RunFlags):
    """What `caption` understands."""

    prompt: Annotated[
        str | None, in_text("-p", "--prompt", metavar="TEXT", help="Instruction in place of our own.")
    ] = None
    prompt_file: Annotated[
        str | None,
        in_text(metavar="FILE", help="Read the instruction from a file."),
    ] = None


Flags = TypeVar("Flags", bound=OutputFlags)
Word = TypeVar("Word", bound=str)


def settings_of(kind: type[OutputFlags]) -> list[str]:
    """Return the names of the settings that a command has flags for, in the order of its help."""
    return [each.name for each in fields(kind) if each.name in settings.OPTIONS and each.name not in kind.own]


def one_of(flag: str, text: str | None, words: tuple[Word, ...]) -> Word:
    """Read which of a few words is said; None, not said: the first of them.

    Raises:
        UsageError: It is none of them.
    """
    found = next((word for word in words if text in (word, None)), None)
    if found is None:
        raise UsageError(f"{flag}: unknown {text!r}", f"choose one of: {', '.join(words)}")
    return found


def said(flags: OutputFlags) -> dict[str, Any]:
    """Return what the command line says of each setting that the command has, by option name."""
    return {name: getattr(flags, name) for name in settings_of(type(flags))}


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
        run.settings = settings_of(kind)  # type: ignore[attr-defined]  # for the manual page
        run.variables = kind.variables  # type: ignore[attr-defined]  # likewise
        run.statuses = kind.statuses  # type: ignore[attr-defined]
        run.__annotations__ = {each.name: each.annotation for each in parameters}
        del run.__wrapped__  # whose own signature would be read instead
        return run

    return decorate
