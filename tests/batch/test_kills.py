"""The real command on clips of the built-in world, killed while it writes and its decoders are there.

`benchmarks/kills.py` does the same at many moments, by other signals too.
"""

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pllava_cli import app
from pllava_cli.shapes import dataset
from pllava_cli.shapes.samples import Recipe
from tests.batch.halting import halted
from tests.processes import PATIENCE_S, running_children, until_ended

CLIPS = 10
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


def lines() -> int:
    return OUT.read_bytes().count(b"\n")


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill it; its decoders must end by themselves."""
    decoders = running_children(process.pid, recursive=True)
    process.kill()
    assert process.wait(PATIENCE_S) == -signal.SIGKILL
    assert decoders
    until_ended(*decoders)


def records(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def said(found: list[dict[str, Any]]) -> set[tuple[str | None, ...]]:
    return {(each["path"], each["status"], each["text"], each["fingerprint"]) for each in found}


@pytest.mark.timeout(900)  # for machines that have other things to do; on a free one it takes seconds
@pytest.mark.usefixtures("one_thread")
def test_killed_again_and_again_it_makes_the_same_records(
    clips: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for whole in (0, 3):
        with halted(whole, *words(clips, OUT)) as process:
            kill(process)
        assert lines() == whole and not OUT.read_bytes().endswith(b"\n")
    assert app.main(words(clips, OUT)) == 0, capsys.readouterr().err
    assert app.main(words(clips, Path("whole.jsonl"))) == 0, capsys.readouterr().err

    found, whole = records(OUT), records(Path("whole.jsonl"))
    assert said(found) == said(whole) and len(found) == len(whole) == CLIPS
    for each in found:
        sidecar = Path(each["path"]).with_suffix(".out")
        assert sidecar.read_text() == each["text"].strip() + "\n"
