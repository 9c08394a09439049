"""Which option a reply chooses, by the reference's rule and by the strict one, and what that scores."""

from collections.abc import Sequence
from pathlib import Path
from random import Random
from string import printable

import pytest

from pllava_cli.evaluation.choices import Scoring, reference, score, strict
from pllava_cli.evaluation.items import Benchmark, Item, Manner, Result, Said
from tests.parity import RECORDED, facts, needs_recordings

TABLE = RECORDED / "mvbench" / "check_ans.json"
RECORDED_VERDICTS = facts(TABLE) if TABLE.is_file() else []
WAYS = ("Up.", "Down.", "To the left.", "A man walks.")


@needs_recordings
@pytest.mark.parametrize("row", RECORDED_VERDICTS, ids=lambda row: f"{row['pred']!r} for {row['gt']!r}")
def test_the_references_verdicts(row: dict) -> None:
    assert reference(row["pred"], row["gt"]) is row["verdict"]


@needs_recordings
def test_the_table_was_found() -> None:
    assert len(RECORDED_VERDICTS) > 40


@pytest.mark.parametrize(
    ("reply", "chosen"),
    [
        ("B", 1),
        ("b", 1),
        ("(B)", 1),
        ("B)", 1),
        (") B", None),
        ("B.", 1),
        ("B:", 1),
        ("B) Down.", 1),
        ("B. Down.", 1),
        ("B Down.", 1),
        ("B Up.", 1),
        ("(B)Down", 1),
        ("  ( B ) Down", 1),
        ("**B**", 1),
        ("**(B)** Down.", 1),
        ("`B`", 1),
        ("[B]", 1),
        ("- B", 1),
        ("B\nbecause it goes down", 1),
        ("B, because it goes down", 1),
        ("B because it goes down", 1),
        ("B) A man walks", 1),
        ("B. A man walks", 1),
        ("((B) Down", 1),
        ("D) A man walks.", 3),
        ("Answer: B", 1),
        ("answer: (B)", 1),
        ("**Answer:** B", 1),
        ("**Answer**: B) Down.", 1),
        ("Option B", 1),
        ("Best option:(B) Down.", 1),
        ("The answer is B.", 1),
        ("The correct answer is (B).", 1),
        ("The best option is option B.", 1),
        ("It goes down, so the answer is B", 1),
        ("Down", 1),
        ("down.", 1),
        ("  TO THE  LEFT ", 2),
        ("Down.)", 1),
        ("A", 0),
        ("a", 0),
        ("A)", 0),
        ("A Up.", 0),
        ("A is right", 0),
        ("A because it rises", 0),
        ("A man walks.", 3),
        ("a man walks", 3),
        ("A man sits.", None),
        ("A woman goes up", None),
        ("The answer is a man walking", None),
        ("because", None),
        ("Because it goes down", None),
        ("Certainly", None),
        ("a.m., not p.m.", None),
        ("down the road", None),
        ("The man goes down", None),
        ("(A)(B)", None),
        ("A B", None),
        ("A/B", None),
        ("A or B", None),
        ("B and C", None),
        ("B, C", None),
        ("(A) or (B)", None),
        ("A) Up. B) Down.", None),
        ("Option A is wrong, option B is right", None),
        ("The answer is A or B", None),
        ("The answer is not A", None),
        ("E", None),
        ("(H) none", None),
        ("The answer is F", None),
        ("1", None),
        ("()", None),
        (".", None),
        ("", None),
        (" \n", None),
        ("É", None),
        ("K", None),  # the sign of kelvin, whose lower case is a plain k
    ],
)
def test_what_a_reply_chooses(reply: str, chosen: int | None) -> None:
    assert strict(reply, WAYS) == chosen


@pytest.mark.parametrize(
    ("reply", "candidates", "chosen"),
    [
        ("C) B", ("A", "C", "B"), 2),  # the letter comes before the words
        ("B", ("A", "C", "B"), 1),
        ("same", ("Same.", "same"), None),
        ("(e)", ("1", "2", "3", "4", "5"), 4),
        ("3", ("1", "2", "3"), 2),
        ("(3)", ("1", "2", "3"), 2),
        ("Yes", ("Yes.", "No."), 0),
        ("e.g. the man", ("1", "2", "3", "4", "5"), None),
        ("I", tuple("123456789"), 8),
        ("I think it is 5", tuple("123456789"), None),
        ("Z", tuple(map(str, range(26))), 25),
    ],
)
def test_what_a_reply_chooses_of_others(reply: str, candidates: Sequence[str], chosen: int | None) -> None:
    assert strict(reply, candidates) == chosen


def item(number: int, group: str = "ways", answer: str = "Down.") -> Item:
    return Item(f"{group}/{number}", group, Path("a.mp4"), "Which way?", answer, "", WAYS)


