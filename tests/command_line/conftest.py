"""The command line in a process of its own, with the fake engine."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Variables for a process that captions clips with the fake engine."""
    checkpoint = tmp_path / "checkpoint"
    checkpoint.mkdir()
    (checkpoint / "config.json").write_text("{}")
    (checkpoint / "model.safetensors").touch()
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).touch()
    return os.environ | {"PYTHONPATH": str(ROOT), "PLLAVA_MODEL": str(checkpoint)}


def start(
    environment: dict[str, str], *arguments: str, script: dict[str, Any] | None = None, **options: Any
) -> subprocess.Popen[bytes]:
    """Start the command line with the fake engine, in the folder of the clips."""
    folder = Path(environment["PLLAVA_MODEL"]).parent
    environment = environment | {"FAKE_SCRIPT": json.dumps({"answers": ["A bird."]} | (script or {}))}
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    return subprocess.Popen(
        [sys.executable, "-m", "tests.commands.entry", *arguments], env=environment, cwd=folder, **options
    )


SLOW = {"answers": [["A bird", " flies", " away", "."]], "pause_s": 600.0}
"""Says its first words and then takes for ever."""
