"""Prompt templates, byte for byte: against recorded prompts, and written out for our own texts."""

from typing import Any

import pytest

from pllava_cli.prompts import CAPTION, SYSTEM, TEMPLATES, VIDEO_PLACEHOLDER, Message, Template
from tests.parity import RECORDED, facts, needs_recordings

OURS = {
    "plain": "vicuna-plain",
    "eval_vcgbench": "vicuna",
    "eval_mvbench": "vicuna",
    "eval_recaption": "vicuna",
    "eval_videoqabench": "vicuna-inline",
    "eval_vcg_llavanext": "chatml",
    "eval_mvbench_llavanext": "chatml",
    "eval_recaption_llavanext": "chatml",
    "eval_videoqa_llavanext": "chatml-inline",
}
"""Our template by the reference's name of it."""
RUNS = [
    "caption_single_test",
    "question",
    "two_turns",
    "question_without_video",
    "mvbench_item",
    "videoqabench_style",
    "demo_upload_then_ask",
    "demo_second_turn",
    "demo_ask_before_upload",
]


@pytest.fixture(scope="module")
def recorded() -> Any:
    return facts(RECORDED / "prompts" / "prompts.json")


def split_plain(prompt: str) -> tuple[str, str]:
    """The question and the start of the answer in a prompt of the plainest template, which adds least."""
    question, _, start = prompt.removeprefix("USER:<image> ").partition(" ASSISTANT:")
    return question, start


def recorded_run(recorded: Any, name: str, run: str) -> tuple[str, list[Message]]:
    """System text and messages of a recorded prompt; the texts are all taken from the recordings."""
    template, told = TEMPLATES[OURS[name]], recorded["inputs"]
    fields, plain = recorded["templates"][name]["fields"], recorded["templates"]["plain"]
    asked = Message("user", told["question"])
    then = [Message("assistant", told["first_answer"]), Message("user", told["second_question"])]
    if run == "question":
        messages = template.turns(asked.text)
    elif run == "two_turns":
        messages = [*template.turns(asked.text), *then]
    elif run == "question_without_video":
        messages = [asked]
    elif run == "videoqabench_style":
        around = (fields["pre_query_prompt"], asked.text, fields["post_query_prompt"])
        messages = template.turns(" ".join(part for part in around if part))
        messages += [Message("answer start", fields["answer_prompt"])] if fields["answer_prompt"] else []
    elif run == "demo_upload_then_ask":
        messages = [*template.turns(""), asked]
    elif run == "demo_second_turn":
        messages = [*template.turns(""), asked, Message("assistant", f" {told['first_answer']}"), then[1]]
    elif run == "demo_ask_before_upload":
        messages = [asked, *template.turns("")]
    else:
        question, start = split_plain(plain[run])
        messages = template.turns(question) + ([Message("answer start", start)] if start else [])
    return told["demo_system"] if run.startswith("demo") else fields["system"], messages


@needs_recordings
@pytest.mark.shared
class TestRecorded:
    def test_every_template_is_covered(self, recorded: Any) -> None:
        assert set(recorded["templates"]) == set(OURS)
        assert set(OURS.values()) == set(TEMPLATES)
        assert all(set(runs) == {*RUNS, "fields"} for runs in recorded["templates"].values())

    @pytest.mark.parametrize("run", RUNS)
    @pytest.mark.parametrize("name", OURS)
    def test_template(self, name: str, run: str, recorded: Any) -> None:
        system, messages = recorded_run(recorded, name, run)
        assert TEMPLATES[OURS[name]].render(messages, system) == recorded["templates"][name][run]

    def test_prompts_of_all_commands(self, recorded: Any) -> None:
        assert len(recorded["commands"]) == 13
        for command, calls in recorded["commands"].items():
            task, name, _ = command.split("/")
            for call in calls:
                assert self.command_prompt(recorded, task, name, call["prompt"]) == call["prompt"], command

    def command_prompt(self, recorded: Any, task: str, name: str, prompt: str) -> str:
        template = TEMPLATES[OURS[name]]
        runs = {
            "mvbench": "mvbench_item",
            "videoqabench": "videoqabench_style",
            "vcgbench": "question",
            "single_test": "caption_single_test",
            "demo": "demo_upload_then_ask",
        }
        if task in runs:
            system, messages = recorded_run(recorded, name, runs[task])
            return template.render(messages, system)
        # The recaptioning instruction is recorded in the prompt alone: what stands between the turns.
        system = recorded["templates"][name]["fields"]["system"]
        question = prompt.partition("<image>\n" + template.user_end + template.user)[2]
        question = question.removesuffix(template.user_end + template.assistant)
        assert 100 < len(question) < 1500
        return template.render(template.turns(question), system)


