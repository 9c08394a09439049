"""MSVD's English descriptions, AllVideoDescriptions.txt: a clip's name and one sentence a line.

    # a comment
    -4wsuPCjDBc_5_15 a squirrel is eating a peanut in it's shell
    -4wsuPCjDBc_5_15 a chipmunk is eating

A name is YouTube's id, which has eleven characters, and the start and end in seconds; the clips come cut,
and their files are called so: YouTubeClips/-4wsuPCjDBc_5_15.avi. The file knows no splits.

Source: the corpus' page, https://www.cs.utexas.edu/users/ml/clamp/videoDescription/, which is quoted with
lines of the file by public readers of it (MRSA-J/Youtube-Teller, README.md; others pass over lines of
comment). MSVD-QA names the clips alike (`benchmarks.questionsets`).
"""

import codecs
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pllava_cli import textfile
from pllava_cli.evaluation.benchmarks.json_or_lines import Placed
from pllava_cli.evaluation.benchmarks.references.told import Entries, Told, each
from pllava_cli.evaluation.reading import EntryError, shown
from pllava_cli.video.probe import shown_name

HINT = "each line needs a clip's name, as -4wsuPCjDBc_5_15, and a sentence"
_NAME = re.compile(r"[\w-]{11}_\d{1,9}_\d{1,9}", re.ASCII)
_LINE = re.compile(_NAME.pattern.encode() + rb"(?=[ \t])")
_COMMENT = b"#"
_LOOKED_AT = 1 << 12
"""Bytes of a line by which it is told; a longer one is no description."""


def is_one(file: Path) -> bool:
    """Whether a file is of this form, as its first line that is no comment tells; False if unreadable."""
    return bool(_LINE.match(first_line(file)))


def first_line(file: Path) -> bytes:
    """The first line of a file of text that is no comment, cut short if it is long; empty if unreadable."""
    if not os.path.isfile(file):  # noqa: PTH113 (Path.is_file raises on a name that is too long)
        return b""
    try:
        with file.open("rb") as stream:
            for line in iter(lambda: stream.readline(_LOOKED_AT), b""):
                bare = line.removeprefix(codecs.BOM_UTF8)
                if bare.strip() and not bare.startswith(_COMMENT):
                    return bare
    except OSError:
        pass  # it is told where the file is read
    return b""


def checked_clip(name: str) -> str:
    """Read what the corpus calls a clip.

    Raises:
        EntryError: It is no such name.
    """
    if not _NAME.fullmatch(name):
        raise EntryError(f"{shown(name)} is not a clip's name: YouTube's id, start and end")
    return name


def entries(file: Path) -> Entries:
    """Read one that is.

    Raises:
        UsageError: It cannot be read, or is no text.
    """
    return each(_lines(file), _told)


def _lines(file: Path) -> Iterator[Placed]:
    with textfile.opened(file, name=shown_name(file)) as stream:
        for number, line in textfile.lines(stream, shown_name(file)):
            if line.strip() and not line.startswith(_COMMENT):
                yield Placed(f"{shown_name(file.name)}, line {number}", line)


def _told(line: Any) -> Told:
    name, *text = line.split(maxsplit=1)
    clip = checked_clip(name.decode("utf-8", "replace"))
    try:
        return Told(None, clip, [each.decode() for each in text])
    except UnicodeDecodeError:
        raise EntryError("is not UTF-8") from None
