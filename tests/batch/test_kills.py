"""The real command on clips of the built-in world, killed while it decodes, generates and writes.

`benchmarks/kills.py` does the same at many moments, by other signals too.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from pllava_cli import app
from pllava_cli.shapes import dataset
from pllava_cli.shapes.samples import Recipe

ROOT = Path(__file__).parents[2]
CLIPS = 10
PATIENCE_S = 240.0
OUT = Path("out.jsonl")


@pytest.fixture
def clips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of clips, named from the working directory."""
    monkeypatch.chdir(tmp_path)
    dataset.make(tmp_path / "shapes", Recipe(count=CLIPS, seed=3), 1, lambda done: None)
    (tmp_path / "shapes" / "clips").rename("clips")
    return Path("clips")


def words(clips: Path, out: Path) -> list[str]:
    command = ["batch", str(clips), "-o", str(out), "--model", "tiny", "--sidecar", f".{out.stem}"]
    return [*command, "--batch-size", "2", "--workers", "2", "--max-new-tokens", "12"]


def start(clips: Path) -> subprocess.Popen[bytes]:
    """Start the command with its temporary files where the test's own are."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "TMPDIR": str(Path.cwd())}
    return subprocess.Popen(
        [sys.executable, "-m", "pllava_cli", *words(clips, OUT)], env=environment, stderr=subprocess.DEVNULL
    )


def lines() -> int:
    return OUT.read_bytes().count(b"\n") if OUT.exists() else 0


def wait(process: subprocess.Popen[bytes], is_time: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while process.poll() is None and not is_time():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill it; its decoders must end by themselves."""
    decoders = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait(PATIENCE_S)
    assert process.returncode == -signal.SIGKILL
    _, left = psutil.wait_procs(decoders, timeout=PATIENCE_S)
    assert left == []


def records(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def said(found: list[dict[str, Any]]) -> set[tuple[str | None, ...]]:
    return {(each["path"], each["status"], each["text"], each["fingerprint"]) for each in found}


@pytest.mark.timeout(900)  # for machines that have other things to do; on a free one it takes seconds
@pytest.mark.usefixtures("one_thread")
def test_killed_again_and_again_it_makes_the_same_records(
    clips: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with start(clips) as process:
        wait(process, lambda: psutil.Process(process.pid).children())
        kill(process)  # while it decodes: nothing is there yet
    assert lines() == 0
    with start(clips) as process:
        wait(process, lambda: lines() >= 3)
        kill(process)  # between two writes, or within one
    assert 3 <= lines() < CLIPS
    assert app.main(words(clips, OUT)) == 0, capsys.readouterr().err
    assert app.main(words(clips, Path("whole.jsonl"))) == 0, capsys.readouterr().err

    found, whole = records(OUT), records(Path("whole.jsonl"))
    assert said(found) == said(whole) and len(found) == len(whole) == CLIPS
    for each in found:
        sidecar = Path(each["path"]).with_suffix(".out")
        assert sidecar.read_text() == each["text"].strip() + "\n"
