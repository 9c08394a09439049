"""What the user points at: clips that are there, with stable ids, and the window to look at.

Everything that can be known before a checkpoint is loaded is refused here, so that a slip in a file
name costs a moment and not the minutes of loading.
"""

import hashlib
import os
import re
import shlex
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pllava_cli.errors import UsageError
from pllava_cli.textfile import unreadable

_UNITS_S = {"": 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_STEM_CHARACTERS = 48  # enough to recognise a clip; the digest tells clips apart
_DIGEST_CHARACTERS = 10  # 40 bits: a clash among 100,000 clips has a chance of 0.5 %


@dataclass(frozen=True)
class Clip:
    """One input video."""

    path: Path
    """As the user gave it."""
    id: str
    """Name of the file and a digest of its absolute path: the same on every run."""

    @classmethod
    def at(cls, path: Path) -> Self:
        """Return the clip at a path, with the id made from it."""
        return cls(path, clip_id(path))


def clips(paths: Sequence[str]) -> list[Clip]:
    """Return the clips at `paths`, in order.

    Raises:
        UsageError: If one of them is missing, no regular file or unreadable.
    """
    for path in paths:
        check_clip(path)
    return [Clip.at(Path(path)) for path in paths]


def check_clip(path: str) -> None:
    """Make sure that a clip is there and can be read.

    Raises:
        UsageError: It is missing, no regular file or unreadable.
    """
    try:
        mode = named(path, "a clip", "name a video file").stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError(f"there is no file {path}", _where_to_look(path)) from None
    except (OSError, ValueError) as error:  # no permission, a loop of links, a name too long, a NUL byte
        raise unreadable(path, error) from None
    if stat.S_ISDIR(mode):
        raise UsageError(
            f"{path} is a directory",
            f"name the video files in it, or: pllava batch {shlex.quote(path)} -o FILE.jsonl",
        )
    if not stat.S_ISREG(mode):
        raise UsageError(f"{path} is not a regular file", "save the video to a file first")
    if not os.access(path, os.R_OK):
        raise UsageError(f"cannot read {path}: permission denied", "check its permissions")


def named(text: str, what: str, hint: str) -> Path:
    """Return the path that a word names.

    Args:
        text: The word.
        what: What it is to name, for the message.
        hint: What to do if it names nothing.

    Raises:
        UsageError: It is empty: a script's variable that is not set. As a path it is the working folder.
    """
    if not text:
        raise UsageError(f"the name of {what} is empty", hint)
    return Path(text)


def result_folder(text: str | None) -> Path:
    """Return the folder that -o names.

    Raises:
        UsageError: It is not given (None), or names nothing.
    """
    if text is None:
        raise UsageError("no folder is named for the result", "name one with -o")
    return named(text, "the folder for the result", "name one with -o")


def is_address(text: str) -> bool:
    """Whether a word names something in a network, as `https://...` does."""
    return re.match(r"[a-z][a-z0-9+.-]*://", text, re.ASCII | re.IGNORECASE) is not None


def clip_id(path: Path) -> str:
    """Return a stable id for a path, safe in file names, whatever bytes the path is made of."""
    whole = os.fsencode(os.path.abspath(path))  # noqa: PTH100 (Path.resolve would follow symbolic links)
    stem = re.sub(r"[^\w.-]+", "-", path.stem, flags=re.ASCII).strip("-.")[:_STEM_CHARACTERS]
    return f"{stem or 'clip'}-{hashlib.sha256(whole).hexdigest()[:_DIGEST_CHARACTERS]}"


def window(start: str | None, end: str | None) -> tuple[float | None, float | None]:
    """Read --start and --end.

    Raises:
        UsageError: If one is no time, or the end is not after the start.
    """
    start_s, end_s = seconds("--start", start), seconds("--end", end)
    if end_s is not None and end_s <= (start_s or 0.0):
        raise UsageError(
            f"--end {end} is not after --start {start or 0}", "the window runs from --start to --end"
        )
    return start_s, end_s


def seconds(flag: str, text: str | None) -> float | None:
    """Read an instant of a clip: a length of time from its start, or [HH:]MM:SS with or without a fraction.

    Raises:
        UsageError: It is none.
    """
    if text is None:
        return None
    match = re.fullmatch(r"(?:(\d{1,4}):)?([0-5]?\d):([0-5]?\d(?:\.\d{1,9})?)", text, re.ASCII)
    if match is not None:
        return int(match[1] or 0) * 3600 + int(match[2]) * 60 + float(match[3])
    length_s = length(text)
    if length_s is None:
        raise UsageError(
            f"{flag}: expected seconds or [HH:]MM:SS, found {text!r}",
            f"write {flag} 90, {flag} 90s or {flag} 1:30",
        )
    return length_s


def length(text: str) -> float | None:
    """Read a length of time such as `10s`, `1m`, `1.5h` or `0.5`, in seconds; None if it is none."""
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?|\.\d{1,9})\s*(s|m|min|h|)", text, re.ASCII)
    return None if match is None else float(match[1]) * _UNITS_S[match[2]]


def _where_to_look(path: str) -> str:
    """Return what to do about a name that leads to no file, by what was probably meant."""
    if path == "-":
        return "a clip cannot come from stdin: save it to a file; a list of clips can: batch --from-file -"
    if is_address(path):
        return "pllava fetches no videos: download it first"
    if re.search(r"[*?[]", path):
        return "check the name; a pattern is expanded by the shell if it is not quoted, and by pllava batch"
    return "check the name; quote names with spaces"
