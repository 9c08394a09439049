"""Files of JSON, object by object: `.jsonl` has one a line, `.json` has a list of them.

A line that cannot be read stands for itself, and reading goes on behind it. A file that is no text is
refused as a whole: the same reason for each of its lines would bury the one thing that is wrong.
"""

import codecs
import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from pllava_cli.errors import UsageError
from pllava_cli.jsonlines import Line, LineError, lines, why_not_json
from pllava_cli.textfile import check_mark, converting, not_text, opened, unreadable

HINT = "name .jsonl or .json files; a pipe does not serve, as they are read more than once"
"""What to do about a file of the wrong kind."""
MAX_LINE_BYTES = 1 << 20
"""A conversation must fit a few thousand positions; a line above 1 MiB is no conversation."""
MAX_LIST_BYTES = 1 << 30
"""A `.json` list is parsed as one piece, at several times its size of memory."""
HEAD_BYTES = 1 << 16
"""So much of a file shows whether it is text: dozens of conversations."""


def objects(file: Path) -> Iterator[tuple[int, Any]]:
    """Yield the number of each line or item, and its value or a `LineError`.

    Raises:
        UsageError: The file cannot be read at all.
    """
    try:
        with opened(file, HINT) as stream:
            _check_head(file, stream.read(HEAD_BYTES))
            stream.seek(0)
            if file.suffix.lower() == ".json":
                yield from enumerate(_list(file, stream), 1)
                return
            for line in lines(stream, MAX_LINE_BYTES):
                yield line.number, _parsed(line)
    except OSError as error:
        raise unreadable(file, error) from None


def _check_head(file: Path, head: bytes) -> None:
    """Refuse a file that is no text, or text of another encoding, by its beginning."""
    check_mark(head, file)
    found = [line for line in head.split(b"\n") if line.strip()]
    wrong = sum(not _is_text(line) for line in found)
    if 2 * wrong <= len(found):  # here and there a bad line is told with its number
        return
    if b"\0" in head:
        hint = f"name a text file; if it is UTF-16, {converting('UTF-16')}"
        raise not_text(file, "it holds NUL bytes", hint)
    raise not_text(file, "most of its first lines hold other bytes", "name a file of text, saved as UTF-8")


def _is_text(line: bytes) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(line)  # the last character may be cut off
    except UnicodeDecodeError:
        return False
    return b"\0" not in line


def _parsed(line: Line) -> Any:
    if line.raw is None:
        return LineError(f"the line is longer than {MAX_LINE_BYTES} bytes")
    try:
        return json.loads(line.raw.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        return LineError(why_not_json(error))


def _list(file: Path, stream: IO[bytes]) -> list[Any]:
    if file.stat().st_size > MAX_LIST_BYTES:
        raise UsageError(f"{file} is larger than {MAX_LIST_BYTES} bytes", "write one object a line as .jsonl")
    try:
        items = json.loads(stream.read().decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise not_text(file, f"{error.reason} at byte {error.start + 1}", "save it as UTF-8") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{file} is not JSON: {error}", "it must hold a list of objects") from None
    if not isinstance(items, list):
        raise UsageError(f"{file} holds no list", "it must hold a list of objects; one a line is .jsonl")
    return items
