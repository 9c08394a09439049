"""`pllava batch` with a real checkpoint, real clips and real decoders: no part is replaced."""

import json
import os
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pllava_cli.recordkey import subject_read
from tests.checkpoints import write_plain
from tests.clips import write_clip
from tests.commands.results import Run

CLIPS = 6
FEW = ("--max-new-tokens", "4")
"""The checkpoint is random and would go on for ever."""


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory, one_thread: None) -> Path:
    return write_plain(tmp_path_factory.mktemp("checkpoints") / "plain")


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips, to be linked to."""
    folder = tmp_path_factory.mktemp("made")
    for number in range(2 * CLIPS):
        write_clip(folder / f"clip{number}.mp4", seed=number)
    return folder


@pytest.fixture
def clips(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of clips, named from the working directory."""
    folder = tmp_path / "clips"
    folder.mkdir()
    for number in range(CLIPS):
        os.link(made / f"clip{number}.mp4", folder / f"clip{number}.mp4")
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.fixture
def run(command: Run, checkpoint: Path) -> Run:
    """Run `pllava batch` in this process."""
    return partial(command, "batch", "--model", checkpoint, *FEW)


def environment() -> dict[str, str]:
    """The variables of a process of its own."""
    return os.environ | {"PYTHONPATH": str(Path(__file__).parents[3]), "OMP_NUM_THREADS": "1"}


def records(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def latest(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The newest record of each subject."""
    return list({subject_read(each): each for each in found}.values())


def answers(found: list[dict[str, Any]]) -> list[tuple[str, int, str, str | None]]:
    """What was said, in one order."""
    return sorted(
        (each["path"], each["segment"]["index"], each["question"], each["text"] or "") for each in found
    )
