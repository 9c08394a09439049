"""A result as a file: `result.json`, all that reports, sweeps and tables are made from.

A verdict takes one line, so that a line can be looked at, and one run's file compared with another's.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, replace
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from pllava_cli.errors import UsageError
from pllava_cli.evaluation.items import Average, Fault, Group, Item, Result, Said, Verdict
from pllava_cli.evaluation.reading import load_json

NAME = "result.json"
SCHEMA = "pllava.eval/1"
"""Fields are only ever added within a schema."""
DIGITS = 6
"""After the point, of every number: far below what any score or time tells."""
_ANEW = "make it anew with pllava eval"
"""What to do about a file that is no such result."""
_SURROGATE = re.compile("[\ud800-\udfff]")
_FIELDS: dict[type, dict[str, tuple[Any, bool]]] = {
    kind: {
        each.name: (hint, each.default is not MISSING or each.default_factory is not MISSING)
        for each, hint in zip(fields(kind), get_type_hints(kind).values(), strict=True)
    }
    for kind in (Average, Fault, Group, Item, Result, Said, Verdict)
}
"""What is kept: the type hint of each field, and whether it has a default."""
_NOT_KEPT = "prompt"
"""Of an item: it repeats the question, and the journal of answers has it."""


class _MisfitError(Exception):
    """What does not belong where it stands."""


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


def read(folder: Path) -> Result:
    """Read the result that a run's folder holds; items come without their prompts.

    Raises:
        UsageError: There is none, or it is no result of this schema.
    """
    file = folder / NAME
    found = load_json(file, _ANEW)
    schema = found.get("schema") if isinstance(found, dict) else None
    if schema != SCHEMA:
        what = "no result of an evaluation" if schema is None else f"of the schema {schema!r:.60}"
        raise UsageError(f"{file} is {what}; expected {SCHEMA}", "name the folder of a run of pllava eval")
    try:
        result: Result = _made(Result, found | {"verdicts": []})
        verdicts = found.get("verdicts")
        if not isinstance(verdicts, list):
            raise _MisfitError("verdicts are missing")
        return replace(result, verdicts=[_verdict(flat, at) for at, flat in enumerate(verdicts, 1)])
    except _MisfitError as error:
        raise UsageError(f"{file} is no result of an evaluation: {error}", _ANEW) from None


def dump(value: object) -> str:
    """Write a value as JSON that any reader takes: no NaN, and no character that is not UTF-8."""
    text = json.dumps(_finite(value), ensure_ascii=False, allow_nan=False)
    return _SURROGATE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def plain(value: Any) -> dict[str, Any]:
    """Return the fields of a flat dataclass, paths as text."""
    found = {name: getattr(value, name) for name in _FIELDS[type(value)]}
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


def _verdict(flat: object, at: int) -> Verdict:
    where = f"verdict {at}: "
    if not isinstance(flat, dict):
        raise _MisfitError(f"{where}cannot be {flat!r:.60}")
    item = _made(Item, flat | {_NOT_KEPT: ""}, where)
    if "score" in flat and flat["score"] is None:  # how `dump` writes what is no number
        flat = flat | {"score": math.nan}
    said = _made(Said, flat | {"item": item, "text": flat.get("said")}, where)
    verdict: Verdict = _made(Verdict, flat | {"said": said}, where)
    return verdict


def _made(kind: type[Any], found: Mapping[str, Any], where: str = "") -> Any:
    """Make a dataclass of what is there; a field that has a default, or may be None, may be missing."""
    given = {}
    for name, (hint, has_default) in _FIELDS[kind].items():
        value = found.get(name)
        if value is not None:
            given[name] = _typed(value, hint, where + name)
        elif not has_default:
            if NoneType not in get_args(hint):
                raise _MisfitError(f"{where}{name} is missing")
            given[name] = None
    return kind(**given)


def _typed(value: Any, hint: Any, where: str) -> Any:
    """Return a value as its type hint wants it."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is UnionType:
        return _typed(value, next(each for each in inner if each is not NoneType), where)
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if hint is Path and isinstance(value, str) and "\0" not in value:
        return Path(value)
    if hint in (str, int, Item, Said) and type(value) is hint:
        return value
    if origin is Literal and value in inner:
        return value
    if hint in (Average, Fault, Group) and isinstance(value, dict):
        return _made(hint, value, f"{where}: ")
    if isinstance(value, list) and origin in (tuple, Sequence):
        made = [_typed(each, inner[0], where) for each in value]
        return tuple(made) if origin is tuple else made
    if isinstance(value, dict) and origin is Mapping:
        return {_typed(key, inner[0], where): _typed(each, inner[1], where) for key, each in value.items()}
    raise _MisfitError(f"{where} cannot be {value!r:.60}")
