"""How fast this CPU multiplies in each precision: measured, because the units that it lists do not tell.

In a 4096 x 4096 layer an Intel core with AVX512-BF16 made 84 GFLOP/s in bf16 and 147 in fp32
(benchmarks/cpu_layers.py); two AMD cores with the same units 437 and 173 (benchmarks/RESULTS.md).
"""

import sys
import time
from functools import cache

import torch

TORCH_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
"""Precisions by the names that users give them."""
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
_ENOUGH_S = 0.06
"""As many products are tried as begin within this time: a hundred small ones, a handful of large ones, and
one in a precision that torch emulates."""
_now = time.perf_counter if sys.platform == "win32" else time.thread_time
"""The thread's own time, which other programs hardly change; on Windows it advances by 16 ms."""


def times_of_fp32(dtype: str, product: Product) -> float:
    """How many times as long as in fp32 a product takes in another precision, on one thread.

    Measured once in a process for each shape.

    Args:
        dtype: "bf16" or "fp16".
        product: Of the model at hand.
    """
    rows, inputs, outputs = (max(1, min(each)) for each in zip(product, LARGEST, strict=True))
    return _measured(dtype, rows, inputs, outputs)


@cache
def _measured(dtype: str, rows: int, inputs: int, outputs: int) -> float:
    pairs = [
        (torch.ones(rows, inputs, dtype=kind), torch.ones(outputs, inputs, dtype=kind))
        for kind in (TORCH_DTYPES[dtype], torch.float32)
    ]
    best, spent = [float("inf"), float("inf")], 0.0
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # so that this thread's time is all that it takes
    try:
        while spent < _ENOUGH_S:
            for which, (x, weight) in enumerate(pairs):  # in turns: the machine's pace may change
                began = _now()
                torch.nn.functional.linear(x, weight)
                took = max(_now() - began, 1e-7)  # were the clock to stand still, this would not end
                best[which], spent = min(best[which], took), spent + took
    finally:
        torch.set_num_threads(threads)
    return best[0] / best[1]
