"""What the frozen vision tower sees at eight moments of many scenes, computed once.

Step (b) looks at every scene several times, with other words each time; the pictures and what the tower
makes of them stay the same, and are most of the work.
"""

import multiprocessing
from pathlib import Path
from random import Random

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pllava_cli.model.modeling import VisionTower
from pllava_cli.shapes.casting import SAMPLED, cast
from recipes.tiny.sizes import FRAMES, TOWER
from recipes.tiny.tower import GRID, normalise, picture_of

SHAPE = (FRAMES, GRID * GRID, TOWER.hidden_size)
"""Of what is seen of a scene: patches [moments, rows * columns, width], 16 bits each."""
JITTER = 0.02
"""How far, as a share of the clip, a moment lies from where eight frames of a long clip would."""


def moments(seed: int) -> list[float]:
    """When a scene is looked at: where the frames that are sampled of a clip lie, and a little off."""
    rng = Random(f"moments {seed}")
    return [middle + rng.uniform(-JITTER, JITTER) for middle in SAMPLED]


def see_scenes(out: Path, *, first: int, count: int, jobs: int = 2) -> None:
    """Write what is seen of the scenes with the seeds from `first` on into out/seen.bin."""
    partial = out / "seen.partial"
    with (
        multiprocessing.get_context("spawn").Pool(jobs, _take_tower, (out / "tower.pt",)) as pool,
        partial.open("wb") as file,
    ):
        for patches in pool.imap(_see, range(first, first + count), chunksize=16):
            file.write(patches.tobytes())
    partial.rename(out / "seen.bin")


def seen(out: Path) -> NDArray[np.float16]:
    """What `see_scenes` wrote, [scenes, *SHAPE]."""
    return np.memmap(out / "seen.bin", np.float16, "r").reshape(-1, *SHAPE)


def tower_weights(described: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tower's own weights of what step (a) has saved, without those of the heads that read it."""
    return {
        name.removeprefix("tower."): each for name, each in described.items() if name.startswith("tower.")
    }


def _take_tower(file: Path) -> None:
    global _tower
    torch.set_num_threads(1)
    _tower = VisionTower(TOWER, TOWER.num_hidden_layers).eval()
    _tower.load_state_dict(tower_weights(torch.load(file)))


_tower: VisionTower


@torch.inference_mode()
def _see(seed: int) -> NDArray[np.float16]:
    scene, rng = cast(seed), Random(f"look {seed}")
    pictures = np.stack([picture_of(scene, seed, time, rng) for time in moments(seed)])
    patches = _tower(normalise(torch.from_numpy(pictures))).last_hidden_state[:, 1:]
    return np.asarray(patches.numpy(), np.float16)
