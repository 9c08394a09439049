"""What the tower saw is kept as it saw it, scene by scene."""

from pathlib import Path
from random import Random

import numpy as np
import torch

from pllava_cli.shapes.casting import SAMPLED, cast
from recipes.tiny.seen import JITTER, SHAPE, moments, see_scenes, seen, tower_weights
from recipes.tiny.tower import Described, normalise, picture_of

FIRST, COUNT = 30_000_000, 3


def test_moments_lie_where_frames_are_sampled() -> None:
    for seed in range(50):
        assert all(abs(one - other) <= JITTER for one, other in zip(moments(seed), SAMPLED, strict=True))


def test_what_is_kept_is_what_the_tower_sees(tmp_path: Path) -> None:
    torch.manual_seed(0)
    described = Described().eval()
    torch.save(described.state_dict(), tmp_path / "tower.pt")
    see_scenes(tmp_path, first=FIRST, count=COUNT, jobs=1)
    kept = seen(tmp_path)
    assert kept.shape == (COUNT, *SHAPE)
    for number in range(COUNT):
        seed, rng = FIRST + number, Random(f"look {FIRST + number}")
        pictures = np.stack([picture_of(cast(seed), seed, time, rng) for time in moments(seed)])
        with torch.no_grad():
            patches = described.tower(normalise(torch.from_numpy(pictures))).last_hidden_state[:, 1:]
        np.testing.assert_allclose(kept[number], patches.numpy(), rtol=2e-3, atol=2e-3)
    assert {each.name for each in tmp_path.iterdir()} == {"tower.pt", "seen.bin"}


def test_the_heads_are_left_out_of_the_tower() -> None:
    described = Described()
    assert tower_weights(described.state_dict()).keys() == described.tower.state_dict().keys()
