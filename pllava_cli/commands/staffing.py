"""How many models a run has, where they run, and how much each does at once: the flags read and checked."""

import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal, get_args

from typer import Option

from pllava_cli import settings
from pllava_cli.commands.options import OutputFlags, complete_from, in_run, one_of
from pllava_cli.crew.address import Address, check_installed
from pllava_cli.errors import UsageError
from pllava_cli.records import Turn

if TYPE_CHECKING:
    from pllava_cli.commands.held import Held
    from pllava_cli.visualstore.store import VisualStore

MODELS = "Several models"
_in_models = partial(Option, rich_help_panel=MODELS)
MOST_DECODERS = 8
"""Most decoders of one model that are started unasked: each is a process with several threads, and with a
clip in 4K takes half a gigabyte."""
MOST_WORKERS, MOST_AT_ONCE = 64, 1024
MOST_ACTORS = 4096

Engine = Literal["local", "ray"]
"""Who runs the models: this machine, or a Ray cluster."""


@dataclass(frozen=True)
class Staffing:
    """Where models run; the defaults are one model, on the device that the settings name."""

    engine: Engine = "local"
    devices: tuple[str, ...] = ()
    """Of this machine, each to have a model of its own; `all` alone: every GPU; none: as the settings say."""
    address: str | None = None
    """Of a Ray cluster; None: as Ray's own variable says, else one of our own."""
    actors: int | None = None
    """Models on the cluster; None: as suits it."""


@dataclass(frozen=True)
class StaffingFlags(OutputFlags):
    """The flags of commands that work off many clips."""

    workers: Annotated[
        str | None,
        in_run(
            metavar="N",
            help=f"Decoder processes of each model; else one a processor, {MOST_DECODERS} at most.",
        ),
    ] = None
    batch_size: Annotated[
        str | None,
        in_run(metavar="N", help="Clips at once; auto (default): as many as fit."),
    ] = None
    devices: Annotated[
        str | None,
        _in_models(
            metavar="NAME,...",
            help="A model, in a process of its own, on each of these: cuda:0,cuda:1; all: on every GPU.",
        ),
    ] = None
    engine: Annotated[
        str | None,
        _in_models(
            metavar="NAME",
            autocompletion=complete_from(*get_args(Engine)),
            help="Who runs the models: local (default), or ray, the machines of a Ray cluster. They must see"
            " clips and checkpoint under the same paths as this one.",
        ),
    ] = None
    address: Annotated[
        str | None,
        _in_models(
            metavar="HOST:PORT",
            help="The Ray cluster; auto: the one that this machine is a node of. Else a Ray is started here,"
            " unless RAY_ADDRESS names one.",
        ),
    ] = None
    actors: Annotated[
        str | None,
        _in_models(
            metavar="N",
            help="Models on the Ray cluster; else one a GPU, and where there is none one a machine.",
        ),
    ] = None


@dataclass(frozen=True)
class Needs:
    """What a run wants of its models, whichever command it is of."""

    questions: tuple[str | None, ...]
    """Those that are known before the clips are; None: a caption."""
    turn: Turn
    """How they are written out."""
    staffing: Staffing
    workers: int | None
    """Decoders of each model; None: as suits the machine."""
    batch_size: int | None
    """Clips at once; None: as many as fit."""
    visual_store: "VisualStore | None" = None
    """Where visual tokens are kept from run to run; None: nowhere."""
    held: "Held | None" = None
    """Keeps a checkpoint loaded between runs; None: each loads its own."""

    def decoders(self, processors: int) -> int:
        """How many decoders there are where so many processors may be used."""
        return self.workers or min(processors, MOST_DECODERS)


def needs(
    flags: StaffingFlags,
    named_device: str | None,
    device: str,
    questions: tuple[str | None, ...],
    turn: Turn | None = None,
) -> Needs:
    """Read the flags.

    Args:
        flags: As typed.
        named_device: The flag for one device, as typed.
        device: What the settings say.
        questions: Those that are known before the clips are; None: a caption.
        turn: How they are written out; None: as the checkpoint's own template has it.

    Raises:
        UsageError: They cannot be meant.
    """
    return Needs(
        questions,
        turn or Turn(),
        _staffing(flags, named_device, device),
        count("--workers", flags.workers, MOST_WORKERS),
        None if flags.batch_size in (None, "auto") else count("--batch-size", flags.batch_size, MOST_AT_ONCE),
    )


def _staffing(flags: StaffingFlags, named_device: str | None, device: str) -> Staffing:
    actors = count("--actors", flags.actors, MOST_ACTORS)
    if check_engine(flags.engine) == "ray":
        if flags.devices is not None:
            raise UsageError("--devices is for this machine, --engine ray for a cluster", "give --actors N")
        return on_cluster(flags.address, actors, device)
    idle = next((name for name in ("address", "actors") if getattr(flags, name) is not None), None)
    if idle is not None:
        raise UsageError(f"--{idle} is for a Ray cluster", "add --engine ray, or leave it out")
    return on_this_machine(flags.devices, named_device)


def count(flag: str, text: str | None, most: int) -> int | None:
    """Read a number of things from 1 on; None: not said.

    Raises:
        UsageError: It is no number, or not from 1 to `most`.
    """
    if text is None:
        return None
    try:
        number = settings.integer_text(text)
    except ValueError as error:
        raise UsageError(f"{flag}: {error}", f"give a number from 1 to {most}") from None
    if not 1 <= number <= most:
        raise UsageError(f"{flag} {text} is not from 1 to {most}", "choose another number")
    return number


def on_this_machine(devices: str | None, device: str | None) -> Staffing:
    """Read the devices of this machine.

    Args:
        devices: As typed.
        device: The flag for one, as typed.

    Raises:
        UsageError: They cannot be meant.
    """
    if devices is None:
        return Staffing()
    if device is not None:
        raise UsageError("--device and --devices both say where to run", "give one of them")
    names = tuple(name.strip() for name in devices.split(","))
    wrong = next((name for name in names if not re.fullmatch(r"cpu|cuda:\d{1,3}", name)), None)
    if wrong is not None and names != ("all",):
        raise UsageError(f"--devices: {wrong!r} is no device", "give cuda:0,cuda:1 and so on, or all")
    twice = next((name for name in names if name != "cpu" and names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"--devices names {twice} twice", "one model makes full use of a GPU")
    return Staffing(devices=names)


def on_cluster(address: str | None, actors: int | None, device: str) -> Staffing:
    """Read where the cluster is and how much of it is wanted.

    Args:
        address: As typed.
        actors: How many models.
        device: What the settings say.

    Raises:
        UsageError: They cannot be meant, or there is no Ray.
    """
    if ":" in device:
        raise UsageError(f"device {device}: Ray chooses the GPUs", "give --device cuda, cpu or auto")
    check_installed()
    Address.parse(address)  # to be refused at once
    return Staffing("ray", (), address, actors)


def check_engine(name: str | None) -> Engine:
    """Read who runs the models; None: this machine.

    Raises:
        UsageError: There is no such engine.
    """
    return one_of("--engine", name, get_args(Engine))
