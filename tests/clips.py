"""Clips that tests write themselves."""

from pathlib import Path

import cv2
import numpy as np


def write_clip(path: Path, seed: int, frames: int = 12) -> Path:
    """A clip of 64 x 48 pixels at 10 frames a second, each frame of its own colours."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 10, (64, 48))
    assert writer.isOpened()
    random = np.random.default_rng(seed)
    for _ in range(frames):
        blocks = random.integers(0, 256, (3, 4, 3), np.uint8)
        writer.write(blocks.repeat(16, 0).repeat(16, 1))
    writer.release()
    return path
