"""Clips and questions that cannot be used: told, counted, and the end of nothing else."""

import json
import shutil
from pathlib import Path

from tests.commands.evaluation.conftest import write
from tests.commands.results import Run
from tests.commands.standin import result, rows


def test_clips_and_questions_that_cannot_be_used_are_told_and_counted(run: Run, questions: Path) -> None:
    Path("clips/clip0.mp4").write_bytes(b"")
    with questions.open("a") as file:
        file.write('{"video": "clips/clip1.mp4"}\nnot json\n')
    done = run("mc", "questions.jsonl", "-o", "out")
    assert done.status == 3
    assert "questions.jsonl, line 9: has no question" in done.err and "line 10: is not JSON" in done.err
    assert "4 of 8 questions have no answer" in done.err and "is empty (0 bytes)" in done.err
    assert rows(done.out)["GROUP"][-1] == "FAILED" and rows(done.out)["colour"] == ["4", "25.0", "2"]
    assert len(result()["faults"]) == 2


def test_many_faults_are_counted(run: Run, questions: Path) -> None:
    with questions.open("a") as file:
        file.write('{"video": "x"}\n' * 50)
    done = run("mc", "questions.jsonl", "-o", "out")
    assert done.status == 3 and done.err.count("has no question") == 20 and "and 30 more" in done.err


def test_nothing_answered_is_failure(run: Run) -> None:
    shutil.rmtree("clips")
    assert run("mc", "questions.jsonl", "-o", "out").status == 4
    assert {each["kind"] for each in result()["verdicts"]} == {"failed"}


def test_a_clip_that_no_folder_can_hold_is_missing(run: Run, questions: Path) -> None:
    entry = {"question": "What?", "candidates": ["a", "b"], "answer": 0}
    write(questions, [entry | {"video": "/".join(["deep" * 50] * 25)}, entry | {"video": "clips/clip0.mp4"}])
    done = run("mc", "questions.jsonl", "-o", "out", "--dry-run", "--json")
    assert done.status == 0, done.err
    assert (json.loads(done.out)["clips"], json.loads(done.out)["clips_missing"]) == (2, 1)


def test_times_beyond_all_numbers_are_told_and_end_nothing(run: Run, questions: Path) -> None:
    entry = {"video": "clips/clip0.mp4", "question": "What?", "candidates": ["a", "b"], "answer": 1}
    write(questions, [entry, entry | {"start": 1e300}, entry | {"start": 0, "end": 1.8e307}])
    done = run("mc", "questions.jsonl", "-o", "out")
    assert done.status == 3 and done.err.count("not a time in seconds") == 2, done.err
    assert len(result()["verdicts"]) == 1
