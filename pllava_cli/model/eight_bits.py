"""Many rows multiplied in 8 bits on a CPU: weight and input are rounded for the one product.

Rows of both get a scale of their own, and columns of the input with outliers are multiplied apart, in
float32: LLM.int8() (arXiv 2208.07339, section 3), as bitsandbytes does it for weights that are kept in 8
bits. Here the weight is kept in whatever it came in, as a token, one row, takes the time of reading it.
"""

from typing import Any

import torch
from torch import Tensor, nn

from pllava_cli.model.many_rows import has_many_rows
from pllava_cli.model.quantization import bitsandbytes

OUTLIER = 6.0
"""From this magnitude on a column is multiplied apart. Source: arXiv 2208.07339, section 3.2."""
_LARGEST = 127
_ROWS_AT_ONCE = 512
"""Rows in one product, and of a weight that are rounded in one go: what they take stays in the allocator's
hands, where a clip's thousands of rows would be asked of the system anew each time."""


def multiply(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """What a linear layer makes of `x` [..., in], nearly.

    Args:
        x: The input, in any precision.
        weight: Float32 [out, in].
        bias: [out].
    """
    return multiply_rounded(x, weight, *rounded_weight(weight), bias)


def multiply_rounded(
    x: Tensor, weight: Tensor, rounded: Tensor, scales: Tensor, bias: Tensor | None = None
) -> Tensor:
    """The same with a weight that has been rounded before, by `rounded_weight`.

    Args:
        x: The input [..., in].
        weight: As it was, in any precision: for the columns with outliers.
        rounded: Int8 [out, in].
        scales: Of its rows [out, 1].
        bias: [out].
    """
    rows = x.reshape(-1, x.shape[-1])
    output = torch.empty(len(rows), len(weight), dtype=torch.float32)
    for first in range(0, len(rows), _ROWS_AT_ONCE):
        some = rows[first : first + _ROWS_AT_ONCE].float()
        _product(some, weight, rounded, scales, output[first : first + _ROWS_AT_ONCE])
    if bias is not None:
        output += bias
    return output.to(x.dtype).view(*x.shape[:-1], -1)


class EightBitLinear(nn.Linear):
    """A linear layer that multiplies many rows in 8 bits, whatever its weight is kept in.

    The weight is kept in 8 bits, too, from the first product on: a frame of CLIP-L has 577 rows only.
    """

    _rounded: tuple[Tensor, tuple[Tensor, Tensor]] | None = None
    """The weight that was rounded, and what it came to: another may take its place."""

    def forward(self, x: Tensor) -> Tensor:
        """Multiply [..., in] to [..., out]."""
        if not has_many_rows(x):
            return super().forward(x)
        if self._rounded is None or self._rounded[0] is not self.weight:
            self._rounded = self.weight, rounded_weight(self.weight)
        return multiply_rounded(x, self.weight, *self._rounded[1], self.bias)


def _product(some: Tensor, weight: Tensor, rounded: Tensor, scales: Tensor, output: Tensor) -> None:
    """Write the product of a few rows [B, in], which may be overwritten, into `output` [B, out]."""
    functional: Any = bitsandbytes().functional
    magnitudes = some.abs()
    outliers = (magnitudes.amax(0) >= OUTLIER).nonzero().view(-1)
    apart = some[:, outliers]
    if len(outliers):
        some = some.index_fill(1, outliers, 0.0)
        magnitudes.index_fill_(1, outliers, 0.0)
    values, row_scales = _rounded(some, magnitudes)
    torch.mul(functional.int8_linear_matmul(values, rounded), row_scales, out=output).mul_(scales.T)
    if len(outliers):
        output.addmm_(apart, weight[:, outliers].float().T)


def rounded_weight(weight: Tensor) -> tuple[Tensor, Tensor]:
    """A weight [out, in] as int8 [out, in], and what each row is a multiple of, float32 [out, 1]."""
    values = torch.empty_like(weight, dtype=torch.int8)
    scales = torch.empty(len(weight), 1)
    for first in range(0, len(weight), _ROWS_AT_ONCE):
        part = slice(first, first + _ROWS_AT_ONCE)
        some = weight[part].float()
        values[part], scales[part] = _rounded(some, some.abs())
    return values, scales


def _rounded(rows: Tensor, magnitudes: Tensor) -> tuple[Tensor, Tensor]:
    """Rows as whole numbers of at most 127, int8 [B, in], and what each is a multiple of [B, 1]."""
    scales = magnitudes.amax(1, keepdim=True).div_(_LARGEST)
    scales.clamp_(min=torch.finfo(scales.dtype).tiny)  # of a row of zeros
    return torch.mul(rows, scales.reciprocal(), out=magnitudes).round_().to(torch.int8), scales
