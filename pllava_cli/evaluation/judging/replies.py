"""What a judge's reply says: read tolerantly in its form, strictly in its meaning.

Judges are asked for a JSON object and give one in prose, in a code fence, or as Python writes it. Any of
these will do, but a verdict must be plain: nothing is guessed from words, cut to the range, or chosen from
two that differ.
"""

import ast
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

HIGHEST = 5
"""Scores go from 0 to this."""

_OBJECT = re.compile(r"\{[^{}]{1,2000}\}")
"""Objects within objects are not asked for; the bound keeps the readers' work small."""
_KNOWN_ESCAPES = re.compile(r"(?:[^\\]|\\[\\'\"\nabfnrtvxuUN0-7])*")
"""A text all of whose escapes are Python's."""
_THOUGHT, _THOUGHT_END = "<think>", "</think>"
"""Between them reasoning models come to their reply, by drafts; without an end there was no room for one."""

Pred = Literal["yes", "no"]


@dataclass(frozen=True)
class Meaning:
    """What was understood of a reply."""

    score: float | None = None
    """0 to 5; None: no such number is given."""
    pred: Pred | None = None
    """Whether the answer is held correct; None: that is not said."""


def read_reply(text: str) -> Meaning:
    """Read a reply; what is not understood is None."""
    said = text.rpartition(_THOUGHT_END)[2].partition(_THOUGHT)[0]
    found = {
        Meaning(_score(each.get("score")), _pred(each.get("pred")))
        for each in _objects(said)
        if "score" in each or "pred" in each
    }
    return found.pop() if len(found) == 1 else Meaning()


def _objects(text: str) -> Iterator[dict[Any, Any]]:
    for match in _OBJECT.finditer(text):
        value = _value(match[0])
        if isinstance(value, dict):
            yield value


def _value(text: str) -> Any:
    """Read an object, as JSON or as Python writes it; None: it is none, or has a key twice."""
    with suppress(ValueError):
        return json.loads(text, object_pairs_hook=_object)
    if not _KNOWN_ESCAPES.fullmatch(text):  # Python warns of others, on our standard error
        return None
    try:
        written = ast.parse(text, mode="eval").body
        if not isinstance(written, ast.Dict):  # a set is written in braces too
            return None
        keys = [key for key in written.keys if key is not None]  # None: `**other`, which is no value
        pairs = zip(keys, written.values, strict=True)
        return _object([(ast.literal_eval(key), ast.literal_eval(each)) for key, each in pairs])
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None


def _object(pairs: Sequence[tuple[Any, Any]]) -> dict[Any, Any]:
    """Make an object of its keys and values.

    Raises:
        ValueError: One key is there twice: which of its values is meant, nobody knows.
    """
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError
    return found


def _score(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and 0 <= value <= HIGHEST else None  # NaN is in no range


def _pred(value: Any) -> Pred | None:
    match value.strip().lower() if isinstance(value, str) else None:
        case "yes":
            return "yes"
        case "no":
            return "no"
        case _:
            return None
