"""Which option a reply chooses, by the reference's rule and by the strict one."""

from collections.abc import Sequence
from random import Random
from string import printable

import pytest

from pllava_cli.evaluation.scoring.chosen_option import reference, strict
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
        ("same", ("other", "Same.", "Same."), 1),
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
