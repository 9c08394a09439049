"""A layer in 4 bits that unpacks its weight, once for a whole input, where that has many rows.

bitsandbytes multiplies a packed weight with every row anew: the fastest for one row, which takes the
time of reading the weight, and the slowest for the thousands that encoding a clip takes. On a CPU with
AVX512-BF16 it also brings the weight into an order of its own, at the first product.
"""

from copy import copy
from functools import cache
from typing import Any

import torch
from torch import Tensor

from pllava_cli.model import eight_bits
from pllava_cli.model.many_rows import has_many_rows, multiply
from pllava_cli.model.quantization import BLOCK, bitsandbytes

bnb: Any = bitsandbytes()
Linear4bit: Any = bnb.nn.Linear4bit

PANEL = 32
"""Rows of the weight that bitsandbytes interleaves for AVX512-BF16 (`_convert_weight_packed_for_cpu`)."""
_PANELS_AT_ONCE = 4
"""Put back into order in one go: what is read and written then stays in a core's cache."""


class Packed4bit(Linear4bit):  # type: ignore[misc]
    """bitsandbytes' layer for NF4 but for products of many rows on a CPU."""

    many_rows: torch.dtype
    """Precision in which those are made; int8: rounded for the one product."""

    def __init__(self, inputs: int, outputs: int, *, many_rows: torch.dtype, **options: Any) -> None:
        super().__init__(inputs, outputs, **options)
        self.many_rows = many_rows
        if outputs % PANEL or inputs % BLOCK:  # bitsandbytes would try, and fail
            self.support_avx512bf16_for_cpu = False

    def forward(self, x: Tensor) -> Tensor:
        """Multiply [..., in] to [..., out]."""
        if self.training or not has_many_rows(x):
            return self._as_the_library_does(x)
        if self._will_be_reordered():
            # It comes with a rounding of the scales, which the first clip must see as all others do.
            self._as_the_library_does(x.reshape(-1, x.shape[-1])[:1])
        if _is_reordered(self) and not order_is_known():
            return self._as_the_library_does(x)
        if self.many_rows == torch.int8:
            return eight_bits.multiply(x, unpacked(self, torch.float32), self.bias)
        return multiply(x, unpacked(self, self.many_rows), self.bias)

    def _as_the_library_does(self, x: Tensor) -> Tensor:
        output: Tensor = super().forward(x)
        return output

    def _will_be_reordered(self) -> bool:
        return getattr(self, "support_avx512bf16_for_cpu", False) and not _is_reordered(self)


def unpacked(layer: Any, dtype: torch.dtype) -> Tensor:
    """The weight [out, in] of a 4-bit layer on a CPU, as bitsandbytes multiplies it at present."""
    weight, state = layer.weight.data, copy(layer.weight.quant_state)
    if _is_reordered(layer):
        weight = _in_order(weight)
        state.absmax = state.absmax.T.float().contiguous().view(-1)
    state.dtype = dtype
    restored: Tensor = bnb.functional.dequantize_4bit(weight.view(-1, 1), state)
    return restored


def _is_reordered(layer: Any) -> bool:
    return getattr(layer.weight.quant_state, "packing_format_for_cpu", False)


def _in_order(packed: Tensor) -> Tensor:
    """Bytes [out, in / 2] of two neighbours of a row each, from bitsandbytes' order for AVX512-BF16.

    There, 32 rows are a panel. For each two columns of it, 32 bytes hold the first 16 rows, column by
    column, in their lower halves, and the other 16 rows in their upper ones.
    """
    rows, pairs = packed.shape
    half = PANEL // 2
    panels = packed.view(rows // PANEL, pairs, half, 2)
    ordered = torch.empty(rows // PANEL, 2, half, pairs, dtype=torch.uint8)
    for some in range(0, len(panels), _PANELS_AT_ONCE):
        first, second = panels[some : some + _PANELS_AT_ONCE].permute(3, 0, 2, 1).contiguous()
        ordered[some : some + _PANELS_AT_ONCE, 0] = first << 4 | second & 0x0F
        ordered[some : some + _PANELS_AT_ONCE, 1] = first & 0xF0 | second >> 4
    return ordered.view(rows, pairs)


@cache
def order_is_known() -> bool:
    """Whether this version of bitsandbytes orders weights as the one that `_in_order` was written for."""
    layer = bnb.nn.Linear4bit(
        2 * BLOCK, 2 * PANEL, bias=False, compute_dtype=torch.float32, quant_type="nf4"
    ).eval()
    noise = torch.randn(2 * PANEL, 2 * BLOCK, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        layer.weight = bnb.nn.Params4bit(noise, requires_grad=False, quant_type="nf4", module=layer).to("cpu")
        before = unpacked(layer, torch.float32)
        layer(torch.ones(1, 2 * BLOCK))
        try:
            after = unpacked(layer, torch.float32)
        except RuntimeError:  # not even of these shapes
            return False
    return torch.allclose(before, after, rtol=2**-8, atol=0)  # scales are rounded to bf16 on the way
