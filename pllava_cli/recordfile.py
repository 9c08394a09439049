"""Files of records as they are read: line by line, and what each line is.

A line that is no record is an error with its reason; what becomes of it is the reader's decision. A run
that writes refuses the file, `pllava check` tells of the line. Lines are read one at a time, so that a
file of any size takes the memory of one line.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import IO, Any, NoReturn

from pllava_cli.errors import UsageError
from pllava_cli.recordkey import Key
from pllava_cli.records import SCHEMA

HEAD = json.dumps({"schema": SCHEMA}, separators=(",", ":"))[:-1].encode() + b","
"""How every line begins that `records.to_json_line` has made."""
MAX_LINE_BYTES = 1 << 24
"""A record takes some kilobytes; only a question that is a book comes near 16 MiB."""
_FAMILY = SCHEMA.rpartition("/")[0] + "/"


class LineError(Exception):
    """Why a line is no record."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line that is not blank."""

    number: int
    """From 1."""
    start: int
    """Its first byte within the file."""
    raw: bytes | None
    """With its end; None if it is too long."""

    @property
    def is_ended(self) -> bool:
        """Whether it was written to its end: only the last one of a file may not have been."""
        return self.raw is None or self.raw.endswith(b"\n")


@dataclass(frozen=True, slots=True)
class Parsed:
    """A record as it stands in a file."""

    plain: dict[str, Any]
    key: Key


def lines(stream: IO[bytes]) -> Iterator[Line]:
    """Yield the lines from where the stream stands, which is taken for the start of the file."""
    number = start = 0
    while raw := stream.readline(MAX_LINE_BYTES):
        number += 1
        length = len(raw)
        is_whole = length < MAX_LINE_BYTES or raw.endswith(b"\n")
        if not is_whole or not raw.isspace():
            yield Line(number, start, raw if is_whole else None)
        while len(raw) == MAX_LINE_BYTES and not raw.endswith(b"\n"):
            raw = stream.readline(MAX_LINE_BYTES)
            length += len(raw)
        start += length


def parse(line: Line) -> Parsed:
    """Read a line.

    Raises:
        LineError: It is no record of this schema.
    """
    if line.raw is None:
        raise LineError(f"longer than {MAX_LINE_BYTES >> 20} MiB")
    try:
        plain = json.loads(line.raw.decode("utf-8-sig"), parse_constant=_refuse)
    except UnicodeDecodeError:
        raise LineError("not UTF-8") from None
    except (ValueError, RecursionError):
        raise LineError("not JSON") from None
    if not isinstance(plain, dict) or not str(plain.get("schema")).startswith(_FAMILY):
        raise LineError("not a record of pllava")
    if plain["schema"] != SCHEMA:
        raise LineError(f"of the schema {plain['schema']!r:.60}, which this version does not know")
    try:
        if plain["status"] not in ("ok", "error") or not isinstance(plain["id"], str):
            raise ValueError
        return Parsed(plain, Key.read(plain))
    except (KeyError, TypeError, ValueError, OverflowError):
        raise LineError("a record that lacks fields, or has something else in them") from None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)


def is_torn(line: Line, head: bytes = HEAD) -> bool:
    """Whether a line is the beginning of one of ours, or the zeros that a power cut leaves for one.

    Args:
        line: The last of a file.
        head: How the lines of that file begin.
    """
    if line.raw is None or line.is_ended:
        return False
    return line.raw.startswith(head) or head.startswith(line.raw) or not line.raw.strip(b"\0")


def check_regular(path: Path) -> bool:
    """Refuse what can hold no records; says whether there is a file.

    Raises:
        UsageError: It is a directory, a pipe or a device, or cannot be looked at.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return False
    except (OSError, ValueError) as error:  # no permission, a loop of links, a NUL byte
        raise unreadable(path, error) from None
    if S_ISDIR(mode):
        raise UsageError(f"{path} is a directory", "name a .jsonl file")
    if not S_ISREG(mode):
        raise UsageError(f"{path} is no regular file", "name a .jsonl file")
    return True


def unreadable(path: Path, error: Exception) -> UsageError:
    """Return the error for a file that cannot be read."""
    return UsageError(f"cannot read {path}: {reason(error)}", "check the path and its permissions")


def reason(error: Exception) -> str:
    """Return the system's words for what went wrong, to stand after a colon."""
    text = getattr(error, "strerror", None) or str(error)
    return text[:1].lower() + text[1:]
