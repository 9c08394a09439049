"""What an entry of a file says of a clip: read field by field, or refused with the reason.

Nothing here opens a clip, and nothing knows how a file is laid out.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pllava_cli.evaluation.benchmarks.entry import Entry
from pllava_cli.evaluation.benchmarks.json_or_lines import Loaded, Placed
from pllava_cli.evaluation.reading import EntryError, shown

MAX_CHARACTERS = 10_000
"""Of a caption: some five pages. Comparing two texts takes the product of their lengths."""
MAX_NAME_CHARACTERS = 1024
_WORD = re.compile(r"[^\W_]")

Part = tuple[float, float]
"""Start and end of a part of a clip, in seconds."""


@dataclass(frozen=True)
class Told:
    """What one entry says; None where it does not say."""

    id: str | None
    name: str | None
    """Of the clip's file."""
    captions: Sequence[Any]
    """Not looked at yet."""
    split: str | None = None
    part: Part | None = None
    """None: it speaks of the whole clip."""
    other_names: tuple[str, ...] = ()
    """What the file may be called instead."""


Entries = Iterator[tuple[str, Told | EntryError]]
"""Where an entry stands, and what it says or why it cannot be used."""


@dataclass(frozen=True)
class Layout:
    """A form in which such files are passed around."""

    is_of: Callable[[Loaded], bool]
    """Whether a file is of this form, as its shape tells."""
    entries: Callable[[Loaded, Path], Entries]
    """Reads one that is; raises UsageError where a part of it is missing."""
    hint: str
    """What its entries must hold, said where none can be used."""


def each(found: Iterable[Placed], read_one: Callable[[Any], Told]) -> Entries:
    """Read values one by one with what raises EntryError for one that cannot be used."""
    for entry in found:
        try:
            yield entry.where, read_one(entry.value)
        except EntryError as error:
            yield entry.where, error


def checked_id(value: Any, key: str) -> str:
    """Read what tells clips apart: a word or a number.

    Raises:
        EntryError: It is neither; `key` says in the message which field holds it.
    """
    if value is None:
        raise EntryError(f"has no {key}")
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise EntryError(f"{key} is {shown(value)}, neither text nor a number")
    text = str(value)
    if not text.strip() or len(text) > MAX_NAME_CHARACTERS:
        raise EntryError(f"{key} is empty or longer than {MAX_NAME_CHARACTERS} characters")
    return text


def checked_name(value: Any, key: str) -> str:
    """Read what may name a file, with or without its folder and suffix.

    Raises:
        EntryError: It may not.
    """
    return Entry(1, {key: checked_id(value, key)}).file_name(key)


def plain_name(value: Any, key: str) -> str:
    """Read a name that a data set gives a clip, which is no path.

    Raises:
        EntryError: It is none that a file can have, or leads into a folder.
    """
    name = checked_name(value, key)
    if "/" in name:
        raise EntryError(f"{key} is {shown(name)}, a path instead of a name")
    return name


def checked_text(value: Any) -> str:
    """Read a caption: one line of text that holds a word.

    Raises:
        EntryError: It is none.
    """
    if not isinstance(value, str):
        raise EntryError(f"a caption is {shown(value)}, not text")
    if len(value) > MAX_CHARACTERS:
        raise EntryError(f"a caption is longer than {MAX_CHARACTERS} characters")
    text = " ".join(value.encode("utf-8", "replace").decode().split())
    if not _WORD.search(text):
        raise EntryError(f"the caption {shown(value)} holds no word")
    return text


def checked_list(value: Any, key: str) -> list[Any]:
    """Read what must be a list.

    Raises:
        EntryError: It is none.
    """
    if value is None:
        raise EntryError(f"has no {key}")
    if not isinstance(value, list):
        raise EntryError(f"{key} is {shown(value)}, not a list")
    return value
