"""One text by itself: its words, how much of it is said again, and how it opens.

Thresholds were set on the captions of the built-in world, which say many things alike, and on typical
loops of video models: the former stay below them, the latter above.
"""

import re
from collections.abc import Sequence

MOST_WORDS = 4096
"""A text is looked at up to here: no model writes more in one answer."""
PHRASE_WORDS = 5
"""Length of the phrases whose return counts as repetition."""
LOOPING_SHARE = 0.5
"""From this share of repeated words on a text loops. Of 4,000 captions of the built-in world the highest
share was 0.32; a paragraph said three times has 0.67, one said twice 0.5."""
OPENING_WORDS = 4
"""So many words are an opening: of captions of the built-in world 9 % share the commonest one."""

_NO_SPACES = r"\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff"
_WORD = re.compile(rf"[{_NO_SPACES}]|[^\W{_NO_SPACES}]+")
"""A run of letters and digits; a single character in scripts that put no space between words."""
_MEDIUM = r"(?:video|clip|footage|image|picture|film|frame)s?"
_BOILERPLATE = re.compile(
    rf"\W*(?:in|throughout) (?:the|this) {_MEDIUM}\b"
    rf"|\W*(?:the|this|these) (?:short )?{_MEDIUM}"
    r" (?:is|are|shows?|showcases?|depicts?|features?|captures?|presents?|displays?|begins?|starts?|opens?"
    r"|portrays?|contains?|consists?|appears?)\b",
    re.IGNORECASE,
)
"""Openings that speak of the medium instead of what it shows, as models trained on descriptions do."""


def words(text: str) -> list[str]:
    """Return the words of a text in lower case, up to `MOST_WORDS`."""
    return _WORD.findall(text.lower())[:MOST_WORDS]


def repeated_share(said: Sequence[str]) -> float:
    """Return the share of words that stand in a phrase of `PHRASE_WORDS` words which came before.

    The measure of repetition by duplicate n-grams is that of Rae et al. 2021, Scaling Language Models
    (arXiv:2112.11446), table A1, on words in place of characters; first occurrences do not count.
    """
    phrases = list(zip(*(said[at:] for at in range(PHRASE_WORDS)), strict=False))
    if len(set(phrases)) == len(phrases):  # nearly always
        return 0.0
    seen: set[tuple[str, ...]] = set()
    repeated = bytearray(len(said))
    for start, phrase in enumerate(phrases):
        if phrase in seen:
            repeated[start : start + PHRASE_WORDS] = b"\1" * PHRASE_WORDS
        seen.add(phrase)
    return sum(repeated) / len(said)


def is_looping(said: Sequence[str]) -> bool:
    """Whether half of a text has been said before in it."""
    return repeated_share(said) >= LOOPING_SHARE


def opening(said: Sequence[str]) -> tuple[str, ...] | None:
    """Return the first words of a text; None if it has no more than those."""
    return tuple(said[:OPENING_WORDS]) if len(said) > OPENING_WORDS else None


def opens_with_boilerplate(text: str) -> bool:
    """Whether a text begins like `The video shows`."""
    return _BOILERPLATE.match(text) is not None
