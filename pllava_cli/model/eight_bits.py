"""Many rows multiplied in 8 bits on a CPU: weight and input are rounded for the one product.

Rows of both get a scale of their own, and columns of the input with outliers are multiplied apart, in
float32: LLM.int8() (arXiv 2208.07339, section 3), as bitsandbytes does it for weights that are kept in 8
bits. Here the weight is kept in whatever it came in, as a token, one row, takes the time of reading it.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from pllava_cli.model.many_rows import has_many_rows
from pllava_cli.model.quantization import bitsandbytes

OUTLIER = 6.0
"""From this magnitude on a column is multiplied apart. Source: arXiv 2208.07339, section 3.2."""
LARGEST = 127
ROWS_AT_ONCE = 512
"""Rows that are rounded in one go, of an input and of a weight, so that they stay in a core's cache."""


@dataclass(frozen=True)
class RoundedRows:
    """Some rows of a weight [out, in], rounded."""

    values: Tensor
    """Int8 [R, in]."""
    scales: Tensor
    """What each row's values are multiples of, float32 [R, 1]."""
    columns: Callable[[Tensor], Tensor]
    """Gives columns [R, n] as they were before, float32."""


def multiply(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """What a linear layer makes of `x` [..., in], nearly.

    Args:
        x: The input, in any precision.
        weight: [out, in], in any precision.
        bias: [out].
    """
    return multiply_rounded(x, rounded_rows(weight), len(weight), bias)


def multiply_rounded(
    x: Tensor, weight: Iterable[RoundedRows], outputs: int, bias: Tensor | None = None
) -> Tensor:
    """The same with a weight that is rounded already, or part by part as it is multiplied.

    Each part is multiplied with all of the input, and let go: a packed weight need never be unpacked whole.

    Args:
        x: The input [..., in].
        weight: All of its rows, in their order.
        outputs: How many these are.
        bias: [out].
    """
    functional: Any = bitsandbytes().functional
    rows = x.reshape(-1, x.shape[-1])
    outliers = _outliers(rows)
    values, scales = _rounded_input(rows, outliers)
    apart = rows[:, outliers].float()
    output = torch.empty(len(rows), outputs, dtype=torch.float32)
    first = 0
    for part in weight:
        some = output[:, first : first + len(part.values)]
        some.copy_(functional.int8_linear_matmul(values, part.values)).mul_(scales).mul_(part.scales.T)
        if len(outliers):
            some.addmm_(apart, part.columns(outliers).T)
        first += len(part.values)
    if bias is not None:
        output += bias
    return output.to(x.dtype).view(*x.shape[:-1], -1)


def rounded_rows(weight: Tensor) -> Iterator[RoundedRows]:
    """Round a weight [out, in] of any precision, part by part."""
    for first in range(0, len(weight), ROWS_AT_ONCE):
        some = weight[first : first + ROWS_AT_ONCE]
        values, scales = _rounded(some.float())
        yield RoundedRows(values, scales, partial(_columns, some))


class EightBitLinear(nn.Linear):
    """A linear layer that multiplies many rows in 8 bits, whatever its weight is kept in.

    The weight is kept in 8 bits, too, from the first product on: a frame of CLIP-L has 577 rows only.
    """

    _rounded: list[RoundedRows] | None = None
    """The weight as it was rounded; None: not yet."""

    def register_parameter(self, name: str, param: nn.Parameter | None) -> None:
        """Take a parameter, as an assignment does, and let go of what the one before was rounded to."""
        self._rounded = None
        super().register_parameter(name, param)

    def forward(self, x: Tensor) -> Tensor:
        """Multiply [..., in] to [..., out]."""
        if not has_many_rows(x):
            return super().forward(x)
        if self._rounded is None:
            self._rounded = list(rounded_rows(self.weight))
        return multiply_rounded(x, self._rounded, self.out_features, self.bias)


def _outliers(rows: Tensor) -> Tensor:
    """The columns of an input [B, in] with outliers."""
    parts = (rows[first : first + ROWS_AT_ONCE] for first in range(0, len(rows), ROWS_AT_ONCE))
    return (torch.stack([part.abs().amax(0) for part in parts]).amax(0) >= OUTLIER).nonzero().view(-1)


def _rounded_input(rows: Tensor, outliers: Tensor) -> tuple[Tensor, Tensor]:
    """Rows [B, in] without some columns as int8 [B, in], and what each is a multiple of [B, 1]."""
    values = torch.empty_like(rows, dtype=torch.int8)
    scales = torch.empty(len(rows), 1)
    for first in range(0, len(rows), ROWS_AT_ONCE):
        part = slice(first, first + ROWS_AT_ONCE)
        some = rows[part].float()
        if len(outliers):
            some = some.index_fill(1, outliers, 0.0)
        values[part], scales[part] = _rounded(some)
    return values, scales


def _rounded(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Rows [B, in] as whole numbers of at most 127, int8 [B, in], and what each is a multiple of [B, 1]."""
    spare = rows.abs()
    scales = spare.amax(1, keepdim=True).div_(LARGEST)
    scales.clamp_(min=torch.finfo(scales.dtype).tiny)  # of a row of zeros
    return torch.mul(rows, scales.reciprocal(), out=spare).round_().to(torch.int8), scales


def _columns(weight: Tensor, columns: Tensor) -> Tensor:
    return weight[:, columns].float()
