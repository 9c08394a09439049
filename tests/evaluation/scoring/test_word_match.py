"""Whether a short answer is said, by words alone."""

import pytest

from pllava_cli.evaluation.scoring.word_match import is_match, words


@pytest.mark.parametrize(
    ("answer", "said", "is_right"),
    [
        ("dog", "dog", True),
        ("dog", "A dog.", True),
        ("Dog", "there is a DOG, barking", True),
        ("dog", "dogs", False),
        ("dog", "hotdog", False),
        ("two", "There are 2 of them.", True),
        ("2", "two", True),
        ("10", "Ten!", True),
        ("2", "20", False),
        ("11", "eleven", False),
        ("a man", "the man", True),
        ("ice cream", "an ice-cream cone", True),
        ("ice cream", "cream on ice", False),
        ("t-shirt", "a T-shirt", True),
        ("t-shirt", "a tshirt", False),
        ("don't know", "I don’t know", True),
        ("don't know", "I don t know", False),
        ("café", "cafe\u0301", True),
        ("straße", "STRASSE", True),
        ("yes", "no", False),
        ("dog", "", False),
        ("dog", "...", False),
        ("a", "a", True),
        ("a", "the", False),
        ("?", " ? ", True),
        ("?", "!", False),
        ("", "", True),
        ("犬", "犬", True),
        ("की", "का", False),
        ("कुत्ता", "एक कुत्ता है", True),
        ("ท้อง", "ทอง", False),
        ("❤️", "⭐️", False),
    ],
)
def test_match(answer: str, said: str, is_right: bool) -> None:
    assert is_match(answer, said) is is_right


def test_words_are_what_both_sides_are_compared_by() -> None:
    assert words("The three_little Pigs' house: №7, a 2nd!") == ["3", "little", "pigs", "house", "no7", "2nd"]