class TestOurTexts:
    """Written out by hand from the table of roles, separators and media."""

    @pytest.mark.parametrize(
        ("name", "prompt"),
        [
            ("vicuna", "Look. USER: <image>\n USER: How many cats? ASSISTANT:"),
            ("vicuna-inline", "Look. USER: <image>\n How many cats? ASSISTANT:"),
            ("vicuna-plain", "Look. USER:<image> How many cats? ASSISTANT:"),
            (
                "chatml",
                "Look.<|im_end|>\n<|im_start|>user\n<image>\n<|im_end|>\n"
                "<|im_start|>user\nHow many cats?<|im_end|>\n<|im_start|>assistant\n",
            ),
            (
                "chatml-inline",
                "Look.<|im_end|>\n<|im_start|>user\n<image>\n How many cats?<|im_end|>\n"
                "<|im_start|>assistant\n",
            ),
        ],
    )
    def test_first_question(self, name: str, prompt: str) -> None:
        template = TEMPLATES[name]
        assert template.render(template.turns("How many cats?"), "Look.") == prompt

    @pytest.mark.parametrize(
        ("name", "prompt"),
        [
            ("vicuna", "USER: <image>\n USER: How many? ASSISTANT:Two.</s>USER: Where? ASSISTANT:"),
            (
                "chatml",
                "<|im_start|>user\n<image>\n<|im_end|>\n<|im_start|>user\nHow many?<|im_end|>\n"
                "<|im_start|>assistant\nTwo.<|im_end|>\n<|im_start|>user\nWhere?<|im_end|>\n"
                "<|im_start|>assistant\n",
            ),
        ],
    )
    def test_second_question_without_system_text(self, name: str, prompt: str) -> None:
        template = TEMPLATES[name]
        then = [Message("assistant", "Two."), Message("user", "Where?")]
        assert template.render([*template.turns("How many?"), *then]) == prompt

    def test_answer_start_is_left_open(self) -> None:
        template = TEMPLATES["vicuna"]
        messages = [*template.turns("How many?"), Message("answer start", "There are")]
        assert template.render(messages) == "USER: <image>\n USER: How many? ASSISTANT:There are"

    @pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES)
    def test_one_placeholder_stands_before_every_question(self, template: Template) -> None:
        prompt = template.render(template.turns(CAPTION), SYSTEM)
        assert prompt.count(VIDEO_PLACEHOLDER) == 1
        assert prompt.index(SYSTEM) < prompt.index(VIDEO_PLACEHOLDER) < prompt.index(CAPTION)

    @pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES)
    def test_question_changes_nothing_before_itself(self, template: Template) -> None:
        one = template.render(template.turns("one"), SYSTEM)
        other = template.render(template.turns("quite another"), SYSTEM)
        upto = one.index(VIDEO_PLACEHOLDER) + len(VIDEO_PLACEHOLDER)
        assert one[:upto] == other[:upto]

    def test_texts_are_ours_and_hold_no_markup(self) -> None:
        for text in (SYSTEM, CAPTION):
            assert text == text.strip()
            assert not any(mark in text for mark in ("<", "USER", "ASSISTANT", "\n"))
