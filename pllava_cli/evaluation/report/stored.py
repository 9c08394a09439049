"""A result as a file: `result.json`, all that reports are made from, for other programs to read.

A verdict takes one line, so that a line can be looked at, and one run's file compared with another's.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from pllava_cli.evaluation.items import Result, Verdict

NAME = "result.json"
SCHEMA = "pllava.eval/1"
"""Fields are only ever added within a schema."""
DIGITS = 6
"""After the point, of every number: far below what any score or time tells."""
_SURROGATE = re.compile("[\ud800-\udfff]")
_NOT_KEPT = "prompt"
"""Of an item: it repeats the question, and the journal of answers has it."""


def to_json(result: Result) -> str:
    """Write a result as JSON; a byte of a file name that is not UTF-8 becomes a lone surrogate's escape."""
    parts = {
        "schema": dump(SCHEMA),
        "benchmark": dump(result.benchmark),
        "scoring": dump(result.scoring),
        "unit": dump(result.unit),
        "settings": dump(dict(result.settings)),
        "averages": _lines([plain(each) for each in result.averages]),
        "groups": _lines([plain(each) for each in result.groups]),
        "notes": dump(list(result.notes)),
        "faults": _lines([plain(each) for each in result.faults]),
        "verdicts": _lines([_flat(verdict) for verdict in result.verdicts]),
    }
    return "{\n" + ",\n".join(f' "{name}": {text}' for name, text in parts.items()) + "\n}\n"


def dump(value: object) -> str:
    """Write a value as JSON that any reader takes: no NaN, and no character that is not UTF-8."""
    text = json.dumps(_finite(value), ensure_ascii=False, allow_nan=False)
    return _SURROGATE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def plain(value: Any) -> dict[str, Any]:
    """Return the fields of a flat dataclass, paths as text."""
    found = {each.name: getattr(value, each.name) for each in fields(value)}
    return {name: str(each) if isinstance(each, Path) else each for name, each in found.items()}


def _lines(values: Sequence[object]) -> str:
    return "[\n" + ",\n".join("  " + dump(value) for value in values) + "\n ]" if values else "[]"


def _flat(verdict: Verdict) -> dict[str, Any]:
    said = verdict.said
    item = plain(said.item)
    item.pop(_NOT_KEPT)
    spoken = {"said": said.text, "error": said.error, "timestamps_s": said.timestamps_s}
    key = {"key": verdict.key} if verdict.key else {}
    return item | spoken | {"kind": verdict.kind, "score": verdict.score, "note": verdict.note} | key


def _finite(value: Any) -> Any:
    """Round every number within a value; what is not finite is None."""
    if isinstance(value, float):
        return round(value, DIGITS) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: _finite(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return value
