"""Fixtures for running commands with the fake engine."""

import sys
from pathlib import Path

import pytest

from tests.commands import fake
from tests.commands.results import Run
from tests.commands.standin import evaluate as evaluate
from tests.commands.standin import short_clips as short_clips
from tests.commands.standin import stage as stage


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> fake.Script:
    """What the fake engine says; change it before running a command."""
    script = fake.Script(answers=["A bird flies."])
    monkeypatch.setitem(sys.modules, "pllava_cli.engine", None)  # put back afterwards
    fake.install(script)
    return script


@pytest.fixture
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory that passes for a checkpoint, chosen for every command."""
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    (folder / "config.json").write_text('{"num_frames": 8, "pooling_shape": [8, 12, 12]}')
    (folder / "model.safetensors").write_bytes(bytes(2_000_000))
    monkeypatch.setenv("PLLAVA_MODEL", str(folder))
    return folder


@pytest.fixture
def clips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with three files that pass for clips."""
    folder = tmp_path / "clips"
    folder.mkdir()
    for name in ("a.mp4", "b.mp4", "c.mp4"):
        (folder / name).write_bytes(b"not looked at")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def run(command: Run, script: fake.Script, checkpoint: Path, clips: Path) -> Run:
    """Run a command line in this process."""
    return command
