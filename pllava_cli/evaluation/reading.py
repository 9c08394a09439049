"""Reading a benchmark's files entry by entry, whatever is in them.

A file that cannot be read at all is an error. An entry that cannot be asked becomes a fault with its
place and a reason in one line, and reading goes on behind it. Nothing here opens a clip.
"""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pllava_cli import textfile
from pllava_cli.errors import UsageError
from pllava_cli.evaluation.items import Fault
from pllava_cli.jsonlines import refuse_constant, why_not_json
from pllava_cli.prompts import VIDEO_PLACEHOLDER
from pllava_cli.textfile import converting, marked_encoding, opened, unreadable
from pllava_cli.video.probe import shown_name

MAX_BYTES = 512 << 20
"""Of a file of JSON: the largest of the paper's benchmarks, 72,821 questions, takes some 10 MB."""
MAX_CHARACTERS = 1 << 16
"""Of a text: several times what a checkpoint's 4096 positions can hold."""
MAX_LABEL = 100
"""Characters of what stands in a table's first column."""
MAX_NAME_BYTES = 255
"""Of a file's name on the file systems in use (NAME_MAX of Linux and macOS)."""
LONGEST_S = 1e9
"""Of a clip, 31 years: what is later is no time."""
_HINT = "name a file of questions"
_SHOWN = 60
"""So much of a value is enough in a message to find it by."""

Made = TypeVar("Made")


class EntryError(Exception):
    """Why an entry cannot be asked, in one line."""


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


def load_json(path: Path) -> Any:
    """Read a file of JSON.

    Raises:
        UsageError: It is missing, no regular file, unreadable, larger than 512 MB, not UTF-8 or not JSON.
    """
    name = shown_name(path)
    try:
        with opened(path, _HINT, name=name) as stream:
            if os.fstat(stream.fileno()).st_size > MAX_BYTES:
                raise UsageError(f"{name} is larger than {MAX_BYTES >> 20} MB", _HINT)
            content = stream.read()
    except OSError as error:
        raise unreadable(name, error) from None
    try:
        return _parsed(content)
    except UnicodeDecodeError as error:
        encoding = marked_encoding(content)
        hint = "save it as UTF-8" if encoding is None else converting(encoding)
        raise UsageError(f"{name} is not UTF-8 at byte {error.start + 1}", hint) from None
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise UsageError(
            f"{name} is not JSON: {error.msg} at {place}", "download it again, or correct it"
        ) from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{name} is not JSON: {error}", "download it again, or correct it") from None


def load_list(path: Path) -> Iterable[tuple[int, Any]]:
    """Read a file of JSON that holds a list; return its values with their places from 1.

    Raises:
        UsageError: It cannot be read, or holds something else.
    """
    values = load_json(path)
    if not isinstance(values, list):
        raise UsageError(f"{shown_name(path)} holds {shown(values)}", "it must hold a list of objects")
    return enumerate(values, 1)


def load_lines(path: Path) -> Iterator[tuple[int, Any]]:
    """Read a file of JSON lines; yield the values with their lines from 1, or an `EntryError` for one.

    Raises:
        UsageError: It cannot be read, or is no text in UTF-8.
    """
    name = shown_name(path)
    with opened(path, _HINT, name=name) as stream:
        for number, line in textfile.lines(stream, name):
            if not line.strip():
                continue
            try:
                yield number, _parsed(line)
            except (ValueError, RecursionError) as error:
                yield number, EntryError(f"is {why_not_json(error)}")


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
            if not isinstance(value, dict):
                raise EntryError(f"is {shown(value)}, not an object")
            made.append(make(Entry(number, value)))
        except EntryError as error:
            faults.append(Fault(f"{place} {number}", str(error)))
    return made, faults


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


def shown(value: Any) -> str:
    """Write a value of JSON for a message: on one line and short, whatever it is."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, list):
        return "a list"
    if isinstance(value, dict):
        return "an object"
    text = repr(value[:_SHOWN] if isinstance(value, str) else value)
    is_cut = len(text) > _SHOWN + 2 or (isinstance(value, str) and len(value) > _SHOWN)
    return f"{text[:_SHOWN]}..." if is_cut else text


def is_folder(path: Path) -> bool:
    """Whether there is a folder that can be looked at."""
    try:
        return path.is_dir()
    except OSError:
        return False


def is_there(path: Path) -> bool:
    """Whether there is anything of this name; not if nobody may look, or none can have it."""
    return os.path.exists(path)  # noqa: PTH110 (Path.exists raises on a name that is too long)


def _parsed(content: bytes) -> Any:
    return json.loads(content.decode("utf-8-sig"), parse_constant=refuse_constant)
