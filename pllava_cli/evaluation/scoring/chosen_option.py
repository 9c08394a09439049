"""Which option a reply chooses.

There are two rules. `reference` gives the verdict that the published figures were made with, its
looseness included. `strict` reads exactly one option or none:

1. The reply begins with an option's letter, in brackets or not: `B`, `(B)`, `B) Down.`, `**B.** Down.`
   The letter is followed by a bracket, a full stop, a colon, a comma, white space or the end, so that
   `because` is no B. `A` before another word is the article (`A man walks`), unless that word is one that
   goes on about an option (`A because ...`) or the rest is just what option A says (`A Up.`).
2. Or it says which one it is: `Answer: B`, `the answer is (B)`, `option B`.
3. Or it is, in other words than a letter, just what one candidate says: case, spaces, brackets and full
   stops around it set aside.

What is said after the letter does not matter, save that a reply which names another option too, as
`(A)(B)`, `A or B` or `A) Up. B) Down.`, chooses none.
"""

import re
from collections.abc import Sequence
from string import ascii_uppercase
from typing import Literal

Scoring = Literal["strict", "reference"]
"""How the option that an answer chooses is read."""
REFERENCE_LETTERS = "abcdefg"
"""Source: the reference's verdicts (magic-research/PLLaVA, 6f49fd2), where `(H)` is never right."""

_OPENING = r"[\s(\[{*_`\"'#>-]*+"
_CLOSING = r"[\s)\]}*_`\"'.:]*+"
_LETTER = rf"{_OPENING}(?P<letter>[A-Za-z])(?=[\s)\]}}.:,/*_`\"]|$)(?!\.[a-z])"
"""An option's letter as it may stand; not that of `e.g.`"""
_START = re.compile(_LETTER)
_SAYING = re.compile(
    r"\b(?i:answer|option|choice)\b[*_]*+(?:\s++(?i:is|would\s++be|should\s++be)\b)?\s*+[:=]?" + _LETTER
)
_BESIDE = re.compile(rf"{_CLOSING}(?:[,/&+]|\b(?i:and|or)\b)?{_LETTER}")
"""Another letter right behind the first one."""
_BRACKETED = re.compile(r"(?<![A-Za-z0-9])(?P<letter>[A-Za-z])[)\]]")
_ARTICLE = re.compile(r"[^\S\n]+(?!(?:is|and|or|because|since|but)\b)\w", re.IGNORECASE)
"""What follows the letters that are English words too, A and I, where they are meant as words."""
_AROUND = " \t\n()[]{}\"'*_`.:"


def reference(prediction: str, truth: str) -> bool:
    """Return the reference's verdict on a reply.

    Its oddities are kept: only the first word counts, words are what single spaces part,
    and parts of the right option count as right, so that `(A)(B)` is right whether A or B is.

    Args:
        prediction: The reply, with the bracket that the reply is made to begin with.
        truth: The right option: `(A) text`.

    Source: magic-research/PLLaVA (6f49fd2), tasks/eval/mvbench; written from a description of its rule.
    """
    if not names_a_letter(prediction):
        return False
    said, right = _first_word(prediction), _first_word(truth)
    return said.replace(".", "") in right or right in said


def strict(reply: str, candidates: Sequence[str]) -> int | None:
    """Return the place of the candidate that a reply chooses; None: it chooses none, or several.

    Args:
        reply: What was said, with or without the bracket before the letter.
        candidates: What may be chosen, at most 26.
    """
    named = _named(reply, candidates)
    if not named:
        return _worded(reply, candidates)
    place = min(named)
    return place if len(named) == 1 and place < len(candidates) else None


def names_a_letter(prediction: str) -> bool:
    """Whether the reference looks at a reply at all."""
    return any(letter in _first_word(prediction) for letter in REFERENCE_LETTERS)


def _first_word(text: str) -> str:
    return text.lower().split(" ")[0]


def _named(reply: str, candidates: Sequence[str]) -> set[int]:
    """The places of the options that a reply names by letter, which may be more than there are."""
    start = _START.match(reply)
    if start is not None and (place := _place(start["letter"])) < len(candidates):
        rest = reply[start.end() :]
        if _plain(rest) == _plain(candidates[place]):
            return {place}
        if not _is_word(start):
            return {place} | _further(rest, len(candidates))
    named = set()
    for said in _SAYING.finditer(reply):
        if not _is_word(said):
            named |= {_place(said["letter"])} | _further(reply[said.end() :], len(candidates))
    return named


def _place(letter: str) -> int:
    return ascii_uppercase.index(letter.upper())


def _is_word(letter: re.Match[str]) -> bool:
    """Whether a letter by itself is a word of the sentence it stands in."""
    return letter["letter"] in "AaIi" and _ARTICLE.match(letter.string, letter.end()) is not None


def _further(rest: str, count: int) -> set[int]:
    """Options that are named behind the first one: at once, or anywhere in brackets."""
    found = {_place(each["letter"]) for each in _BRACKETED.finditer(rest)}
    beside = _BESIDE.match(rest)
    if beside is not None and not _is_word(beside):
        found.add(_place(beside["letter"]))
    return {place for place in found if place < count}


def _worded(reply: str, candidates: Sequence[str]) -> int | None:
    """The one candidate whose very words a reply is; where it is offered twice, the first of it."""
    words = _plain(reply)
    found = {each for each in candidates if words and _plain(each) == words}
    return candidates.index(found.pop()) if len(found) == 1 else None


def _plain(text: str) -> str:
    return " ".join(text.casefold().strip(_AROUND).split())
