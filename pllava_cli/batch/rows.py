"""One row of a manifest, checked: a path, and if given an id, a span and a question.

What a row means is the same in JSONL and in CSV, so all of it is decided here; unknown columns are
the user's own and are passed over.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pllava_cli import inputs
from pllava_cli.errors import UsageError
from pllava_cli.prompts import check_text

PATH_COLUMNS = ("path", "video", "file")
"""The first that a row has names its clip."""
MAX_ID_BYTES = 200
"""A file name may have 255 on most systems; what is written for a clip adds to its id."""
_MAX_S = 1e9
_NOT_IN_IDS = re.compile("[/\\\\\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class RowError(Exception):
    """Why a row cannot be used."""


@dataclass(frozen=True, slots=True)
class Row:
    """What one row asks for."""

    path: str
    id: str | None
    start_s: float | None
    end_s: float | None
    question: str | None
    """None: a caption."""


def parse(raw: Any) -> Row:
    """Check a row.

    Args:
        raw: The row by column; a column that is empty or null counts as left out.

    Raises:
        RowError: It names no clip, or something in it is not what its column says.
    """
    if not isinstance(raw, Mapping):
        raise RowError("it is not an object")
    row = {str(name).strip().casefold(): value for name, value in raw.items() if value not in (None, "")}
    start_s, end_s = _instant(row, "start"), _instant(row, "end")
    if end_s is not None and end_s <= (start_s or 0.0):
        raise RowError(f"end {end_s:g} is not after start {start_s or 0:g}")
    return Row(_path(row), _id(row.get("id")), start_s, end_s, _question(row.get("question")))


def _path(row: Mapping[str, Any]) -> str:
    value = next((row[name] for name in PATH_COLUMNS if name in row), None)
    if value is None:
        raise RowError(f"it has no path ({', '.join(PATH_COLUMNS)})")
    if not isinstance(value, str):
        raise RowError(f"the path is {_shown(value)}, not text")
    try:
        os.fsencode(value)
    except UnicodeEncodeError:  # a lone surrogate that stands for no byte
        raise RowError("the path is none that a file can have") from None
    if "\0" in value:
        raise RowError("the path holds a NUL character")
    return value


def _id(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise RowError(f"the id is {_shown(value)}, not text")
    text = str(value).strip()
    if not text:
        return None
    if text.startswith(".") or _NOT_IN_IDS.search(text):
        raise RowError(f"the id {text!r:.80} cannot be part of a file name")
    if len(text.encode()) > MAX_ID_BYTES:
        raise RowError(f"the id is longer than {MAX_ID_BYTES} bytes")
    return text


def _instant(row: Mapping[str, Any], name: str) -> float | None:
    value = row.get(name)
    if isinstance(value, str) and value.strip():
        try:
            return inputs.seconds(name, value.strip())
        except UsageError as error:
            raise RowError(error.message) from None
    if value is None or isinstance(value, str):
        return None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 <= value <= _MAX_S:  # NaN is not
        raise RowError(f"{name} is {_shown(value)}, not a time in seconds")
    return float(value)


def _question(value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise RowError(f"the question is {_shown(value)}, not text")
    text = value.strip()
    try:
        text.encode()
        check_text(text, "the question")
    except UnicodeEncodeError:
        raise RowError("the question is not UTF-8") from None
    except UsageError as error:
        raise RowError(error.message) from None
    return text or None


def _shown(value: Any) -> str:
    try:
        return f"{value!r:.40}"
    except ValueError:  # an integer of thousands of digits
        return "a huge number"
