"""Several models at once. Each takes as long to start as the whole program: slow, and few."""

import json
import os
from pathlib import Path

import pytest

from tests.commands.batch.conftest import CLIPS, answers, records
from tests.commands.results import Run


@pytest.mark.timeout(900)
def test_two_models_make_the_records_that_one_makes(run: Run, clips: Path) -> None:
    """Of the same fingerprints; a bad clip costs its record; what is done is not done again."""
    (clips / "empty.mp4").touch()
    words = ("clips", "-o", "out.jsonl", "--dtype", "fp32", "--ask", "What?", "--ask", "Who?")
    result = run(*words, "--devices", "cpu,cpu", "--json")
    assert result.status == 3, result.err
    assert json.loads(result.out) == json.loads(result.out) | {"done": CLIPS, "failed": 1}
    found = records(Path("out.jsonl"))
    assert len(found) == 2 * (CLIPS + 1)
    again = run("clips", "--dtype", "fp32", "--ask", "What?", "--ask", "Who?")
    assert answers(found) == answers(again.records)
    assert {each["fingerprint"] for each in found} == {each["fingerprint"] for each in again.records}
    (clips / "empty.mp4").unlink()
    assert "nothing is left to do" in run(*words).err


@pytest.mark.timeout(1800)
def test_a_ray_of_its_own_makes_the_records_that_one_process_makes(run: Run, clips: Path) -> None:
    pytest.importorskip("ray")
    os.link(clips / "clip0.mp4", os.fsencode(clips) + b"/two\nlines \xff.mp4")
    (clips / "empty.mp4").touch()
    result = run("clips", "-o", "out.jsonl", "--dtype", "fp32", "--engine", "ray", "--actors", "2")
    assert result.status == 3, result.err
    assert f"{CLIPS + 1} done, 1 failed" in result.err and "Traceback" not in result.err
    again = run("clips", "--dtype", "fp32")
    found = records(Path("out.jsonl"))
    assert answers(found) == answers(again.records)
    assert {each["fingerprint"] for each in found} == {each["fingerprint"] for each in again.records}
