"""`pllava batch` in processes of their own, to be killed and to be stopped."""

import os
import signal
from pathlib import Path

import pytest

from tests.batch.halting import halted
from tests.commands.batch.conftest import CLIPS, FEW, answers, latest, records
from tests.commands.results import Run
from tests.processes import PATIENCE_S


@pytest.fixture
def many(made: Path, clips: Path) -> Path:
    for number in range(CLIPS, 2 * CLIPS):
        os.link(made / f"clip{number}.mp4", clips / f"clip{number}.mp4")
    (clips / "empty.mp4").touch()
    return clips


def words(checkpoint: Path) -> list[str]:
    return ["batch", "--model", str(checkpoint), *FEW, "clips", "-o", "out.jsonl", "--batch-size", "1"]


def test_killed_at_any_moment_it_goes_on_where_it_was(checkpoint: Path, many: Path, run: Run) -> None:
    for whole in (0, 2, 5):
        with halted(whole, *words(checkpoint)) as process:
            process.kill()
        assert process.returncode == -signal.SIGKILL
    assert run("clips", "-o", "out.jsonl", "--batch-size", "1").status == 3
    found = records(Path("out.jsonl"))
    good = [each for each in found if each["status"] == "ok"]
    assert len(good) == 2 * CLIPS and len(latest(found)) == 2 * CLIPS + 1
    assert run("clips", "-o", "whole.jsonl", "--batch-size", "1").status == 3
    assert answers(latest(found)) == answers(records(Path("whole.jsonl")))


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_lets_it_finish_what_is_under_way(
    checkpoint: Path, many: Path, number: signal.Signals, status: int
) -> None:
    with halted(2, *words(checkpoint)) as process:
        process.send_signal(number)
        process.send_signal(signal.SIGCONT)
        _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == status, err
    assert b"Traceback" not in err and b"finishing what is under way" in err
    assert b"stopped; to go on: pllava batch" in err
    assert Path("out.jsonl").read_bytes().endswith(b"\n")
    assert 2 <= len(records(Path("out.jsonl"))) < 2 * CLIPS
