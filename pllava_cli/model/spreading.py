"""A language model over several devices: which layers lie where, and how what they work on gets there.

All else, from the vision tower to the head, lies on the first device. A token passes through the
devices one after the other, so this is for models that are too large for one, not for speed.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from pllava_cli.model.footprint import PRECISION_BYTES, Footprint

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass(frozen=True)
class Spread:
    """A model laid out over several devices."""

    option: tuple[str, str]
    """Precision and quantisation."""
    home: str
    """The device of all but the layers of the language model."""
    layers: tuple[str, ...]
    """The device of each of those."""

    @property
    def devices(self) -> tuple[str, ...]:
        """All of them, the home first."""
        return tuple(dict.fromkeys((self.home, *self.layers)))


def spread(need: Footprint, options: Iterable[tuple[str, str]], rooms: Mapping[str, int]) -> Spread | None:
    """Lay a model out over several devices, in the first way that fits.

    Args:
        need: The model's footprint.
        options: Precisions and quantisations, the best first.
        rooms: Device -> bytes that may be planned for.

    Returns:
        The layout; `None` if there is only one device, or the model does not fit on all together.
    """
    if len(rooms) < 2 or need.layers < 2:
        return None
    for option in options:
        other = need.other * PRECISION_BYTES[option[0]]
        layers = split(need.layers, need.layer_bytes(*option), other, rooms)
        if layers is not None:
            return Spread(option, max(rooms, key=lambda device: rooms[device]), layers)
    return None


def split(
    layers: int, layer_bytes: int, other_bytes: int, rooms: Mapping[str, int]
) -> tuple[str, ...] | None:
    """Lay layers out over devices, as few as can be.

    Args:
        layers: How many there are.
        layer_bytes: Of one layer, with its part of the key-value cache.
        other_bytes: Of all else, which lies on the first device.
        rooms: Device -> bytes that may be planned for.

    Returns:
        The device of each layer, in their order; `None` if there is not room enough.
    """
    first, *more = sorted(rooms, key=lambda device: -rooms[device])
    if rooms[first] < other_bytes:
        return None
    places: list[str] = []
    for device, room in [(first, rooms[first] - other_bytes), *((each, rooms[each]) for each in more)]:
        places += [device] * min(room // layer_bytes, layers - len(places))
    return tuple(places) if len(places) == layers else None


def connect(model: "nn.Module", layers: Sequence["nn.Module"], norm: "nn.Module") -> None:
    """Have each layer's inputs brought to where its weights are, and the last one's output to the norm's.

    Args:
        model: Of which these are parts; nothing is done where it lies on one device.
        layers: In the order in which they are run.
        norm: What is run after them.
    """
    if len({parameter.device for parameter in model.parameters()}) < 2:
        return
    for part in (*layers, norm):
        device = next(part.parameters()).device
        part.register_forward_pre_hook(partial(_brought, device), with_kwargs=True)


def _brought(
    device: "torch.device", module: "nn.Module", args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return _moved(args, device), _moved(kwargs, device)


def _moved(value: Any, device: "torch.device") -> Any:
    """Tensors brought to a device, in tuples and dicts too; a cache stays, each layer of it in its place."""
    import torch

    if isinstance(value, torch.Tensor):
        return value.to(device, non_blocking=True)
    if type(value) is tuple:
        return tuple(_moved(each, device) for each in value)
    if type(value) is dict:
        return {key: _moved(each, device) for key, each in value.items()}
    return value
