"""A layer in 4 bits that unpacks its weight, once for a whole input, where that has many rows.

bitsandbytes multiplies a packed weight with every row anew: the fastest for one row, which takes the
time of reading the weight, and the slowest for the thousands that encoding a clip takes. On a CPU with
AVX512-BF16 it also brings the weight into an order of its own, at the first product.
"""

from collections.abc import Iterator
from copy import copy
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor

from pllava_cli.model import eight_bits
from pllava_cli.model.eight_bits import RoundedRows
from pllava_cli.model.many_rows import has_many_rows, multiply
from pllava_cli.model.quantization import BLOCK, bitsandbytes

bnb: Any = bitsandbytes()
Linear4bit: Any = bnb.nn.Linear4bit

PANEL = 32
"""Rows of the weight that bitsandbytes interleaves for AVX512-BF16 (`_convert_weight_packed_for_cpu`)."""
_PANELS_AT_ONCE = 16
"""Put back into order in one go: what is read and written then stays in a core's cache."""


class Packed4bit(Linear4bit):  # type: ignore[misc]
    """bitsandbytes' layer for NF4, which multiplies many rows on a CPU in another way."""

    many_rows: torch.dtype
    """Precision in which those are made; int8: rounded for the one product."""

    def __init__(self, inputs: int, outputs: int, *, many_rows: torch.dtype, **options: Any) -> None:
        super().__init__(inputs, outputs, **options)
        self.many_rows = many_rows
        if outputs % PANEL or inputs % BLOCK:  # bitsandbytes would try, and fail
            self.support_avx512bf16_for_cpu = False

    def forward(self, x: Tensor) -> Tensor:
        """Multiply [..., in] to [..., out]."""
        is_plain = not self.training and not x.requires_grad and x.device.type == "cpu"
        if is_plain and self._will_be_reordered() and order_is_known():
            reorder(self)
        if self.training or not has_many_rows(x):
            return self._as_the_library_does(x)
        if self._will_be_reordered():
            # It comes with a rounding of the scales, which the first clip must see as all others do.
            self._as_the_library_does(x.reshape(-1, x.shape[-1])[:1])
        if _is_reordered(self) and not order_is_known():
            return self._as_the_library_does(x)
        if self.many_rows == torch.int8:
            return eight_bits.multiply_rounded(x, rounded_rows(self), self.out_features, self.bias)
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
        weight, state.absmax = _in_order(weight), _scales(layer).view(-1)
    state.dtype = dtype
    restored: Tensor = bnb.functional.dequantize_4bit(weight.view(-1, 1), state)
    return restored


