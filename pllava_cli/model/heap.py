"""What a pass through the network frees on a CPU is kept for the next one.

Activations come and go with every layer. glibc gives memory back to the system once a few megabytes at the
end of its heap are free, anything large at once, and the system clears every page that it hands out again:
with the checkpoint that comes with the tool that was a fifth of the time of answering
(benchmarks/eval_sweep.py), and with the shapes of a 7B more than a quarter of encoding a clip.

The setting is the whole process's. Whoever owns one makes it once a model is loaded: a command, a worker, a
benchmark. A program that only uses the package is left as it is, unless it asks for it.
"""

import ctypes
from collections.abc import Callable
from functools import cache

KEPT_BYTES = 1 << 30
"""Free memory at the end of the heap from which on the rest is given back: a layer of a 7B takes 0.4 GB."""
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
"""`M_TRIM_THRESHOLD` and `M_MMAP_MAX` of malloc.h."""


def keep_freed() -> None:
    """Let this process keep memory that it frees, up to 1 GiB, until it ends; for a model on a CPU.

    `pllava` does so by itself. From Python nothing does, because it changes how glibc's malloc works for all
    of a program (`M_TRIM_THRESHOLD` and `M_MMAP_MAX` of mallopt(3)) and cannot be taken back. What it gains:
    to encode a clip and answer took 6 % less of a processor's time with the built-in checkpoint, 10 % with
    layers as wide as a 7B's, both on one thread; the figures above are of several. What it costs: with such
    layers the program held 1.0 GB more afterwards. Call it after loading, which frees more than is worth
    keeping; where there is no glibc it does nothing.
    """
    option = _function("mallopt")
    if option is not None:
        option(_TRIM_THRESHOLD, KEPT_BYTES)
        option(_MMAP_MAX, 0)  # its threshold cannot be set above 32 MiB


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
