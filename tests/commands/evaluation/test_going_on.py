"""A folder that holds answers already: what is asked again, and what never is."""

import json
import os
import signal
from pathlib import Path

import pytest

from tests.commands.results import Run
from tests.commands.standin import CLIPS, Stage, result, rows


def test_what_is_answered_is_not_asked_again(run: Run, stage: Stage) -> None:
    words = ("mc", "questions.jsonl", "-o", "out")
    first = run(*words)
    again = run(*words)
    assert again.status == 0 and again.out == first.out and "all was answered before" in again.err
    assert len(stage.opened) == 1, "the checkpoint is not even loaded"
    other = run(*words, "--scoring", "reference")
    assert other.status == 0 and result()["scoring"] == "reference" and len(stage.opened) == 1


@pytest.mark.parametrize("lines", [0, 1, 7])
def test_a_run_that_was_killed_goes_on_to_the_same_result(run: Run, stage: Stage, lines: int) -> None:
    words = ("mc", "questions.jsonl", "-o", "out")
    assert run(*words).status == 0
    before = Path("out/result.json").read_bytes()
    answers = Path("out/answers.jsonl")
    kept = answers.read_bytes().splitlines(keepends=True)
    answers.write_bytes(b"".join(kept[:lines]) + kept[lines][: len(kept[lines]) // 2])
    Path("out/result.json").unlink()
    stage.engine.asked.clear()
    done = run(*words)
    assert done.status == 0 and "torn by a kill" in done.err
    assert Path("out/result.json").read_bytes() == before
    assert len(stage.engine.asked) == 4 * CLIPS - lines
    assert len(answers.read_bytes().splitlines()) == 4 * CLIPS


def test_interrupted_it_keeps_what_was_said_and_goes_on(run: Run, stage: Stage) -> None:
    def interrupt() -> None:
        if len(stage.engine.batches) == 2:
            os.kill(os.getpid(), signal.SIGINT)

    stage.engine.encoding = interrupt
    words = ("mc", "questions.jsonl", "-o", "out")
    stopped = run(*words)
    assert stopped.status == 130 and "to go on: pllava eval mc questions.jsonl" in stopped.err
    answered = len(Path("out/answers.jsonl").read_bytes().splitlines())
    assert 0 < answered < 8 and not Path("out/result.json").exists()
    stage.engine.encoding = lambda: None
    assert run(*words).status == 0 and len(result()["verdicts"]) == 8
    assert len(Path("out/answers.jsonl").read_bytes().splitlines()) == 8


def test_a_changed_setting_is_refused_unless_it_is_meant(run: Run, stage: Stage) -> None:
    words = ("mc", "questions.jsonl", "-o", "out")
    assert run(*words).status == 0
    before = Path("out/answers.jsonl").read_bytes()
    said = Path("out/asked.json").read_bytes()
    refused = run(*words, "--alpha", "8", "--scoring", "reference")
    assert refused.status == 2 and "made with other settings" in refused.err and "--redo" in refused.err
    assert Path("out/asked.json").read_bytes() == said
    assert Path("out/answers.jsonl").read_bytes() == before and result()["settings"]["alpha"] == "4"
    stage.engine.says = "A)"
    done = run(*words, "--alpha", "8", "--redo")
    assert done.status == 0 and result()["settings"]["alpha"] == "8"
    assert {each["said"] for each in result()["verdicts"]} == {"A)"}


def test_more_questions_in_the_same_folder_are_only_added(run: Run, stage: Stage, questions: Path) -> None:
    part = run("mc", "questions.jsonl", "-o", "out", "--sample", "2", "--sample-seed", "7")
    assert part.status == 0 and "A SAMPLE: 4 of 8 questions" in part.err
    assert any("A SAMPLE" in note for note in result()["notes"]) and len(result()["verdicts"]) == 4
    assert len(stage.engine.asked) == 4
    whole = run("mc", "questions.jsonl", "-o", "out")
    assert whole.status == 0 and len(result()["verdicts"]) == 8 and "A SAMPLE" not in whole.err
    assert not any("A SAMPLE" in note for note in result()["notes"])
    assert len(stage.engine.asked) == 8


def test_failed_clips_are_tried_again(run: Run, stage: Stage) -> None:
    Path("clips/clip0.mp4").rename("kept.mp4")
    assert run("mc", "questions.jsonl", "-o", "out").status == 3
    Path("kept.mp4").rename("clips/clip0.mp4")
    assert run("mc", "questions.jsonl", "-o", "out").status == 0
    assert len(stage.engine.asked) == 8


def test_dry_run_tells_and_changes_nothing(run: Run, stage: Stage) -> None:
    fresh = run("mc", "questions.jsonl", "-o", "out", "--dry-run")
    assert fresh.status == 0 and rows(fresh.out)["questions"] == ["8"] and not Path("out").exists()
    assert rows(fresh.out)["clips"] == ["2"]
    run("mc", "questions.jsonl", "-o", "out", "--sample", "1")
    kept = {each: each.read_bytes() for each in Path("out").iterdir()}
    Path("clips/clip1.mp4").unlink()
    told = json.loads(run("mc", "questions.jsonl", "-o", "out", "--dry-run", "--json").out)
    assert (told["questions"], told["answered"], told["clips_missing"]) == (8, 2, 1)
    assert told["parts"] == 4 and told["parts_to_do"] >= 2
    assert {each: each.read_bytes() for each in Path("out").iterdir()} == kept and len(stage.opened) == 1
