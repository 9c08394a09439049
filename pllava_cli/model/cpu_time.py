"""How long this CPU will take for a clip: a guess, from how fast it multiplies large matrices."""

import time
from functools import cache

_CPU_SHARE_REACHED = 0.5
"""Share of the rate of a large product that encoding a clip reaches: 230 of 437 GFLOP/s
in benchmarks/RESULTS.md (a caption of the 1B shape; products in bf16)."""
_FASTEST_CPU = 4e12
"""Operations a second that no CPU passes; what takes a second at most at this rate is not measured for."""


def expected_seconds(products: int, dtype: str) -> float:
    """Seconds that this CPU takes to encode a clip, by its rate at a large product; 0 if hardly any."""
    operations = 2 * products
    if operations / _FASTEST_CPU < 1:
        return 0.0
    return operations / (cpu_rate(dtype) * _CPU_SHARE_REACHED)


@cache
def cpu_rate(dtype: str) -> float:
    """Operations a second of this CPU at a large product in a precision, measured: it takes a moment."""
    import torch

    from pllava_cli.model.precision import TORCH_DTYPES

    kind = TORCH_DTYPES[dtype]
    rows, width = 256, 2048
    left, right = torch.ones(rows, width, dtype=kind), torch.ones(width, width, dtype=kind)
    best = float("inf")
    for _ in range(2):  # the first one wakes the threads
        began = time.perf_counter()
        torch.mm(left, right)
        best = min(best, time.perf_counter() - began)
    return 2 * rows * width * width / best
