"""A checkpoint packed and saved: the same weights to the bit, found again while its source is what it was."""

from pathlib import Path
from typing import Any

import pytest
import torch

from pllava_cli.loader import Opened, open_checkpoint
from tests.checkpoints import copied

ASKED: dict[str, Any] = {"base": None, "num_frames": None, "pooling_shape": None, "device": "cpu"}
PACKINGS = ["4bit", "8bit"]


@pytest.fixture(autouse=True)
def quick(one_thread: None) -> None:
    """All tests here run small models."""


@pytest.fixture
def source(checkpoint: Path, tmp_path: Path) -> Path:
    """A checkpoint with LoRA, to be changed."""
    return copied(checkpoint, tmp_path / "source")


def opened(model: Path, alpha: float | None = 4, **options: Any) -> Opened:
    return open_checkpoint(model, alpha=alpha, **{"dtype": "fp32", "quantize": "4bit"} | ASKED | options)


def is_packed_already(loaded: Opened) -> bool:
    return any("come packed from" in reason for reason in loaded.plan.reasons)


def assert_same(ours: Opened, theirs: Opened) -> None:
    one, other = ours.model.state_dict(), theirs.model.state_dict()
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert value.dtype == other[name].dtype
        assert torch.equal(value, other[name]), name
