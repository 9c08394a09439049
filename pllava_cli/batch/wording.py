"""What is put around a text in a sidecar: a trigger word, a prefix and a suffix, none of them twice.

Trainers tell a subject by a word that stands in every text. A model that has learnt the word says it by
itself, and a sidecar that is extended holds it already. So each part is added only where it is missing, and
taken off before texts are joined.
"""

import re
from dataclasses import dataclass, fields

from pllava_cli.errors import UsageError

SEPARATOR = ", "
"""Between the trigger word and the text, as trainers' own captions have it."""


@dataclass(frozen=True)
class Wording:
    """What is added to a text.

    Raises:
        UsageError: It cannot be written in UTF-8.
    """

    trigger: str = ""
    """Stands first, and only if the text does not say it anywhere."""
    prefix: str = ""
    """Stands before the text, with no more space between than it brings."""
    suffix: str = ""

    def __post_init__(self) -> None:
        for each in fields(self):
            try:
                getattr(self, each.name).encode()
            except UnicodeEncodeError:
                raise UsageError(f"--{each.name} is no text in UTF-8", "write it in UTF-8") from None

    def dressed(self, text: str) -> str:
        """Return a text with everything added that it does not have yet."""
        text, (trigger, prefix, suffix) = text.strip(), self._parts
        if not text.startswith(prefix):
            text = prefix + text
        if not text.endswith(suffix):
            text += suffix
        if trigger and not _says(text, trigger):
            text = trigger + SEPARATOR + text
        return text.rstrip()

    def bare(self, text: str) -> str:
        """Return a text without what `dressed` adds."""
        text, (trigger, prefix, suffix) = text.strip(), self._parts
        if trigger:
            text = text.removeprefix(trigger + SEPARATOR)
        return text.removeprefix(prefix).removesuffix(suffix).strip()

    @property
    def _parts(self) -> tuple[str, str, str]:
        return self.trigger.strip(), self.prefix.lstrip(), self.suffix.rstrip()


def holds(text: str, part: str) -> bool:
    """Whether one text stands in another, word for word, wherever lines are broken."""
    whole, words = (f" {' '.join(each.split())} " for each in (text, part))
    return words in whole


def joined(first: str, second: str) -> str:
    """Put two texts together, unless one of them already begins or ends with the other."""
    first, second = first.strip(), second.strip()
    if not second or first == second or first.endswith((" " + second, "\n" + second)):
        return first
    if not first or second.startswith((first + " ", first + "\n")):
        return second
    return f"{first} {second}"


def _says(text: str, word: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text) is not None
