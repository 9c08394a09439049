"""Files of JSON with a value a line, read one at a time: a file of any size takes the memory of one line.

A line that cannot be used is an error with its reason; what becomes of it is the reader's decision.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any, NoReturn

MAX_LINE_BYTES = 1 << 24
"""A record takes some kilobytes; only a question that is a book comes near 16 MiB."""


class LineError(Exception):
    """Why a line cannot be used."""


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


def lines(stream: IO[bytes], most_bytes: int = MAX_LINE_BYTES) -> Iterator[Line]:
    """Yield the lines from where the stream stands, which is taken for the start of the file.

    Args:
        stream: Where to read.
        most_bytes: A line that is longer is too long.
    """
    number = start = 0
    while raw := stream.readline(most_bytes):
        number += 1
        length = len(raw)
        is_whole = length < most_bytes or raw.endswith(b"\n")
        if not is_whole or not raw.isspace():
            yield Line(number, start, raw if is_whole else None)
        while len(raw) == most_bytes and not raw.endswith(b"\n"):
            raw = stream.readline(most_bytes)
            length += len(raw)
        start += length


def value(line: Line) -> Any:
    """Read a line of a file that this tool writes.

    Raises:
        LineError: It is too long, or no JSON.
    """
    if line.raw is None:
        raise LineError(f"longer than {MAX_LINE_BYTES >> 20} MiB")
    try:
        return json.loads(line.raw.decode("utf-8-sig"), parse_constant=refuse_constant)
    except UnicodeDecodeError:
        raise LineError("not UTF-8") from None
    except (ValueError, RecursionError):
        raise LineError("not JSON") from None


def is_torn(line: Line, head: bytes) -> bool:
    """Whether a line is the beginning of one of ours, or the zeros that a power cut leaves for one.

    Args:
        line: The last of a file.
        head: How the lines of that file begin.
    """
    if line.raw is None or line.is_ended:
        return False
    return line.raw.startswith(head) or head.startswith(line.raw) or not line.raw.strip(b"\0")


def why_not_json(error: ValueError | RecursionError) -> str:
    """Say why a line that a user wrote is no JSON, and where in it.

    Args:
        error: What `bytes.decode` or `json.loads` has raised.
    """
    if isinstance(error, UnicodeDecodeError):
        return f"not UTF-8: {error.reason} at byte {error.start + 1}"
    if isinstance(error, json.JSONDecodeError):  # its own text counts lines within this one
        return f"not JSON: {error.msg} at character {error.pos + 1}"
    return f"not JSON: {error}"


def refuse_constant(name: str) -> NoReturn:
    """Refuse NaN and the infinities, which Python takes for JSON; for `json.loads(parse_constant=...)`."""
    raise ValueError(f"{name} is no number of JSON")
