"""Items as works, and answers back from a journal: what belongs together, and what counts."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from pllava_cli.answers import Answer
from pllava_cli.batch.journal import Journal
from pllava_cli.errors import ClipError, UsageError
from pllava_cli.evaluation.answering.pipeline import NOT_ANSWERED, collect, described, works
from pllava_cli.evaluation.items import Benchmark, Item, Manner
from pllava_cli.recording import Recording
from pllava_cli.records import Decoding, Turn
from tests.batch.made import MODEL

RECORDING = Recording(MODEL, Decoding(100, 0.0, 1.0, None), "Look.", "Describe it.", Turn("Best option:("))


def item(number: int, clip: str = "a.mp4", prompt: str = "Who?", **changes: object) -> Item:
    made = Item(f"task/{number}", "task", Path(clip), prompt, "(A)", prompt)
    return replace(made, **changes)  # type: ignore[arg-type]


def benchmark(*items: Item) -> Benchmark:
    return Benchmark("mc", items, Manner("Look."))


ITEMS = (
    item(1),
    item(2, "b.mp4"),
    item(3, prompt="What?"),
    item(4),  # the same question about the same clip
    item(5, start_s=1.0, end_s=2.5),
    item(6, start_s=1.0, end_s=2.5, prompt="What?"),
    item(7, start_s=1.0),
)


def write(path: Path, said: Sequence[tuple[Item, str | None]], recording: Recording = RECORDING) -> None:
    """Have a journal hold answers; None: an error."""
    with Journal.open(path) as journal:
        for of, text in said:
            (work,) = works(benchmark(of))
            answer = None if text is None else Answer(text, of.prompt, "eos", 1, {})
            error = ClipError("a.mp4 cannot be decoded") if text is None else None
            journal.append(
                recording.record(work.clip, work.segment, of.prompt, file=None, answer=answer, error=error)
            )


def test_questions_about_one_part_of_a_clip_are_one_work() -> None:
    found = works(benchmark(*ITEMS))
    assert [(each.clip.path.name, each.segment.start_s, each.segment.end_s) for each in found] == [
        ("a.mp4", None, None),
        ("b.mp4", None, None),
        ("a.mp4", 1.0, 2.5),
        ("a.mp4", 1.0, None),
    ]
    assert [each.questions for each in found] == [("Who?", "What?"), ("Who?",), ("Who?", "What?"), ("Who?",)]
    assert found[0].clip.id == found[2].clip.id != found[1].clip.id


def test_answers_come_back_in_the_order_of_the_items(tmp_path: Path) -> None:
    journal = tmp_path / "answers.jsonl"
    write(journal, [(each, f"said to {each.id}") for each in reversed(ITEMS) if each.id != "task/4"])
    said = collect(benchmark(*ITEMS), journal, RECORDING)
    assert [each.item for each in said] == list(ITEMS)
    expected = [each.id.replace("task/4", "task/1") for each in ITEMS]
    assert [each.text for each in said] == [f"said to {each}" for each in expected]
    assert {each.error for each in said} == {None}


def test_the_newest_record_counts(tmp_path: Path) -> None:
    journal = tmp_path / "answers.jsonl"
    write(journal, [(ITEMS[0], None), (ITEMS[1], "first"), (ITEMS[0], "A"), (ITEMS[1], None)])
    first, second = collect(benchmark(*ITEMS[:2]), journal, RECORDING)
    assert (first.text, first.error) == ("A", None)
    assert (second.text, second.error) == (None, "a.mp4 cannot be decoded")


@pytest.mark.parametrize(
    "other",
    [
        replace(RECORDING, turn=Turn()),
        replace(RECORDING, turn=Turn("Best option:(", is_inline=True)),
        replace(RECORDING, system="Watch."),
        replace(RECORDING, model=replace(MODEL, alpha=8.0)),
        replace(RECORDING, decoding=Decoding(50, 0.0, 1.0, None)),
    ],
)
def test_answers_of_other_settings_are_none(tmp_path: Path, other: Recording) -> None:
    journal = tmp_path / "answers.jsonl"
    write(journal, [(ITEMS[0], "A"), (ITEMS[1], "B")])
    write(journal, [(ITEMS[0], "of other settings")], other)
    first, second = collect(benchmark(*ITEMS[:2]), journal, RECORDING)
    assert (first.text, first.error) == (None, NOT_ANSWERED), "as a run that makes it again was stopped"
    assert second.text == "B"
    assert collect(benchmark(ITEMS[0]), journal, other)[0].text == "of other settings"


def test_what_is_not_there_is_not_answered_yet(tmp_path: Path) -> None:
    journal = tmp_path / "answers.jsonl"
    assert [each.error for each in collect(benchmark(*ITEMS), journal, RECORDING)] == [NOT_ANSWERED] * 7
    write(journal, [(item(9, "elsewhere.mp4"), "A"), (ITEMS[2], "B")])
    said = collect(benchmark(*ITEMS), journal, RECORDING)
    assert [each.text for each in said] == [None, None, "B", None, None, None, None]


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.99])
def test_a_torn_last_line_is_passed_over(tmp_path: Path, kept: float) -> None:
    journal = tmp_path / "answers.jsonl"
    write(journal, [(ITEMS[0], "A"), (ITEMS[1], "B")])
    first, second = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(first + second[: int(kept * len(second))])
    assert [each.text for each in collect(benchmark(*ITEMS[:2]), journal, RECORDING)] == ["A", None]


@pytest.mark.parametrize("content", [b"hello\n", b"\x00\xff\n", b"[1]\n", "{}\n".encode("utf-16")])
def test_a_file_of_something_else_is_refused(tmp_path: Path, content: bytes) -> None:
    journal = tmp_path / "answers.jsonl"
    journal.write_bytes(content)
    with pytest.raises(UsageError, match="line 1 is"):
        collect(benchmark(*ITEMS), journal, RECORDING)
    with pytest.raises(UsageError, match="is a directory"):
        collect(benchmark(*ITEMS), tmp_path, RECORDING)


def test_a_record_that_another_tool_has_changed_does_no_harm(tmp_path: Path) -> None:
    journal = tmp_path / "answers.jsonl"
    write(journal, [(ITEMS[0], "A")])
    plain = json.loads(journal.read_text())
    for changes, text in (
        ({"text": 7}, None),
        ({"text": "B", "frames": {"timestamps_s": ["x", 1]}}, "B"),
        ({"status": "error", "error": "x"}, None),
        ({"frames": 7}, "A"),
        ({"frames": {"timestamps_s": [10**400, 1e300, 1]}}, "A"),
    ):
        journal.write_text(json.dumps(plain | changes) + "\n")
        (said,) = collect(benchmark(ITEMS[0]), journal, RECORDING)
        assert all(time < 1e9 for time in said.timestamps_s)
        assert said.text == text and (said.error is None) == (text is not None)


def test_settings_are_said_in_words() -> None:
    told = described(RECORDING)
    assert told["checkpoint"] == "pllava-7b" and told["alpha"] == "4" and told["frames"] == "16"
    assert told["pooling shape"] == "16x12x12" and told["answer start"] == "Best option:("
    assert told["decoding"] == "greedy, 100 tokens at most" and told["system text"] == "Look."
    assert told["encoding"] == "exact"
    assert described(replace(RECORDING, model=replace(MODEL, encode="int8")))["encoding"] == "int8"
    assert "clip" not in told and "visual tokens kept" not in told
    inline = replace(RECORDING, turn=Turn(is_inline=True), model=replace(MODEL, alpha=None, keep_tokens=0.5))
    assert described(inline)["clip"] == "leads the question" and "alpha" not in described(inline)
    assert described(inline)["visual tokens kept"] == "0.5"


def test_works_and_answers_agree_on_what_is_asked(tmp_path: Path) -> None:
    """Whatever the pipeline writes of a work is found again by its item."""
    journal = tmp_path / "answers.jsonl"
    with Journal.open(journal) as opened:
        for work in works(benchmark(*ITEMS)):
            for question in work.questions:
                answer = Answer(f"{work.segment.start_s} {question}", question, "eos", 1, {})
                opened.append(RECORDING.record(work.clip, work.segment, question, file=None, answer=answer))
    said = collect(benchmark(*ITEMS), journal, RECORDING)
    assert [each.text for each in said] == [f"{each.start_s} {each.prompt}" for each in ITEMS]
    assert NOT_ANSWERED not in {each.error for each in said}
