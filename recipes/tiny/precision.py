"""In which precision this machine trains fastest: a CPU may list units for bf16 that gain nothing."""

import time

import torch

ROWS, WIDTH, WIDER = 6000, 128, 384
"""A product of the size that training is full of."""
TIMES = 30
GAIN = 1.5
"""How much faster 16 bits must multiply: around the products they cost conversions."""


def fastest() -> torch.dtype:
    """Multiply in both, and take 16 bits where they are clearly faster."""
    is_faster = _seconds(torch.bfloat16) * GAIN < _seconds(torch.float32)
    return torch.bfloat16 if is_faster else torch.float32


def _seconds(dtype: torch.dtype) -> float:
    rows, weight = torch.randn(ROWS, WIDTH, dtype=dtype), torch.randn(WIDTH, WIDER, dtype=dtype)
    for _ in range(TIMES // 3):
        rows @ weight
    began = time.perf_counter()
    for _ in range(TIMES):
        rows @ weight
    return time.perf_counter() - began
