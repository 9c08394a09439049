"""Patterns such as `clips/**/*.mp4`, where no shell has expanded them.

The standard library's `glob` runs in circles through links that lead upwards and sorts nothing; this
one enters each folder once for a `**` and keeps the natural order.
"""

import os
import re
from collections.abc import Iterator
from fnmatch import translate

from pllava_cli.batch.walking import Warn, is_folder, listing
from pllava_cli.errors import UsageError

_MAGIC = re.compile(r"[*?[]")
_MAX_PARTS = 64
"""No folders are so deep, and each part is a call within the one before."""


def is_pattern(text: str) -> bool:
    """Whether a word could be meant as a pattern."""
    return _MAGIC.search(text) is not None


def is_deep(pattern: str) -> bool:
    """Whether a pattern holds `**`, which stands for a folder and all folders below it."""
    return "**" in _parts(pattern)[1]


def literal_suffix(pattern: str) -> str:
    """Return the suffix of all names that a pattern can match; empty if they may differ in it."""
    end = os.path.splitext(pattern)[1]  # noqa: PTH122 (a pattern is no path)
    return "" if is_pattern(end) else end.lower()


def expand(pattern: str, warn: Warn) -> Iterator[str]:
    """Yield the paths that match, in natural order; hidden ones only where the pattern writes the dot.

    Args:
        pattern: With `*`, `?`, `[...]`, and `**` for any number of folders.
        warn: Told of folders that cannot be listed.

    Raises:
        UsageError: The pattern is too long to be meant.
    """
    root, parts = _parts(pattern)
    if len(parts) > _MAX_PARTS:
        raise UsageError(f"the pattern {pattern:.60}... has more than {_MAX_PARTS} parts", "name a folder")
    return _matches(root, parts, warn)


def _parts(pattern: str) -> tuple[str, list[str]]:
    """Split a pattern into where it starts and its parts; a last empty one stands for a folder."""
    drive, rest = os.path.splitdrive(pattern)
    rest = rest.replace(os.altsep, os.sep) if os.altsep else rest
    relative = rest.lstrip(os.sep)
    parts: list[str] = []
    for part in relative.split(os.sep):  # noqa: PTH206 (a pattern is no path)
        if part not in ("", os.curdir) and not (part == "**" and parts[-1:] == ["**"]):
            parts.append(part)
    if parts[-1:] == ["**"]:
        parts.append("*")
    if relative.endswith(os.sep):
        parts.append("")
    return drive + rest[: len(rest) - len(relative)], parts


def _matches(folder: str, parts: list[str], warn: Warn) -> Iterator[str]:
    if not parts:
        yield folder
        return
    part, rest = parts[0], parts[1:]
    if part == "**":
        for each in _folders_below(folder, warn):
            yield from _matches(each, rest, warn)
    elif is_pattern(part):
        matches = re.compile(translate(part)).match
        hidden = part.startswith(".")

        def keep(entry: "os.DirEntry[str]") -> bool:
            is_shown = hidden or not entry.name.startswith(".")
            return is_shown and matches(entry.name) is not None and (not rest or is_folder(entry))

        for entry in listing(folder, warn, keep) or []:
            yield from _matches(_join(folder, entry.name), rest, warn)
    elif os.path.lexists(_join(folder, part)):
        yield from _matches(_join(folder, part), rest, warn)


def _folders_below(top: str, warn: Warn) -> Iterator[str]:
    """Yield a folder and all that are below it but for hidden ones, each once."""
    entered = set()
    pending = [top]
    while pending:
        folder = pending.pop()
        real = os.path.realpath(folder)
        if real in entered:
            continue
        entered.add(real)
        yield folder
        deeper = listing(folder, warn, lambda entry: not entry.name.startswith(".") and is_folder(entry))
        pending.extend(_join(folder, entry.name) for entry in reversed(deeper or []))


def _join(folder: str, name: str) -> str:
    return os.path.join(folder, name)  # noqa: PTH118 (keeps an empty folder and an empty name)
