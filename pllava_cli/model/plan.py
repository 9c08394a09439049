"""Where and how a model will run, as it has been chosen."""

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pllava_cli.model.offers import Relief
from pllava_cli.precisions import INT8

if TYPE_CHECKING:
    import torch

_LAYER = re.compile(r"model\.language_model\.layers\.(\d+)\.")


@dataclass(frozen=True)
class RuntimePlan:
    """Where and how the model will run, and why."""

    device: str
    dtype: str
    quantize: str
    reasons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    """What the user should know before it begins."""
    layers: tuple[str, ...] = ()
    """The device of each layer of the language model; none: all of them lie on `device`."""
    many_rows: str | None = None
    """Precision in which a CPU multiplies many rows, as when it encodes a clip; `None` on other devices.
    `dtype` or a more exact one changes no more than the rounding, as the device itself does, and is no part
    of a record; "int8" is."""
    relief: Relief = field(default_factory=Relief)
    """What the user could ask for if the memory does not suffice after all."""

    def device_of(self, name: str) -> str:
        """The device of a parameter, by its name."""
        layer = _LAYER.match(name)
        return self.layers[int(layer[1])] if layer and self.layers else self.device

    @property
    def encode(self) -> str:
        """How clips are put into the model: "int8", or "exact" up to the rounding of the precision."""
        return INT8 if self.many_rows == INT8 else "exact"

    @property
    def torch_dtype(self) -> "torch.dtype":
        """The precision as torch names it."""
        from pllava_cli.model.precision import TORCH_DTYPES

        return TORCH_DTYPES[self.dtype]

    @property
    def torch_many_rows(self) -> "torch.dtype | None":
        """The precision of many rows as torch names it."""
        import torch

        from pllava_cli.model.precision import TORCH_DTYPES

        if self.many_rows == INT8:
            return torch.int8
        return TORCH_DTYPES[self.many_rows] if self.many_rows else None
