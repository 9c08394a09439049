"""Step (a): a vision tower that says of every patch what is there.

CLIP learns from captions of hundreds of millions of pictures; a small world has exact truth for every
patch instead. Where a thing is, its colour, shape, size and turn, and the background are read off each
patch's feature by linear heads, of which only the start of the projector is made afterwards.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, IterableDataset

from pllava_cli.model.modeling import VisionTower
from pllava_cli.shapes.casting import cast
from pllava_cli.shapes.render import Picture, draw, film, worn
from pllava_cli.shapes.scene import BACKGROUNDS, COLOURS, SHAPES, SYMMETRY, Scene
from recipes.tiny.fit import fit
from recipes.tiny.sizes import TOWER

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
"""Of CLIP's preprocessing."""
GRID = TOWER.image_size // TOWER.patch_size
NUMBERS = 8
"""Regressed per patch: from it to the thing's middle x, y; that middle's place x, y; log radius; cos and
sin of its turn; whether there is a thing."""


def still(seed: int) -> tuple[Scene, float, Picture]:
    """A scene, a moment of it, and its picture."""
    rng = Random(f"still {seed}")
    scene, time = cast(seed), rng.random()
    return scene, time, picture_of(scene, seed, time, rng)


def picture_of(scene: Scene, seed: int, time: float, rng: Random) -> Picture:
    """A moment of a scene, filmed, at the size that the tower takes."""
    how = film(seed)
    picture = worn(draw(scene, how, time), how, np.random.Generator(np.random.PCG64(rng.randrange(1 << 30))))
    way = cv2.INTER_CUBIC if rng.random() < 0.7 else cv2.INTER_AREA
    return np.asarray(cv2.resize(picture, (TOWER.image_size,) * 2, interpolation=way), np.uint8)


def truth(scene: Scene, time: float) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """What each patch shows: of things that reach into it the one whose middle is nearest.

    Returns:
        Classes [GRID, GRID, 3]: colour and shape, from 1 on and 0 for nothing, and the background, from
        0 on; and numbers [GRID, GRID, NUMBERS], all 0 where there is nothing.
    """
    classes = np.zeros((GRID, GRID, 3), np.int64)
    numbers = np.zeros((GRID, GRID, NUMBERS), np.float32)
    classes[..., 2] = BACKGROUNDS.index(scene.background_at(time))
    nearest = np.full((GRID, GRID), np.inf)
    middles = (np.arange(GRID) + 0.5) / GRID
    for thing in scene.things:
        state = thing.at(time)
        if not state.visible:
            continue
        dx, dy = state.x - middles[None, :], state.y - middles[:, None]
        distance = np.hypot(dx, dy)
        here = (distance < state.radius + 0.25 / GRID) & (distance < nearest)
        nearest[here] = distance[here]
        classes[here, 0] = 1 + COLOURS.index(state.colour)
        classes[here, 1] = 1 + SHAPES.index(thing.shape)
        turn = state.angle * SYMMETRY[thing.shape]
        known = 1.0 if SYMMETRY[thing.shape] else 0.0
        numbers[here, 0], numbers[here, 1] = (
            np.broadcast_to(d, (GRID, GRID))[here] * GRID / 2 for d in (dx, dy)
        )
        numbers[here, 2:] = (
            state.x * 2 - 1,
            state.y * 2 - 1,
            math.log(state.radius / 0.12) * 2,
            math.cos(turn) * known,
            math.sin(turn) * known,
            1.0,
        )
    return classes, numbers


class Stills(IterableDataset[tuple[Tensor, Tensor, Tensor]]):
    """Stills without end; every worker has seeds of its own."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        info = torch.utils.data.get_worker_info()
        number, count = (info.id, info.num_workers) if info else (0, 1)
        seed = self.seed + number
        while True:
            scene, time, picture = still(seed)
            classes, numbers = truth(scene, time)
            yield torch.from_numpy(picture), torch.from_numpy(classes), torch.from_numpy(numbers)
            seed += count


def normalise(pictures_BHWC: Tensor) -> Tensor:
    """Pixel values [B, 3, S, S] as the tower wants them."""
    values = (pictures_BHWC.float() / 255 - torch.tensor(MEAN)) / torch.tensor(STD)
    return values.permute(0, 3, 1, 2)


class Described(nn.Module):
    """The tower, and the heads that read its patches."""

    def __init__(self) -> None:
        super().__init__()
        self.tower = VisionTower(TOWER, TOWER.num_hidden_layers)
        width = TOWER.hidden_size
        self.colour = nn.Linear(width, 1 + len(COLOURS))
        self.shape = nn.Linear(width, 1 + len(SHAPES))
        self.background = nn.Linear(width, len(BACKGROUNDS))
        self.numbers = nn.Linear(width, NUMBERS)

    def forward(self, batch: tuple[Tensor, Tensor, Tensor]) -> dict[str, Tensor]:
        """Losses and accuracies of a batch of stills."""
        pictures, classes, wanted = batch
        patches = self.tower(normalise(pictures)).last_hidden_state[:, 1:].unflatten(1, (GRID, GRID))
        colour, shape, background, numbers = (
            head(patches).float() for head in (self.colour, self.shape, self.background, self.numbers)
        )
        there = classes[..., 0] > 0
        loss = _cross(colour, classes[..., 0], there) + 2 * _cross(shape, classes[..., 1], there)
        loss = loss + 0.3 * functional.cross_entropy(background.flatten(0, 2), classes[..., 2].flatten())
        errors = functional.smooth_l1_loss(numbers, wanted, reduction="none", beta=0.1)
        loss = loss + 3.0 * errors[there].mean() + 0.3 * errors[..., -1].mean()
        return {
            "loss": loss,
            "colour": _share(colour, classes[..., 0], there),
            "shape": _share(shape, classes[..., 1], there),
            "place": (numbers - wanted)[there][:, 2:4].abs().mean().detach() / 2,
            "log_radius": (numbers - wanted)[there][:, 4].abs().mean().detach() / 2,
            "turn": (numbers - wanted)[there][:, 5:7].abs().mean().detach(),
        }


def _cross(scores: Tensor, wanted: Tensor, there: Tensor) -> Tensor:
    """Cross entropy in which the few patches with a thing count as much as the many without."""
    return functional.cross_entropy(scores[there], wanted[there]) + functional.cross_entropy(
        scores[~there], wanted[~there]
    )


def _share(scores: Tensor, wanted: Tensor, there: Tensor) -> Tensor:
    return (scores.argmax(-1) == wanted)[there].float().mean()


def train_tower(out: Path, *, steps: int, batch: int = 64, workers: int = 1) -> VisionTower:
    """Train the tower and save it and its log in `out`."""
    torch.manual_seed(0)
    described = Described()
    loader: DataLoader[Any] = DataLoader(Stills(10_000_000), batch_size=batch, num_workers=workers)
    fit(described, loader, described, steps=steps, learning_rate=1.5e-3, log=out / "tower.jsonl")
    torch.save(described.state_dict(), out / "tower.pt")
    return described.tower
