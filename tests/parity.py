"""Recorded outputs of the reference implementation, and how tests compare with them.

A small part of the recordings lies in tests/data: numbers and token ids only. The rest is read from a folder
beside the checkout, where there is one; its README describes each case and gives the limits used here.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

DATA = Path(__file__).parent / "data"
SMALL_GRID = DATA / "case0_small_grid"
"""A whole checkpoint of 4 frames of 28 x 28 pixels, with its recorded tensors."""

SHARED = Path(__file__).resolve().parents[2] / "shared"
RECORDED = SHARED / "parity"
CLIPS = SHARED / "clips"

PIXELS, PROJECTOR, LOGITS, LOGITS_LORA = 1e-6, 1e-4, 5e-4, 2e-3
"""Largest absolute differences from the recordings that float32 arithmetic in another order explains."""

needs_recordings = pytest.mark.skipif(
    not (RECORDED / "README.md").is_file(), reason=f"the reference's recordings are not at {RECORDED}"
)
needs_clips = pytest.mark.skipif(
    not (RECORDED / "README.md").is_file() or not (CLIPS / "yoga.mp4").is_file(),
    reason=f"the example clips and their recordings are not under {SHARED}",
)


def tensors(file: Path) -> dict[str, torch.Tensor]:
    loaded: dict[str, torch.Tensor] = load_file(file)
    return loaded


def facts(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8"))


def distance(a: torch.Tensor, b: torch.Tensor) -> float:
    """The largest absolute difference; infinite where the shapes differ."""
    if a.shape != b.shape:
        return float("inf")
    return (a.float() - b.float()).abs().max().item()


def ids_of(tensor: torch.Tensor) -> list[int]:
    """The ids of the one row of [1, S]."""
    (row,) = tensor.tolist()
    return list(row)


def synthetic_frame(width: int, height: int, kind: str) -> NDArray[np.uint8]:
    """A frame [H, W, 3] in closed form: "a" is noisy, "b" is ramps and a checkerboard."""
    x, y = np.meshgrid(np.arange(width, dtype=np.int64), np.arange(height, dtype=np.int64))
    if kind == "a":
        channels = [(3 * x + 5 * y) % 256, (x * y // 7 + 11 * y) % 256, ((x * x + y * y) // 29) % 256]
    else:
        ramps = [255 * x // max(width - 1, 1), 255 * y // max(height - 1, 1)]
        channels = [*ramps, (x // 8 + y // 8) % 2 * 200 + 20]
    return np.stack(channels, axis=-1).astype(np.uint8)


def sha256(array: NDArray[np.uint8]) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
