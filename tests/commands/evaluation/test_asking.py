"""How questions are put to a checkpoint, and the table and the report that they become."""

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from pllava_cli.commands import places
from pllava_cli.commands.staffing import Needs
from pllava_cli.records import Decoding
from pllava_cli.settings import Settings
from pllava_cli.terminal import Terminal
from tests.commands.results import Run
from tests.commands.standin import CLIPS, RIGHT, Stage, result, rows


def test_questions_become_a_table_and_a_report(run: Run, stage: Stage) -> None:
    done = run("mc", "questions.jsonl", "-o", "out")
    assert done.status == 0, done.err
    assert rows(done.out)["colour"] == ["4", "50.0"] and rows(done.out)["motion"] == ["4", "50.0"]
    assert "mean over tasks  50.0" in done.out and "report.html" in done.err
    assert result()["settings"] | {"checkpoint": "stand-in", "alpha": "4"} == result()["settings"]
    assert {each.name for each in Path("out").iterdir()} == {
        "answers.jsonl",
        "asked.json",
        "report.html",
        "report.md",
        "result.json",
    }


def test_each_part_of_a_clip_is_encoded_once_however_many_questions(run: Run, stage: Stage) -> None:
    assert run("mc", "questions.jsonl", "-o", "out").status == 0
    encoded = [name for batch in stage.engine.batches for name in batch]
    for clip in range(CLIPS):  # three questions are about all of it, one about a part
        assert 1 <= encoded.count(f"clip{clip}.mp4") <= 2
    assert len(stage.engine.asked) == 4 * CLIPS


def test_questions_are_put_as_the_benchmark_puts_them(
    run: Run, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a settings file or a variable says of captions."""
    monkeypatch.setenv("PLLAVA_MAX_NEW_TOKENS", "7")
    monkeypatch.setenv("PLLAVA_TEMPERATURE", "0.9")
    Path("pllava.toml").write_text('system = "You are a pirate."\nalpha = 16.0\n')
    assert run("mc", "questions.jsonl", "-o", "out").status == 0
    (found,) = stage.opened
    assert "Answer with the option" in found.system and found.decoding == Decoding(100, 0.0, 1.0, None)
    assert found.turn.answer_start == "Best option:(" and stage.engine.starts == {"Best option:("}
    assert found.model.alpha == 16.0, "what is not the benchmark's to say is heard"
    record = json.loads(Path("out/answers.jsonl").read_text().splitlines()[0])
    assert record["turn"] == {"answer_start": "Best option:(", "is_inline": False} and record["text"] == RIGHT


def test_the_user_may_put_them_otherwise(run: Run, stage: Stage) -> None:
    Path("system.txt").write_text("Watch closely.\n")
    words = ("mc", "questions.jsonl", "-o", "out", "--system-file", "system.txt", "--max-new-tokens", "9")
    assert run(*words).status == 0
    assert (stage.opened[0].system, stage.opened[0].decoding.max_new_tokens) == ("Watch closely.", 9)
    assert run("mc", "questions.jsonl", "-o", "none", "--system", "").status == 0
    assert stage.opened[1].system == "" and result("none")["settings"]["system text"] == "none"


@pytest.mark.parametrize(
    ("words", "most"),
    [((), 20 * 10**9), (("--keep-visual-gb", "1.5"), 15 * 10**8), (("--no-keep-visual",), None)],
)
def test_the_user_says_how_much_is_kept_of_clips(
    run: Run, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], most: int | None
) -> None:
    found, find = [], places.find

    def noting(stack: ExitStack, terminal: Terminal, needs: Needs, fitted: Settings) -> Any:
        found.append(needs.visual_store)
        return find(stack, terminal, needs, fitted)

    monkeypatch.setattr(places, "find", noting)
    assert run("mc", "questions.jsonl", "-o", "out", *words).status == 0
    assert [None if each is None else each.most_bytes for each in found] == [most]


def test_a_sample_says_so_among_its_settings(run: Run) -> None:
    assert run("mc", "questions.jsonl", "-o", "out", "--sample", "1", "--sample-seed", "3").status == 0
    assert result()["settings"]["sample"] == "1 of each group at most, seed 3"


def test_json_is_the_result(run: Run) -> None:
    done = run("mc", "questions.jsonl", "-o", "out", "--json")
    assert done.status == 0 and json.loads(done.out) == result() and len(done.out.splitlines()) == 1


def test_quiet_says_nothing_but_the_figures(run: Run) -> None:
    done = run("mc", "questions.jsonl", "-o", "out", "-q", "--sample", "1")
    assert done.status == 0 and done.err == "" and "mean over tasks" in done.out


def test_the_folder_is_named_after_benchmark_and_checkpoint(run: Run) -> None:
    assert run("mc", "questions.jsonl").status == 0
    assert Path("eval-mc-checkpoint/result.json").is_file()


def test_clips_are_the_same_from_whatever_folder(
    run: Run, stage: Stage, questions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("mc", "questions.jsonl", "-o", "out").status == 0
    Path("inner").mkdir()
    monkeypatch.chdir("inner")
    assert run("mc", "../questions.jsonl", "-o", "../out").status == 0
    assert run("mc", questions, "-o", "../out").status == 0 and len(stage.opened) == 1
