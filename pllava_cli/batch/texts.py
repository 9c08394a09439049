"""Text that names clips: lists and manifests, line by line, as it arrives.

Lines stay bytes, as a file name may hold any; what is no text at all is told at its first line, not
as a thousand missing files.
"""

import codecs
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from stat import S_ISBLK, S_ISCHR, S_ISDIR, S_ISREG
from typing import BinaryIO

from pllava_cli.errors import UsageError
from pllava_cli.inputs import named

MAX_LINE_BYTES = 1 << 20
"""Far above any path (4 KiB on Linux) and any question that a checkpoint could take."""
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)  # UTF-32 begins with the first of them


def opened(text: str, what: str, *, streams: bool) -> BinaryIO:
    """Open a file of text for reading bytes.

    Args:
        text: Its name.
        what: What it is, for messages.
        streams: Whether it may be a pipe, as `<(...)` makes one, or a terminal.

    Raises:
        UsageError: It is missing, unreadable, or of a kind that has no text.
    """
    path = named(text, what, "name a file")
    try:
        mode = path.stat().st_mode
        is_wrong = S_ISBLK(mode) or (S_ISCHR(mode) and not _is_terminal(path))
        if not S_ISDIR(mode) and not is_wrong and (streams or S_ISREG(mode)):
            return path.open("rb")
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError(f"there is no file {path}", "check the name") from None
    except (OSError, ValueError) as error:
        raise unreadable(text, error) from None
    kind = "a directory" if S_ISDIR(mode) else "not a regular file"
    raise UsageError(f"{what} {path} is {kind}", "name a file of text")


def standard_input() -> BinaryIO:
    """Return standard input as bytes.

    Raises:
        UsageError: It is closed.
    """
    if sys.stdin is None or sys.stdin.closed:
        raise UsageError("standard input is closed", "name a file in place of -")
    return sys.stdin.buffer


def lines(stream: BinaryIO, name: str) -> Iterator[tuple[int, bytes]]:
    """Yield lines with their numbers from 1, without their ends and the mark of UTF-8.

    Raises:
        UsageError: It is not UTF-8 or ASCII: it has NUL bytes, the mark of UTF-16, or no end of line.
    """
    number = 0
    try:
        while line := stream.readline(MAX_LINE_BYTES):
            number += 1
            if number == 1:
                _check_mark(line, name)
                line = line.removeprefix(codecs.BOM_UTF8)
            if b"\0" in line:
                raise UsageError(
                    f"{name} is not a text file: line {number} holds a NUL byte",
                    "name a text file in UTF-8; -0 reads names that each end in NUL",
                )
            if len(line) >= MAX_LINE_BYTES:
                raise UsageError(
                    f"{name}, line {number} is longer than {MAX_LINE_BYTES} bytes", "name a text file"
                )
            yield number, line.rstrip(b"\r\n")
    except OSError as error:
        raise unreadable(name, error) from None


def items(stream: BinaryIO, name: str) -> Iterator[bytes]:
    """Yield what NUL bytes end, as `find -print0` writes it; the last one's may be missing.

    Raises:
        UsageError: One is empty or too long.
    """
    rest, number = b"", 0
    try:
        while chunk := getattr(stream, "read1", stream.read)(1 << 16):
            *whole, rest = (rest + chunk).split(b"\0")
            for item in whole:
                number += 1
                if not item:
                    raise UsageError(f"{name}, item {number} is empty", "each name must end in one NUL byte")
                yield item
            if len(rest) >= MAX_LINE_BYTES:
                raise UsageError(
                    f"{name}, item {number + 1} is longer than {MAX_LINE_BYTES} bytes",
                    "without -0, each line is a name",
                )
    except OSError as error:
        raise unreadable(name, error) from None
    if rest:
        yield rest


def unreadable(name: str | Path, error: OSError | ValueError) -> UsageError:
    """Say why a file of text cannot be read."""
    return UsageError(f"cannot read {name}: {getattr(error, 'strerror', None) or error}", "check the file")


def _check_mark(line: bytes, name: str) -> None:
    if line.startswith(_UTF16):
        raise UsageError(
            f"{name} is not a text file in UTF-8: it begins with the mark of UTF-16",
            "convert it: iconv -f UTF-16 -t UTF-8 OLD > NEW",
        )


def _is_terminal(path: Path) -> bool:
    """Whether a device is a terminal, or /dev/null, which is an empty file."""
    if path.samefile(os.devnull):
        return True
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0))
    try:
        return os.isatty(descriptor)
    finally:
        os.close(descriptor)
