"""How fast this CPU multiplies: in which precision it should, and how long a clip will take.

Both are measured, because the units that a CPU lists do not tell. In a 4096 x 4096 layer an Intel core
with AVX512-BF16 made 84 GFLOP/s in bf16 and 147 in fp32 (benchmarks/cpu_layers.py); two AMD cores with
the same units 437 and 173 (benchmarks/RESULTS.md). Both rest on one measurement, made once in a process.
"""

import sys
import time
from collections.abc import Callable
from functools import cache, partial
from math import prod

import torch

from pllava_cli.model.precision import TORCH_DTYPES
from pllava_cli.precisions import INT8

GAIN = 1.3
"""How many times as fast another precision must be to be preferred to the obvious one. The choice is part
of a record's fingerprint: if it fell otherwise in the next run, a resumed batch would begin anew. Hence the
gap, and the clock below: with all cores held by other programs, ten runs gave 1.60 to 1.76. A choice kept in
a file would never change, but a wrong one would stay too, unseen."""
Product = tuple[int, int, int]
"""Rows, inputs and outputs of a layer."""
LARGEST: Product = (256, 1024, 1024)
"""What is measured of a larger product: 4 to 7 ms a time on one AVX512 core, with a ratio of 1.7 where 512
rows of a 4096 x 4096 layer gave 1.76 (benchmarks/cpu_layers.py)."""
LARGEST_IN_8_BITS: Product = (1024, 1024, 1024)
"""The same for 8 bits, where the weight is rounded for each product: only many rows make up for that."""
OF_A_7B: Product = (2304, 4096, 4096)
"""Visual tokens of a clip and width of the language model."""
_ENOUGH_S = 0.06
"""As many products are tried as begin within this time: a hundred small ones, a handful of large ones, and
one in a precision that torch emulates."""
_WIDE_ENOUGH = 1024
"""Inputs and outputs of a layer from which on rounding to 8 bits is worth it."""
_SHARE_REACHED = 0.5
"""Share of the rate of a large product that encoding a clip reaches: 230 of 437 GFLOP/s
in benchmarks/RESULTS.md (a caption of the 1B shape; products in bf16)."""
_FASTEST = 4e12
"""Operations a second that no CPU passes; what takes a second at most at this rate is not measured for."""
_now = time.perf_counter if sys.platform == "win32" else time.thread_time
"""The thread's own time, which other programs hardly change; on Windows it advances by 16 ms."""


def has_bf16_units() -> bool:
    """Whether this CPU has instructions that multiply bf16 (AVX512-BF16 or AMX)."""
    capabilities = torch.cpu.get_capabilities()
    return any(bool(capabilities.get(name)) for name in ("avx512_bf16", "amx_bf16", "arm_bf16"))


def prefers_bf16(product: Product) -> bool:
    """Whether to compute in bf16 on this CPU even where fp32 fits.

    It should with units for bf16 and should not without: one core multiplies it more than twice as fast
    with them and half as fast without (benchmarks/RESULTS.md). But on some the units gain nothing, and
    then the measurement has the last word.

    Args:
        product: Of the model at hand.
    """
    times = times_of_fp32("bf16", product)
    return times < GAIN if has_bf16_units() else times <= 1 / GAIN


def suited_precision(product: Product = OF_A_7B) -> tuple[str, str]:
    """The precision that is chosen on this CPU where the memory suffices, and why.

    Args:
        product: Of the model at hand.
    """
    why = compared("bf16", times_of_fp32("bf16", product))
    return "bf16" if prefers_bf16(product) else "fp32", why


def of_many_rows(asked: str, dtype: str, product: Product) -> tuple[str, tuple[str, ...]]:
    """In which precision many rows are to be multiplied, and why.

    Args:
        asked: The precision that was asked for, or "auto".
        dtype: The one that was chosen.
        product: Of the model at hand.
    """
    if asked == "fp32":
        return asked, ()
    sixteen = "bf16" if dtype == "fp32" else dtype
    times = times_of_fp32(sixteen, product)
    why = compared(sixteen, times)
    if dtype == "fp32" or times < GAIN:
        return dtype, (why,)
    return "fp32", (f"{why}: {dtype} is widened where many rows are multiplied",)


