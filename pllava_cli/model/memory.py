"""What happens when the memory does not suffice after all: one error, and nothing kept.

An exception holds the frames it passed through, and they hold tensors: whoever catches it to try
again with less would still pay for the attempt that failed. So it is dropped, and another is raised
after it is gone.
"""

from collections.abc import Callable
from typing import TypeVar

import torch

from pllava_cli.errors import MemoryFullError
from pllava_cli.model.offers import LOOK, NOTHING_LEFT, Relief
from pllava_cli.model.plan import RuntimePlan
from pllava_cli.phrases import either

T = TypeVar("T")

SIGNS = (
    "can't allocate memory",  # torch's allocator on the CPU (c10/core/impl/alloc_cpu.cpp)
    "CUBLAS_STATUS_ALLOC_FAILED",  # cuBLAS's own workspace
    "CUDA error: out of memory",  # the driver, outside of torch's allocator
)
"""What a RuntimeError says that means memory; torch has a class for its CUDA allocator's alone."""


def is_memory(error: BaseException) -> bool:
    """Whether an error means that memory did not suffice."""
    if isinstance(error, RuntimeError):
        return isinstance(error, torch.OutOfMemoryError) or any(sign in str(error) for sign in SIGNS)
    return isinstance(error, MemoryError)


def memory_full(plan: RuntimePlan, clips: int = 1) -> MemoryFullError:
    """The error for `clips` at once where a model runs; what torch keeps for later is given back first.

    Args:
        plan: Where and how the model runs.
        clips: 0: the memory does not suffice for the model alone.
    """
    give_back()
    if clips == 0:
        what = "to load the model"
    else:
        what = f"for {clips} clips at once" if clips > 1 else "for this clip"
    return MemoryFullError(f"the memory of {plan.device} does not suffice {what}", _cure(plan.relief, clips))


def _cure(relief: Relief, clips: int) -> str:
    """Say what would take less, of what would change something; where nothing would, what may help."""
    if clips > 1:
        return f"use {either(('a smaller --batch-size', *relief.packing))}"
    options = (*relief.packing, *(relief.clip if clips else ()), *relief.checkpoint)
    if options:
        return f"use {either(options)}" if clips else f"use {either(options)}, or free memory; {LOOK}"
    return f"use --device cpu, which is slower, {NOTHING_LEFT}" if relief.may_leave_gpu else NOTHING_LEFT


def give_back() -> None:
    """Give back to the device what torch keeps of memory that is no longer used."""
    torch.cuda.empty_cache()  # does nothing where CUDA is not in use


def within_memory(plan: RuntimePlan, clips: int, work: Callable[[], T]) -> T:
    """Do `work`, which must keep its tensors to itself.

    Args:
        plan: Where and how the model runs, or is to run.
        clips: How many it is about; 0: the model is being loaded.
        work: What to do.

    Raises:
        MemoryFullError: The memory does not suffice; nothing of the attempt is left in it.
    """
    try:
        return work()
    except (RuntimeError, MemoryError) as error:
        if not is_memory(error):
            raise
    # Outside of the handler: as its context the first error, and all it holds, would live on.
    raise memory_full(plan, clips)
