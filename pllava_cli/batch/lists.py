"""`--from-file LIST`: names of clips, one a line or each ended by NUL, read as they arrive.

A line is a name, never a pattern. A clip that is not there is no reason to stop, for a list is often
older than its clips: it becomes a fault, and so an error record.
"""

import os
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from stat import S_ISBLK, S_ISCHR, S_ISDIR
from typing import BinaryIO

from pllava_cli import textfile
from pllava_cli.errors import UsageError
from pllava_cli.inputs import named
from pllava_cli.textfile import MAX_LINE_BYTES

STANDARD_INPUT = "-"


def names(file: str, *, nul: bool) -> Iterator[str]:
    """Open a list, and return the names in it.

    Args:
        file: Its name; `-` is standard input. It may be a pipe, as `<(...)` makes one, or a terminal.
        nul: Whether names end in NUL bytes. Else each line is one; blank lines and those that begin
            with `#` are passed over (`./#1.mp4` is a name).

    Raises:
        UsageError: It cannot be opened, or is later found to be no list.
    """
    if file == STANDARD_INPUT:
        return _read(_standard_input(), "standard input", nul=nul)
    path = named(file, "the list", "name a file")
    return _read(textfile.opened(path, "name a file of text", takes=partial(_may_end, path)), file, nul=nul)


def _standard_input() -> BinaryIO:
    """Return standard input as bytes.

    Raises:
        UsageError: It is closed.
    """
    if sys.stdin is None or sys.stdin.closed:
        raise UsageError("standard input is closed", "name a file in place of -")
    return sys.stdin.buffer


def _may_end(path: Path, mode: int) -> bool:
    """Whether what has such a mode gives bytes and comes to an end, as devices do not."""
    if S_ISCHR(mode):
        return _is_terminal(path)
    return not S_ISDIR(mode) and not S_ISBLK(mode)


def _is_terminal(path: Path) -> bool:
    """Whether a device is a terminal, or /dev/null, which is an empty file."""
    if path.samefile(os.devnull):
        return True
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0))
    try:
        return os.isatty(descriptor)
    finally:
        os.close(descriptor)


def _read(stream: BinaryIO, name: str, *, nul: bool) -> Iterator[str]:
    if nul:
        yield from map(os.fsdecode, _items(stream, name))
        return
    nul_hint = "name a text file in UTF-8; -0 reads names that each end in NUL"
    for _, line in textfile.lines(stream, name, nul_hint):
        if line.strip() and not line.startswith(b"#"):
            yield os.fsdecode(line)


def _items(stream: BinaryIO, name: str) -> Iterator[bytes]:
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
        raise textfile.unreadable(name, error) from None
    if rest:
        yield rest
