"""What replies to multiple-choice questions come to, by the reference's rule and by the strict one."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from pllava_cli.evaluation.items import NOT_ANSWERED, Benchmark, Item, Manner, Result, Said
from pllava_cli.evaluation.scoring.choices import score
from pllava_cli.evaluation.scoring.chosen_option import Scoring

WAYS = ("Up.", "Down.", "To the left.", "A man walks.")


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
    waiting = [Said(each, None, NOT_ANSWERED) if each.group == "first" else Said(each, "B") for each in items]
    counted = score(Benchmark("mc", items, Manner("")), waiting, "strict")
    assert counted.averages[1].value == 100 and "unjudged" not in {each.kind for each in counted.verdicts}
    assert any("Only 2 of 3" in note for note in counted.notes)
    nothing = score(Benchmark("mc", items, Manner("")), [], "strict")
    assert not nothing.groups and [average.value for average in nothing.averages] == [None, None]


def test_a_part_of_mvbench_is_not_taken_for_the_whole() -> None:
    assert any("1 of 20 tasks, 1 of 4000" in note for note in scored(["B"], "strict", "mvbench").notes)
    assert not any("4000" in note for note in scored(["B"], "strict").notes)