def suits_eight_bits(product: Product) -> bool:
    """Whether many rows had better be multiplied in 8 bits.

    They had on a CPU with AVX512's instructions for it, unless the layers are so narrow that rounding takes
    all that it gains: with AVX512-VNNI a layer of 4096 x 4096 and 2481 rows took 192 ms instead of 518,
    unpacking and rounding the weight included, one of 1024 x 1024 and 2308 rows 13 instead of 29 (one
    thread). Units, not a measurement: beside other programs that gave from 1.3 to 2.1 times as fast, and a
    record tells of it.

    Args:
        product: Of the model at hand.
    """
    capabilities = torch.cpu.get_capabilities()
    # Not with AVX-VNNI alone: without AVX512, bitsandbytes multiplies whole numbers in float32.
    has_units = any(bool(capabilities.get(name)) for name in ("avx512_vnni", "amx_int8"))
    return has_units and min(product[1:]) >= _WIDE_ENOUGH


def compared(dtype: str, times: float) -> str:
    """Say what `times_of_fp32` has measured."""
    fast, slow, ratio = ("fp32", dtype, times) if times >= 1 else (dtype, "fp32", 1 / times)
    return f"the CPU multiplies {fast} {ratio:.1f} times as fast as {slow}"


def times_of_fp32(dtype: str, product: Product) -> float:
    """How many times as long as in fp32 a product takes in another precision, on one thread.

    Args:
        dtype: "bf16", "fp16" or "int8".
        product: Of the model at hand.
    """
    there, in_fp32 = _seconds(dtype, _part(dtype, product))
    return there / in_fp32


def rate(dtype: str, product: Product) -> float:
    """Operations a second that all of torch's threads make in a precision: so many times those of one.

    Args:
        dtype: "fp32", "bf16", "fp16" or "int8".
        product: Of the model at hand.
    """
    part = _part(dtype, product)
    there, in_fp32 = _seconds("bf16" if dtype == "fp32" else dtype, part)
    return 2 * prod(part) / (in_fp32 if dtype == "fp32" else there) * torch.get_num_threads()


def expected_seconds(products: int, dtype: str, product: Product) -> float:
    """Seconds that this CPU takes at least to encode a clip; 0 if hardly any.

    Args:
        products: Multiplications that it takes.
        dtype: In which they are made.
        product: The largest of the model at hand.
    """
    operations = 2 * products
    if operations / _FASTEST < 1:
        return 0.0
    return operations / (rate(dtype, product) * _SHARE_REACHED)


def _part(dtype: str, product: Product) -> Product:
    """What is measured in place of a product."""
    largest = LARGEST_IN_8_BITS if dtype == INT8 else LARGEST
    rows, inputs, outputs = (max(1, min(each)) for each in zip(product, largest, strict=True))
    return rows, inputs, outputs


@cache
def _seconds(dtype: str, product: Product) -> tuple[float, float]:
    """Seconds that one thread takes for a product in a precision, and in fp32."""
    rows, inputs, outputs = product
    tried = [_multiplier(each, rows, inputs, outputs) for each in (dtype, "fp32")]
    best, spent = [float("inf"), float("inf")], 0.0
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # so that this thread's time is all that it takes
    try:
        if dtype == INT8:
            tried[0]()  # the first time brings in the library
        while spent < _ENOUGH_S:
            for which, multiply in enumerate(tried):  # in turns: the machine's pace may change
                began = _now()
                multiply()
                took = max(_now() - began, 1e-7)  # were the clock to stand still, this would not end
                best[which], spent = min(best[which], took), spent + took
    finally:
        torch.set_num_threads(threads)
    return best[0], best[1]


def _multiplier(dtype: str, rows: int, inputs: int, outputs: int) -> Callable[[], object]:
    """A product of ones in a precision."""
    kind = torch.float32 if dtype == INT8 else TORCH_DTYPES[dtype]
    x, weight = torch.ones(rows, inputs, dtype=kind), torch.ones(outputs, inputs, dtype=kind)
    if dtype != INT8:
        return partial(torch.nn.functional.linear, x, weight)
    from pllava_cli.model import eight_bits  # which brings bitsandbytes

    return partial(eight_bits.multiply, x, weight)