def scored(replies: Sequence[str | None], scoring: Scoring, name: str = "mc") -> Result:
    items = [item(number) for number in range(len(replies))]
    said = [
        Said(each, reply, None if reply is not None else "no such file")
        for each, reply in zip(items, replies, strict=True)
    ]
    return score(Benchmark(name, items, Manner("")), said, scoring)


def test_every_answer_is_counted_and_told_apart() -> None:
    result = scored(["B) Down.", "A) Up.", "I do not know", "", None], "strict")
    assert [verdict.kind for verdict in result.verdicts] == ["right", "wrong", "unparsed", "empty", "failed"]
    assert [verdict.score for verdict in result.verdicts] == [1, 0, 0, 0, 0]
    (group,) = result.groups
    assert (group.name, group.of, group.value) == ("ways", 5, 20.0)
    assert group.counts == {"right": 1, "wrong": 1, "unparsed": 1, "empty": 1, "failed": 1}
    assert result.verdicts[0].note == "read as (B)" and result.verdicts[4].note == "no such file"
    assert (result.unit, result.scoring) == ("%", "strict")
    assert any("1 failed, 1 said nothing and 1 chose nothing" in note for note in result.notes)


def test_the_rules_differ_where_they_are_said_to() -> None:
    loose = scored(["A)(B) Down.", "B) Down.", "The answer is (B)", "The man"], "reference")
    assert [verdict.kind for verdict in loose.verdicts] == ["right", "right", "wrong", "wrong"]
    narrow = scored(["A)(B) Down.", "B) Down.", "The answer is (B)", "The man"], "strict")
    assert [verdict.kind for verdict in narrow.verdicts] == ["unparsed", "right", "right", "unparsed"]
    assert all("(A)(B)" in result.notes[0] for result in (loose, narrow))


@pytest.mark.parametrize("scoring", ["strict", "reference"])
@pytest.mark.parametrize("reply", [None, "", " ", "\n\t ", ")", ".", "()", "(", "\u00a0", "\u200b"])
def test_nothing_said_is_never_right(reply: str | None, scoring: Scoring) -> None:
    for answer in WAYS:
        said = [Said(item(1, answer=answer), reply)]
        result = score(Benchmark("mc", [said[0].item], Manner("")), said, scoring)
        assert result.verdicts[0].score == 0 and result.groups[0].value == 0
        assert result.verdicts[0].kind in {"failed", "empty", "unparsed"}


def test_any_reply_has_a_verdict() -> None:
    rng = Random(5)
    letters = printable + "ABCDabcd" * 10 + "().:*  " * 5 + "éК\u2028"
    for _ in range(3000):
        reply = "".join(rng.choices(letters, k=rng.randrange(12)))
        chosen = strict(reply, WAYS)
        assert chosen is None or 0 <= chosen < len(WAYS)
        assert isinstance(reference("(" + reply, "(A) Up."), bool)


@pytest.mark.parametrize("reply", ["(" * 20_000, " " * 20_000, "answer " * 5_000, "answer" + " " * 20_000])
def test_long_replies_take_no_time(reply: str) -> None:
    assert strict(reply, WAYS) is None


def test_averages_over_tasks_and_over_items() -> None:
    few = Item("few/1", "few", Path("a.mp4"), "?", "Yes.", "", ("Yes.", "No."))
    items = [item(1), item(2), item(3), few]
    said = [Said(each, reply) for each, reply in zip(items, ["B", "A", "A", "A"], strict=True)]
    result = score(Benchmark("mc", items, Manner("")), said, "strict")
    assert [(group.name, group.of) for group in result.groups] == [("ways", 3), ("few", 1)]
    tasks, every = result.averages
    assert (tasks.label, every.label) == ("mean over tasks", "mean over items")
    assert tasks.value == pytest.approx((100 / 3 + 100) / 2) and every.value == 50
    assert (tasks.note, every.note) == ("guessing: 37.5 %", "guessing: 31.2 %")
    assert any("Chance level: 31.2 %" in note for note in result.notes)


def test_what_was_not_reached_is_said() -> None:
    items = [item(1, "first"), item(2, "second"), item(3, "third")]
    result = score(Benchmark("mc", items, Manner("")), [Said(items[1], "B")], "strict")
    assert [group.name for group in result.groups] == ["second"]
    assert any("Only 1 of 3" in note for note in result.notes)
    nothing = score(Benchmark("mc", items, Manner("")), [], "strict")
    assert not nothing.groups and [average.value for average in nothing.averages] == [None, None]


def test_a_part_of_mvbench_is_not_taken_for_the_whole() -> None:
    assert any("1 of 20 tasks, 1 of 4000" in note for note in scored(["B"], "strict", "mvbench").notes)
    assert not any("4000" in note for note in scored(["B"], "strict").notes)
