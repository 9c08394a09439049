"""Multiple-choice questions and replies, byte for byte."""

import re

import pytest

from pllava_cli.multiple_choice import REPLY_START, as_prompt, as_reply
from tests.parity import RECORDED, facts, needs_recordings


def test_a_question_and_its_candidates() -> None:
    assert as_prompt("Which way?", ["Up.", "Down.", "Neither."]) == (
        "Question: Which way?\nOptions:\n(A) Up.\n(B) Down.\n(C) Neither. \nOnly give the best option."
    )


def test_white_space_at_the_end_of_the_candidates_goes() -> None:
    prompt = as_prompt("Which way?", ["Up. ", "Down. \n"])
    assert prompt == "Question: Which way?\nOptions:\n(A) Up. \n(B) Down. \nOnly give the best option."


@pytest.mark.parametrize(
    ("answer", "reply"), [("Up.", "Best option:(A) Up."), ("Neither.", "Best option:(C) Neither.")]
)
def test_a_reply(answer: str, reply: str) -> None:
    assert as_reply(["Up.", "Down.", "Neither."], answer) == reply
    assert reply.startswith(REPLY_START)


def test_an_answer_that_was_not_offered() -> None:
    with pytest.raises(ValueError, match="not in list"):
        as_reply(["Up.", "Down."], "Left.")


@needs_recordings
def test_questions_are_put_as_they_were_to_the_reference() -> None:
    recorded = facts(RECORDED / "prompts" / "prompts.json")["templates"]["plain"]["mvbench_item"]
    prompt = recorded.removeprefix("USER:<image> ").removesuffix(f" ASSISTANT:{REPLY_START}")
    (question,) = re.findall(r"^Question: (.*)$", prompt, re.MULTILINE)
    candidates = re.findall(r"^\([A-Z]\) (.*?) ?$", prompt, re.MULTILINE)
    assert len(candidates) == 4
    assert as_prompt(question, candidates) == prompt
