"""What a pass through the network frees on a CPU is kept for the next one.

Activations come and go with every layer. glibc gives memory back to the system once a few megabytes at the
end of its heap are free, and the system clears every page that it hands out again: with the checkpoint that
comes with the tool that was a fifth of the time of answering (benchmarks/eval_sweep.py).
"""

import ctypes
from collections.abc import Callable
from functools import cache

KEPT_BYTES = 256 << 20
"""Free memory at the end of the heap from which on the rest is given back."""
LARGEST_BYTES = 32 << 20
"""Allocations above this come from the system and go back there; the most that glibc takes on 64 bits."""
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""`M_TRIM_THRESHOLD` and `M_MMAP_THRESHOLD` of malloc.h."""


def keep_freed() -> None:
    """Let this process keep what it frees, up to a bound; does nothing where there is no glibc."""
    option = _function("mallopt")
    if option is not None:
        option(_TRIM_THRESHOLD, KEPT_BYTES)
        option(_MMAP_THRESHOLD, LARGEST_BYTES)


def give_back() -> None:
    """Give freed memory back now: loading leaves much behind, a third of a 4-bit model."""
    trim = _function("malloc_trim")
    if trim is not None:
        trim(0)


@cache
def _function(name: str) -> Callable[..., int] | None:
    try:
        function: Callable[..., int] = getattr(ctypes.CDLL(None), name)
    except (OSError, AttributeError, TypeError):  # no glibc
        return None
    return function
