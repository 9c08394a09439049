"""Files of JSON by what they hold: one value as a whole, or a value a line.

People name either `.json`, so the content decides: a file whose first line is a whole value, with more
lines behind it, has one a line.
"""

import json
import os
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from pllava_cli.errors import UsageError
from pllava_cli.evaluation.items import Fault
from pllava_cli.evaluation.reading import EntryError, load_json, load_lines
from pllava_cli.jsonlines import lines
from pllava_cli.video.probe import shown_name

LINE_SUFFIXES = frozenset({".jsonl", ".ndjson"})


@dataclass(frozen=True)
class Placed:
    """A value of a file of lines, or of a list."""

    where: str
    """File, and place within it."""
    value: Any


@dataclass(frozen=True)
class Loaded:
    """What a file holds."""

    value: Any
    """The one value; None if there is one a line."""
    values: list[Placed]
    """Those of the lines, or of a list."""
    faults: list[Fault]
    """Lines that hold none."""

    def entries(self, file: Path) -> list[Placed]:
        """The values of the lines or of a list; an object that stands alone is the only one."""
        return [Placed(shown_name(file.name), self.value)] if isinstance(self.value, dict) else self.values


def load(file: Path) -> Loaded:
    """Read a file of JSON.

    Raises:
        UsageError: It cannot be read, is too large, is no UTF-8, or is no JSON.
    """
    if _has_lines(file):
        return _by_line(file)
    try:
        value = load_json(file)
    except UsageError:
        if file.suffix.lower() not in LINE_SUFFIXES:
            raise
        return _by_line(file)  # its first line may be torn
    listed = value if isinstance(value, list) else []
    name = shown_name(file.name)
    return Loaded(value, [Placed(f"{name}, item {at}", each) for at, each in enumerate(listed, 1)], [])


def _has_lines(file: Path) -> bool:
    """Whether a file has a value a line; False too of one that cannot be read, which is told elsewhere."""
    if not os.path.isfile(file):  # noqa: PTH113 (Path.is_file raises on a name that is too long)
        return False
    try:
        with file.open("rb") as stream:
            first = list(islice(lines(stream), 2))
        return len(first) == 2 and _is_json(first[0].raw or b"")
    except OSError:
        return False


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return False
    return True


def _by_line(file: Path) -> Loaded:
    loaded = Loaded(None, [], [])
    for number, value in load_lines(file):
        where = f"{shown_name(file.name)}, line {number}"
        if isinstance(value, EntryError):
            loaded.faults.append(Fault(where, str(value)))
        else:
            loaded.values.append(Placed(where, value))
    return loaded
