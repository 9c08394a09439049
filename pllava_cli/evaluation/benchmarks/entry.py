"""The entries of a benchmark's file, one by one: what an entry's keys hold, or what is wrong with it.

An entry that cannot be asked becomes a fault with its place and a reason in one line, and reading goes on
behind it. Nothing here opens a clip.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pllava_cli.evaluation.items import Fault
from pllava_cli.evaluation.reading import EntryError, shown
from pllava_cli.prompts import VIDEO_PLACEHOLDER

MAX_CHARACTERS = 1 << 16
"""Of a text: several times what a checkpoint's 4096 positions can hold."""
MAX_LABEL = 100
"""Characters of what stands in a table's first column."""
MAX_NAME_BYTES = 255
"""Of a file's name on the file systems in use (NAME_MAX of Linux and macOS)."""
LONGEST_S = 1e9
"""Of a clip, 31 years: what is later is no time."""

Made = TypeVar("Made")


@dataclass(frozen=True)
class Entry:
    """One object of a benchmark's file; its methods return what its keys hold, or say what is wrong.

    Every method raises `EntryError` if the key is missing or holds something else.
    """

    number: int
    """Its place in the file, from 1."""
    fields: Mapping[str, Any]

    def __contains__(self, key: str) -> bool:
        """Whether the key is there and holds more than null."""
        return self.fields.get(key) is not None

    def value(self, key: str) -> Any:
        """What a key holds, whatever that is."""
        if key not in self:
            raise EntryError(f"has no {key}")
        return self.fields[key]

    def text(self, key: str) -> str:
        """A text that may be part of a prompt."""
        return checked_text(self.value(key), key)

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of such texts."""
        values = self.value(key)
        if not isinstance(values, list):
            raise EntryError(f"{key} is {shown(values)}, not a list of texts")
        return tuple(checked_text(each, f"{key}, number {at},") for at, each in enumerate(values, 1))

    def label(self, key: str) -> str:
        """A short text for the first column of a table, or a number that serves as one."""
        value = self.value(key)
        text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
        text = checked_text(text, key).strip()
        if len(text) > MAX_LABEL or not text.isprintable():
            raise EntryError(f"{key} is {shown(text)}, not one line of at most {MAX_LABEL} characters")
        return text

    def seconds(self, key: str) -> float:
        """An instant of a clip."""
        value = self.value(key)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not 0 <= value <= LONGEST_S:  # NaN is neither; an integer may be huge
            raise EntryError(f"{key} is {shown(value)}, not a time in seconds")
        return float(value)

    def file_name(self, key: str) -> str:
        """A path as the file names it: relative or not, of a file that can exist."""
        name = self.value(key)
        if not isinstance(name, str):
            raise EntryError(f"{key} is {shown(name)}, not the name of a file")
        if "\0" in name:
            raise EntryError(f"{key} holds a NUL character")
        try:
            parts = os.fsencode(name).split(b"/")
        except UnicodeEncodeError:
            raise EntryError(f"{key} is {shown(name)}, a name that no file can have") from None
        if max(map(len, parts)) > MAX_NAME_BYTES:
            raise EntryError(f"{key} is {shown(name)}, longer than a file's name can be")
        if os.path.normpath(name).rpartition("/")[2] in ("", ".", ".."):
            raise EntryError(f"{key} is {shown(name)}, which names no file")
        return name

    def path_below(self, folder: Path, key: str) -> Path:
        """A path that a benchmark gives from one of its folders and that stays within it.

        Symbolic links are not followed: whoever keeps videos elsewhere may link to them.
        """
        name = self.file_name(key)
        inner = os.path.normpath(name)
        if inner.startswith("/"):
            raise EntryError(f"{key} is {shown(name)}, not a path from the benchmark's folder")
        if inner.startswith("../"):
            raise EntryError(f"{key} is {shown(name)}, which leads out of the benchmark's folder")
        return folder / inner


def gather(
    values: Iterable[tuple[int, Any]], place: str, make: Callable[[Entry], Made]
) -> tuple[list[Made], list[Fault]]:
    """Make something of every entry; one of which nothing can be made is a fault.

    Args:
        values: Places and values, as `load_list` and `load_lines` give them.
        place: What a fault's place is, before its number: `json/action_sequence.json, entry`.
        make: Makes it, or raises `EntryError`.
    """
    made: list[Made] = []
    faults: list[Fault] = []
    for number, value in values:
        try:
            if isinstance(value, EntryError):
                raise value
            made.append(make(Entry(number, checked_object(value))))
        except EntryError as error:
            faults.append(Fault(f"{place} {number}", str(error)))
    return made, faults


def checked_object(value: Any) -> dict[str, Any]:
    """Return what may be an entry.

    Raises:
        EntryError: It is something else.
    """
    if not isinstance(value, dict):
        raise EntryError(f"is {shown(value)}, not an object")
    return value


def checked_text(value: Any, name: str) -> str:
    """Return a text that may be part of a prompt.

    Raises:
        EntryError: It is none, is blank or too long, or holds the placeholder of the clip or what is no
            character; `name` says in the message which text it is.
    """
    if not isinstance(value, str):
        raise EntryError(f"{name} is {shown(value)}, not text")
    if not value.strip():
        raise EntryError(f"{name} is empty")
    if len(value) > MAX_CHARACTERS:
        raise EntryError(f"{name} is longer than {MAX_CHARACTERS} characters")
    if VIDEO_PLACEHOLDER in value:
        raise EntryError(f"{name} holds {VIDEO_PLACEHOLDER}, which stands for the clip")
    if "\0" in value:
        raise EntryError(f"{name} holds a NUL character")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise EntryError(f"{name} holds a lone surrogate, which is no character") from None
    return value
