"""Clips that tests write themselves."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np


def write_clip(path: Path, seed: int, frames: int = 12, enlarged: int = 1) -> Path:
    """A clip of 64 x 48 pixels, or times that, at 10 frames a second, each frame of its own colours."""
    size = (64 * enlarged, 48 * enlarged)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 10, size)
    assert writer.isOpened()
    random = np.random.default_rng(seed)
    for _ in range(frames):
        blocks = random.integers(0, 256, (3, 4, 3), np.uint8)
        writer.write(blocks.repeat(16 * enlarged, 0).repeat(16 * enlarged, 1))
    writer.release()
    return path


SCENES_BGR = ((40, 60, 200), (200, 160, 30), (60, 190, 90), (180, 60, 170), (90, 90, 90))
"""What scenes are painted with, in turn."""


def write_scenes(path: Path, lengths: Sequence[int], fps: float = 25, codec: str = "mp4v") -> Path:
    """A clip of 96 x 64 pixels of scenes of so many frames each; something small moves in each of them."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), fps, (96, 64))
    assert writer.isOpened()
    for scene, length in enumerate(lengths):
        for number in range(length):
            picture = np.full((64, 96, 3), SCENES_BGR[scene % len(SCENES_BGR)], np.uint8)
            cv2.circle(picture, (8 + 2 * number % 80, 16 + 8 * (scene % 4)), 6, (255, 255, 255), -1)
            writer.write(picture)
    writer.release()
    return path


def scene_of(frame: np.ndarray) -> int:
    """Which of `SCENES_BGR` an RGB frame of `write_scenes` shows."""
    colour = np.median(frame.reshape(-1, 3), axis=0)[::-1]
    return int(np.argmin([np.abs(colour - each).sum() for each in SCENES_BGR]))
