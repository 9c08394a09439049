"""Whether a short answer is the correct one, by its words alone: for question sets without a judge."""

import re
import unicodedata

from pllava_cli.evaluation.scoring import letters

_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_DIGITS = {word: str(number) for number, word in enumerate(_NUMBERS)}
_ARTICLES = frozenset({"a", "an", "the"})
_WORD = re.compile(r"[^\W_]+")
_APOSTROPHE = re.compile(r"(?<=\w)['’](?=\w)")
"""Within a word, which stays one: `doesn't`, `chef's`."""


def words(text: str) -> list[str]:
    """Return the words of an answer: letter case, punctuation and articles away, numbers up to ten as digits.

    An answer that is nothing but articles keeps them.
    """
    plain = _APOSTROPHE.sub("", unicodedata.normalize("NFKC", text).casefold())
    found = [_DIGITS.get(word, word) for word in letters.find(_WORD, plain)]
    return [word for word in found if word not in _ARTICLES] or found


def is_match(answer: str, said: str) -> bool:
    """Whether the words of an answer occur in what was said, one behind the other.

    An answer without words, such as a symbol, must be said as it is.
    """
    wanted, found = words(answer), words(said)
    if not wanted:
        return answer.strip() == said.strip()
    ends = range(len(wanted), len(found) + 1)
    return any(found[end - len(wanted) : end] == wanted for end in ends)
