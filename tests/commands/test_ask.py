"""`pllava ask`: one encode, any number of questions."""

import os
from pathlib import Path

import pytest

from pllava_cli.errors import UsageError
from tests.commands import fake
from tests.commands.results import Result, Run


def test_one_question(run: Run, script: fake.Script) -> None:
    assert run("ask", "a.mp4", "What is it?") == Result(0, "A bird flies.\n", "")
    assert [question for question, _ in script.asked] == ["What is it?"]


def test_several_questions_share_one_encode(run: Run, script: fake.Script) -> None:
    script.answers = ["Two.", "Red."]
    result = run("ask", "a.mp4", "How many?", "What colour?")
    assert result.out == "Two.\nRed.\n"
    assert result.err == "==> How many? <==\n==> What colour? <==\n"
    assert script.encoded == [("a.mp4", None, None)]


def test_json_gives_a_record_a_question(run: Run, script: fake.Script) -> None:
    script.answers = ["Two.", "Red."]
    first, second = run("ask", "--json", "a.mp4", "How many?", "What colour?").records
    assert (first["task"], first["question"], first["text"]) == ("ask", "How many?", "Two.")
    assert first["id"] == second["id"] and first["fingerprint"] != second["fingerprint"]


def test_bad_clip_is_4_with_a_record_a_question(run: Run, script: fake.Script) -> None:
    script.broken["a.mp4"] = fake.broken_clip("a.mp4")
    assert run("ask", "a.mp4", "How many?") == Result(
        4, "", "error: a.mp4 cannot be decoded\nhint: convert it\n"
    )
    result = run("ask", "--json", "a.mp4", "How many?", "What colour?")
    assert result.status == 4
    assert [(each["status"], each["question"]) for each in result.records] == [
        ("error", "How many?"),
        ("error", "What colour?"),
    ]


@pytest.mark.parametrize("question", ["", " \n", os.fsdecode(b"what\xff"), "what\0"])
def test_question_that_is_none_is_refused_before_loading(
    run: Run, script: fake.Script, question: str
) -> None:
    result = run("ask", "a.mp4", question)
    assert (result.status, result.out, script.loaded) == (2, "", [])


@pytest.mark.parametrize("words", [("a.mp4", "b.mp4", "What?"), ("What?", "a.mp4")])
def test_file_in_place_of_a_question_is_refused_before_loading(
    run: Run, script: fake.Script, words: tuple[str, ...]
) -> None:
    result = run("ask", *words)
    assert (result.status, result.out, script.loaded) == (2, "", [])
    assert f"error: {words[1]} is a file, and stands where a question is expected\n" in result.err
    assert "pllava batch CLIP... --ask QUESTION" in result.err


def test_question_that_does_not_fit_is_usage(run: Run, script: fake.Script) -> None:
    script.answers = [UsageError("the question is too long", "ask a shorter one")]
    result = run("ask", "a.mp4", "why " * 5000)
    assert (result.status, result.out) == (2, "")
    assert result.err == "error: the question is too long\nhint: ask a shorter one\n"
    record = run("ask", "--json", "a.mp4", "why").records[0]
    assert record["error"]["code"] == "usage" and record["frames"]["indices"]


def test_ask_takes_no_prompt(run: Run) -> None:
    result = run("ask", "a.mp4", "What?", "--prompt", "x")
    assert result.status == 2
    assert "No such option: --prompt" in result.err


def test_a_prompt_in_a_settings_file_does_not_disturb_ask(
    run: Run, script: fake.Script, clips: object
) -> None:
    with Path("pllava.toml").open("w", encoding="utf-8") as file:
        file.write('prompt = "Describe the birds."\n')
    assert run("ask", "a.mp4", "What?").status == 0
    assert script.asked[0][0] == "What?"
