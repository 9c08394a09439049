"""How many models a batch has, and where they run: the flags read and checked."""

import re
from dataclasses import dataclass
from typing import Literal, get_args

from pllava_cli.crew.address import Address, check_installed
from pllava_cli.errors import UsageError

Engine = Literal["local", "ray"]
"""Who runs the models: this machine, or a Ray cluster."""


@dataclass(frozen=True)
class Staffing:
    """Where models run; as it stands here one, where the settings say."""

    engine: Engine = "local"
    devices: tuple[str, ...] = ()
    """Of this machine, each to have a model of its own; `all` alone: every GPU; none: as the settings say."""
    address: str | None = None
    """Of a Ray cluster; None: as Ray's own variable says, else one of our own."""
    actors: int | None = None
    """Models on the cluster; None: as suits it."""


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
    if name == "ray":
        return "ray"
    if name not in (None, "local"):
        raise UsageError(f"--engine: unknown {name!r}", f"choose one of: {', '.join(get_args(Engine))}")
    return "local"
