"""Phrases that depend on how many there are."""

import pytest

from pllava_cli.phrases import counted, either, share


@pytest.mark.parametrize(
    ("count", "words", "phrase"),
    [
        (0, ("clip",), "0 clips"),
        (1, ("clip",), "1 clip"),
        (2, ("clip",), "2 clips"),
        (11, ("entry", "entries"), "11 entries"),
        (1, ("entry", "entries"), "1 entry"),
        ("1", ("clip a minute", "clips a minute"), "1 clip a minute"),
        ("1,001", ("answer",), "1,001 answers"),
        ("0.1", ("clip",), "0.1 clips"),
    ],
)
def test_a_number_goes_with_what_is_counted(count: int | str, words: tuple[str, ...], phrase: str) -> None:
    assert counted(count, *words) == phrase


@pytest.mark.parametrize(
    ("part", "whole", "phrase"),
    [
        (0, 1, "0 of 1 clip are missing"),
        (1, 1, "1 of 1 clip is missing"),
        (1, 12, "1 of 12 clips is missing"),
        (2, 12, "2 of 12 clips are missing"),
    ],
)
def test_a_share_does_what_its_number_says(part: int, whole: int, phrase: str) -> None:
    assert share(part, whole, "clip", "is missing", "are missing") == phrase


@pytest.mark.parametrize(
    ("choices", "phrase"), [("a", "a"), ("ab", "a or b"), ("abc", "a, b, or c"), ("abcd", "a, b, c, or d")]
)
def test_choices_are_one_phrase(choices: str, phrase: str) -> None:
    assert either(list(choices)) == phrase
