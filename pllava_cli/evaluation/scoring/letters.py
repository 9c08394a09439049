"""Words in any script: marks belong to the letters that they are written with.

Python's patterns take a vowel sign of Hindi or Thai, or an accent that stands by itself, for the end of a
word: what is left of the words would then be their consonants.
"""

import re
import unicodedata

_STANDS_FOR_A_MARK = "x"
"""In what a pattern is shown; no rule for words looks for this letter."""


def find(pattern: re.Pattern[str], text: str) -> list[str]:
    """Return what a pattern finds in a text, one behind the other; a mark on a letter is taken for one."""
    shown = text if text.isascii() else _with_letters(text)
    return [text[match.start() : match.end()] for match in pattern.finditer(shown)]


def _with_letters(text: str) -> str:
    """Return a text of the same length; marks on anything else, as on pictures, stay what they are."""
    shown: list[str] = []
    for character in text:
        is_mark = unicodedata.category(character).startswith("M")
        is_on_letter = is_mark and bool(shown) and shown[-1].isalnum()
        shown.append(_STANDS_FOR_A_MARK if is_on_letter else character)
    return "".join(shown)
