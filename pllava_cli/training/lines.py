"""Files of JSON, object by object: `.jsonl` has one a line, `.json` has a list of them.

A line that cannot be read stands for itself, and reading goes on behind it. A file that is no text is
refused as a whole: the same reason for each of its lines would bury the one thing that is wrong.
"""

import codecs
import json
from collections.abc import Iterator
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import IO, Any

from pllava_cli.errors import UsageError

MAX_LINE_BYTES = 1 << 20
"""A conversation must fit a few thousand positions; a line above 1 MiB is no conversation."""
MAX_LIST_BYTES = 1 << 30
"""A `.json` list is parsed as one piece, at several times its size of memory."""
HEAD_BYTES = 1 << 16
"""So much of a file shows whether it is text: dozens of conversations."""
_MARKS = {
    codecs.BOM_UTF32_LE: "UTF-32",  # begins as UTF-16's does, so it is looked for first
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}


class LineError(Exception):
    """Why a line cannot be used."""


def objects(file: Path) -> Iterator[tuple[int, Any]]:
    """Yield the number of each line or item, and its value or an `LineError`.

    Raises:
        UsageError: The file cannot be read at all.
    """
    check_regular(file)
    try:
        with file.open("rb") as stream:
            _check_head(file, stream.read(HEAD_BYTES))
            stream.seek(0)
            if file.suffix.lower() == ".json":
                yield from enumerate(_list(file, stream), 1)
                return
            for number, line in enumerate(_lines(stream), 1):
                if line is None or line.strip():
                    yield number, _parsed(line)
    except OSError as error:
        raise _unreadable(file, error) from None


def check_regular(file: Path) -> None:
    """Refuse what is not there, cannot be read twice, or never ends.

    Raises:
        UsageError: It is missing, a directory, a pipe or a device.
    """
    try:
        mode = file.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError(f"there is no file {file}", "check the name") from None
    except (OSError, ValueError) as error:
        raise _unreadable(file, error) from None
    if S_ISDIR(mode):
        raise UsageError(f"{file} is a directory", "name .jsonl or .json files")
    if not S_ISREG(mode):
        raise UsageError(f"{file} is no regular file", "write the data to a file: it is read more than once")


def _unreadable(file: Path, error: OSError | ValueError) -> UsageError:
    return UsageError(f"cannot read {file}: {getattr(error, 'strerror', None) or error}", "check the file")


def _check_head(file: Path, head: bytes) -> None:
    """Refuse a file that is no text, or text of another encoding, by its beginning."""
    for mark, encoding in _MARKS.items():
        if head.startswith(mark):
            raise _not_text(file, f"it begins with the mark of {encoding}", _convert(encoding))
    lines = [line for line in head.split(b"\n") if line.strip()]
    wrong = sum(not _is_text(line) for line in lines)
    if 2 * wrong <= len(lines):  # here and there a bad line is told with its number
        return
    if b"\0" in head:
        raise _not_text(
            file, "it holds NUL bytes", f"name a text file; if it is UTF-16, {_convert('UTF-16')}"
        )
    raise _not_text(file, "most of its first lines hold other bytes", "name a file of text, saved as UTF-8")


def _is_text(line: bytes) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(line)  # the last character may be cut off
    except UnicodeDecodeError:
        return False
    return b"\0" not in line


def _not_text(file: Path, reason: str, hint: str) -> UsageError:
    return UsageError(f"{file} is not a text file in UTF-8: {reason}", hint)


def _convert(encoding: str) -> str:
    return f"convert it: iconv -f {encoding} -t UTF-8 OLD > NEW"


def _lines(stream: IO[bytes]) -> Iterator[bytes | None]:
    """Yield lines; None for one that is too long."""
    while line := stream.readline(MAX_LINE_BYTES):
        if len(line) < MAX_LINE_BYTES or line.endswith(b"\n"):
            yield line
            continue
        while line and not line.endswith(b"\n"):
            line = stream.readline(MAX_LINE_BYTES)
        yield None


def _parsed(line: bytes | None) -> Any:
    if line is None:
        return LineError(f"the line is longer than {MAX_LINE_BYTES} bytes")
    try:
        return json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        return LineError(f"not UTF-8: {error.reason} at byte {error.start + 1}")
    except json.JSONDecodeError as error:  # its own text counts lines within this one
        return LineError(f"not JSON: {error.msg} at character {error.pos + 1}")
    except (ValueError, RecursionError) as error:
        return LineError(f"not JSON: {error}")


def _list(file: Path, stream: IO[bytes]) -> list[Any]:
    if file.stat().st_size > MAX_LIST_BYTES:
        raise UsageError(f"{file} is larger than {MAX_LIST_BYTES} bytes", "write one object a line as .jsonl")
    try:
        items = json.loads(stream.read().decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        reason = f"{error.reason} at byte {error.start + 1}"
        raise _not_text(file, reason, "save it as UTF-8") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{file} is not JSON: {error}", "it must hold a list of objects") from None
    if not isinstance(items, list):
        raise UsageError(f"{file} holds no list", "it must hold a list of objects; one a line is .jsonl")
    return items
