"""Folders that are no checkpoint, or not a whole one: one clear line each, before any weight is read."""

from pathlib import Path
from typing import Any

import pytest

from pllava_cli.engine import load_model
from pllava_cli.errors import CheckpointError, ExitStatus, PllavaError
from tests.checkpoints import copied
from tests.engine_checks import EXACT

INDEX = "model.safetensors.index.json"


def refusal(folder: Path, **options: Any) -> PllavaError:
    """The error that loading ends in, checked to be one a user can read."""
    with pytest.raises(PllavaError) as caught:
        load_model(folder, **EXACT | options)
    error = caught.value
    assert error.hint
    assert "\n" not in error.message + error.hint
    assert len(error.message) < 800
    return error


def refused_checkpoint(folder: Path, **options: Any) -> str:
    error = refusal(folder, **options)
    assert isinstance(error, CheckpointError)
    assert error.status == ExitStatus.CHECKPOINT == 5
    return error.message


@pytest.fixture
def whole(plain: Path, tmp_path: Path) -> Path:
    """A whole checkpoint in one file, to be damaged."""
    return copied(plain, tmp_path / "checkpoint")


@pytest.fixture
def sharded(released: Path, tmp_path: Path) -> Path:
    """A whole checkpoint in shards, to be damaged."""
    return copied(released, tmp_path / "checkpoint")