def rounded_rows(layer: Any) -> Iterator[RoundedRows]:
    """The same weight rounded to 8 bits, part by part.

    A block of NF4 has its scale itself among its values, so that a row's largest magnitude is the largest of
    its scales, and unpacking with these as multiples of that gives what is to be rounded.
    """
    outputs, inputs = layer.weight.quant_state.shape
    if inputs % BLOCK:  # blocks go on from row to row
        yield from eight_bits.rounded_rows(unpacked(layer, torch.float32))
        return
    packed, scales = layer.weight.data.view(outputs, inputs // 2), _scales(layer)
    largest = scales.abs().amax(1, keepdim=True).clamp_(min=torch.finfo(torch.float32).tiny)
    multiples, units = scales / largest * eight_bits.LARGEST, largest / eight_bits.LARGEST
    for first in range(0, outputs, eight_bits.ROWS_AT_ONCE):
        part = slice(first, first + eight_bits.ROWS_AT_ONCE)
        some = _in_order(packed[part]) if _is_reordered(layer) else packed[part]
        state = copy(layer.weight.quant_state)
        state.absmax, state.nested = multiples[part].reshape(-1), False
        state.shape, state.dtype = (len(some), inputs), torch.float32
        exact = bnb.functional.dequantize_4bit(some.reshape(-1, 1), state)
        columns = partial(_columns, exact, units[part])
        yield RoundedRows(exact.round().to(torch.int8), units[part], columns)


def reorder(layer: Any) -> None:
    """Bring the weight of a 4-bit layer into the order that bitsandbytes would at its first product.

    As `_convert_weight_packed_for_cpu` of bitsandbytes 0.50 does, to the byte, in a fifth of the time: it
    took 39 ms for a layer of 4096 x 4096 on two AVX512 cores, which is 15 s for a 7B.
    """
    weight, state = layer.weight, layer.weight.quant_state
    rows, inputs = state.shape
    state.original_dtype, state.original_nested = state.dtype, state.nested
    state.original_qshape = weight.data.shape
    state.absmax = _scales(layer).T.to(torch.bfloat16).contiguous()
    if state.nested:
        state.nested = False
        del state.state2
    state.dtype, state.packing_format_for_cpu = torch.bfloat16, True
    weight.data = _in_panels(weight.data.view(rows, inputs // 2))


def _scales(layer: Any) -> Tensor:
    """The scale of each block of a weight whose blocks end with its rows, float32 [out, in / 64]."""
    state = layer.weight.quant_state
    if _is_reordered(layer):
        return torch.as_tensor(state.absmax.T.float().contiguous())
    rows, inputs = state.shape
    scales = state.absmax
    if state.nested:
        scales = bnb.functional.dequantize_blockwise(scales, state.state2) + state.offset
    return torch.as_tensor(scales.float().view(rows, inputs // state.blocksize))


def _columns(multiples: Tensor, units: Tensor, columns: Tensor) -> Tensor:
    return multiples[:, columns] * units


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


def _in_panels(ordered: Tensor) -> Tensor:
    """The inverse of `_in_order`."""
    rows, pairs = ordered.shape
    half = PANEL // 2
    halves = ordered.view(rows // PANEL, 2, half, pairs)
    panels = torch.empty(rows // PANEL, pairs, half, 2, dtype=torch.uint8)
    for some in range(0, len(panels), _PANELS_AT_ONCE):
        upper, lower = halves[some : some + _PANELS_AT_ONCE].permute(1, 0, 3, 2).contiguous()
        panels[some : some + _PANELS_AT_ONCE, :, :, 0] = lower & 0xF0 | upper >> 4
        panels[some : some + _PANELS_AT_ONCE, :, :, 1] = lower << 4 | upper & 0x0F
    return panels.view(rows, pairs)


@cache
def order_is_known() -> bool:
    """Whether this version of bitsandbytes orders weights as the one that `_in_order` was written for."""
    noise = torch.randn(2 * PANEL, 2 * BLOCK, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        theirs, ours = _layer_of(noise), _layer_of(noise)
        before = unpacked(theirs, torch.float32)
        theirs(torch.ones(1, 2 * BLOCK))
        if not _is_reordered(theirs):
            return True  # this CPU has no need of it
        try:
            reorder(ours)
            after = unpacked(theirs, torch.float32)
        except (RuntimeError, AttributeError):  # not even of these shapes
            return False
    state, own = vars(theirs.weight.quant_state), vars(ours.weight.quant_state)
    return (
        torch.allclose(before, after, rtol=2**-8, atol=0)  # scales are rounded to bf16 on the way
        and torch.equal(theirs.weight.data, ours.weight.data)
        and state.keys() == own.keys()
        and all(_is_same(value, own[name]) for name, value in state.items())
    )


def _layer_of(weight: Tensor) -> Any:
    outputs, inputs = weight.shape
    layer = bnb.nn.Linear4bit(inputs, outputs, bias=False, compute_dtype=torch.float32, quant_type="nf4")
    layer.weight = bnb.nn.Params4bit(weight, requires_grad=False, quant_type="nf4", module=layer).to("cpu")
    return layer.eval()


def _is_same(one: Any, other: Any) -> bool:
    return torch.equal(one, other) if isinstance(one, Tensor) else bool(one == other)
