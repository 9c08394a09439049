"""How the machines of a cluster are divided among models."""

from collections.abc import Sequence
from dataclasses import dataclass

from pllava_cli.errors import DeviceError, UsageError


@dataclass(frozen=True)
class Node:
    """What one machine of a cluster has."""

    processors: int
    gpus: int


@dataclass(frozen=True)
class Share:
    """How many actors there will be, and what each is given."""

    actors: int
    processors: int
    gpus: int
    on_one_node: int
    """Actors that one machine may have."""


def share_out(nodes: Sequence[Node], actors: int | None, *, on_gpus: bool | None) -> Share:
    """Divide a cluster's machines among actors.

    Args:
        nodes: The machines.
        actors: How many; None: one for each GPU, and where there is none one for each machine.
        on_gpus: Whether each is to have a GPU; None: if there is one.

    Raises:
        UsageError: There are not so many GPUs, or processors.
        DeviceError: There is no GPU at all, or no processor.
    """
    with_gpus = [node for node in nodes if node.gpus]
    gpus = sum(node.gpus for node in with_gpus)
    if on_gpus and not gpus:
        raise DeviceError("the cluster has no GPU", "leave --device out, or use --device cpu")
    if gpus and on_gpus is not False:
        count = actors or gpus
        _check_count(count, gpus, "GPU")
        each = min(node.processors // node.gpus for node in with_gpus)
        return Share(count, max(1, each), 1, max(node.gpus for node in with_gpus))
    processors = [node.processors for node in nodes if node.processors]
    if not processors:
        raise DeviceError("the cluster has no processor to run on", "`ray status` tells what it has")
    count = actors or len(processors)
    _check_count(count, sum(processors), "processor")
    each = next(n for n in range(max(processors), 0, -1) if sum(has // n for has in processors) >= count)
    return Share(count, each, 0, min(count, max(processors) // each))


def _check_count(actors: int, there_are: int, what: str) -> None:
    if actors > there_are:
        has = f"{there_are} {what}{'' if there_are == 1 else 's'}"
        raise UsageError(f"--actors {actors}: the cluster has {has}", "each actor needs one of its own")
