"""Reading files of JSON, whatever is in them.

A file that cannot be read at all is an error; what a single line of one has wrong is told with its value.
"""

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pllava_cli import textfile
from pllava_cli.errors import UsageError
from pllava_cli.jsonlines import refuse_constant, why_not_json
from pllava_cli.textfile import converting, marked_encoding, opened, unreadable
from pllava_cli.video.probe import shown_name

MAX_BYTES = 512 << 20
"""Of a file of JSON: the largest of the paper's benchmarks, 72,821 questions, takes some 10 MB."""
_HINT = "name a file of questions"
_AGAIN = "download it again, or correct it"
_SHOWN = 60
"""So much of a value is enough in a message to find it by."""


class EntryError(Exception):
    """Why an entry cannot be asked, in one line."""


def load_json(path: Path, mend: str | None = None) -> Any:
    """Read a file of JSON.

    Args:
        path: The file.
        mend: What to do if it holds something else; None: what one does with a file of a benchmark.

    Raises:
        UsageError: It is missing, no regular file, unreadable, larger than 512 MB, not UTF-8 or not JSON.
    """
    name = shown_name(path)
    try:
        with opened(path, mend or _HINT, name=name) as stream:
            if os.fstat(stream.fileno()).st_size > MAX_BYTES:
                raise UsageError(f"{name} is larger than {MAX_BYTES >> 20} MB", mend or _HINT)
            content = stream.read()
    except OSError as error:
        raise unreadable(name, error) from None
    try:
        return _parsed(content)
    except UnicodeDecodeError as error:
        encoding = marked_encoding(content)
        hint = "save it as UTF-8" if encoding is None else converting(encoding)
        raise UsageError(f"{name} is not UTF-8 at byte {error.start + 1}", mend or hint) from None
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise UsageError(f"{name} is not JSON: {error.msg} at {place}", mend or _AGAIN) from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{name} is not JSON: {error}", mend or _AGAIN) from None


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


def check_folder(path: Path, hint: str) -> None:
    """See that there is a folder.

    Raises:
        UsageError: There is none; `hint` says what it should hold.
    """
    if not is_folder(path):
        raise UsageError(f"there is no folder {shown_name(path)}", hint)


def is_there(path: Path) -> bool:
    """Whether there is anything of this name; not if nobody may look, or none can have it."""
    return os.path.exists(path)  # noqa: PTH110 (Path.exists raises on a name that is too long)


def _parsed(content: bytes) -> Any:
    return json.loads(content.decode("utf-8-sig"), parse_constant=refuse_constant)
