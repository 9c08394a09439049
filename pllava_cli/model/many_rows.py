"""Layers kept in 16 bits that multiply many rows in float32, on a CPU to which that comes easier.

A weight is widened for each product and let go: that costs as much as a few rows, and the memory of
one layer at a time. Encoding a clip puts thousands of rows through every layer, of the vision tower
too; a token is one row, which takes the time of reading the weight, so that there it stays as it is.
"""

from collections.abc import Set

import torch
from torch import Tensor, nn
from torch.nn import functional

MANY_ROWS = 128
"""From this number on a weight is unpacked or widened. On one core with AVX512-BF16 a 4096 x 4096 layer in
NF4 took 66 ms for 128 rows as bitsandbytes multiplies them; unpacking took 21 ms and the product in fp32
34 ms (benchmarks/cpu_layers.py); at 64 rows it was 33 against 42."""


def has_many_rows(x: Tensor) -> bool:
    """Whether an input [..., width] is on a CPU and has many rows; not in training, nor under autocast."""
    if x.device.type != "cpu" or torch.is_grad_enabled() or torch.is_autocast_enabled("cpu"):
        return False
    return x.numel() >= MANY_ROWS * x.shape[-1]


def multiply(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """What a linear layer makes of `x` [..., in], computed in the precision of `weight` [out, in]."""
    wide = weight.dtype
    output = functional.linear(x.to(wide), weight, None if bias is None else bias.to(wide))
    return output.to(x.dtype)


class WideLinear(nn.Linear):
    """A linear layer that multiplies many rows in float32, whatever its weight is kept in."""

    def forward(self, x: Tensor) -> Tensor:
        """Multiply [..., in] to [..., out]."""
        return multiply(x, self.weight.float(), self.bias) if has_many_rows(x) else super().forward(x)


def put_layers(model: nn.Module, kind: type[nn.Linear], but: Set[str] = frozenset()) -> None:
    """Put layers of another kind, without memory, in place of the linear ones that see many rows.

    The head is left: it sees the last row alone, and its weight is the largest.

    Args:
        model: The network.
        kind: `WideLinear` or the like.
        but: Parts of the network, by the names of its modules, in which none is replaced.
    """
    for name, linear in list(model.named_modules()):
        if type(linear) is nn.Linear and name != "lm_head" and but.isdisjoint(name.split(".")):
            size = (linear.in_features, linear.out_features)
            made = kind(*size, bias=linear.bias is not None, device="meta").requires_grad_(False)
            model.set_submodule(name, made)
