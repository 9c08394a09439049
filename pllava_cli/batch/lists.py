"""`--from-file LIST`: names of clips, one a line or each ended by NUL, read as they arrive.

A line is a name, never a pattern. A clip that is not there is no reason to stop, for a list is often
older than its clips: it becomes a fault, and so an error record.
"""

import os
from collections.abc import Iterator
from typing import BinaryIO

from pllava_cli.batch import texts

STANDARD_INPUT = "-"


def names(file: str, *, nul: bool) -> Iterator[str]:
    """Open a list, and return the names in it.

    Args:
        file: Its name; `-` is standard input.
        nul: Whether names end in NUL bytes. Else each line is one; blank lines and those that begin
            with `#` are passed over (`./#1.mp4` is a name).

    Raises:
        UsageError: It cannot be opened, or is later found to be no list.
    """
    if file == STANDARD_INPUT:
        return _read(texts.standard_input(), "standard input", nul=nul)
    return _read(texts.opened(file, "the list", streams=True), file, nul=nul)


def _read(stream: BinaryIO, name: str, *, nul: bool) -> Iterator[str]:
    if nul:
        yield from map(os.fsdecode, texts.items(stream, name))
        return
    for _, line in texts.lines(stream, name):
        if line.strip() and not line.startswith(b"#"):
            yield os.fsdecode(line)
