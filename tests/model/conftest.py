"""Checkpoints and models that several tests of the model share; none of them may be changed."""

from pathlib import Path

import pytest

from benchmarks.random_checkpoint import write
from pllava_cli.engine import load_model
from pllava_cli.model.modeling import PllavaForConditionalGeneration
from pllava_cli.model.processing import Processor
from tests.checkpoints import TINY, write_plain
from tests.parity import SMALL_GRID

Model = tuple[PllavaForConditionalGeneration, Processor]


@pytest.fixture(scope="session", autouse=True)
def quick(one_thread: None) -> None:
    """All tests here run small models."""


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random checkpoint in plain LLaVA names, one file, float32."""
    return write_plain(tmp_path_factory.mktemp("checkpoints") / "plain")


@pytest.fixture(scope="session")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random checkpoint in the released layout: wrapped by PEFT, in shards, bfloat16."""
    return write(tmp_path_factory.mktemp("checkpoints") / "released", TINY, seed=1, shard_bytes=100_000)


@pytest.fixture(scope="session")
def small_grid() -> Model:
    """The recorded checkpoint of 4 small frames, in float32."""
    return load_model(SMALL_GRID, dtype="fp32", quantize="none", device="cpu")


@pytest.fixture(scope="session")
def tiny(plain: Path) -> Model:
    """The plain random checkpoint, in float32."""
    return load_model(plain, dtype="fp32", quantize="none", device="cpu")
