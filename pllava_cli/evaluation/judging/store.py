"""The store of a judge's verdicts: a file that only ever grows, so that nothing is judged twice.

One JSON object a line, `"schema": "pllava.verdict/1"`: `key` (SHA-256 of the request: model, messages and
parameters) · `item` · `dimension` · `model` · `replied_model` · `endpoint` (host and port) · `reply` ·
`score` · `pred` · `created` (UTC). Written and mended as the journal of records is (`batch.growing`).
"""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Self

from pllava_cli.batch.disk import advising
from pllava_cli.batch.growing import GrowingFile
from pllava_cli.errors import UsageError
from pllava_cli.evaluation.judging.judgements import Judgement
from pllava_cli.evaluation.judging.replies import HIGHEST, Meaning
from pllava_cli.jsonlines import Line, LineError, value

SCHEMA = "pllava.verdict/1"
"""Fields are only ever added within a schema."""
NAME = "verdicts.jsonl"
_HEAD = json.dumps({"schema": SCHEMA}, separators=(",", ":"))[:-1].encode() + b","
_TEXTS = ("item", "dimension", "model", "replied_model", "endpoint", "reply", "created")
_HINT = "move it away: all in it would be judged anew"


class Store(GrowingFile):
    """A store of verdicts, for one thread at a time."""

    _head = _HEAD

    def __init__(self, path: Path, descriptor: int) -> None:
        super().__init__(path, descriptor)
        self._newest: dict[str, Judgement] = {}

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open a store, new or gone on with; as `GrowingFile.open`."""
        with advising(None):  # the file belongs to the run's folder
            return super().open(path)

    def __len__(self) -> int:
        """How many prompts are judged."""
        return len(self._newest)

    def get(self, key: str) -> Judgement | None:
        """Return what was said to a request, if it was ever made."""
        return self._newest.get(key)

    def has_reply_of(self, model: str) -> bool:
        """Whether a judge has replied that was asked for by this name."""
        return any(each.model == model for each in self._newest.values())

    def append(self, key: str, judgement: Judgement) -> None:
        """Write a verdict; when this returns, it is on the disk.

        Raises:
            UsageError: It cannot be written; the file is left as it was before.
        """
        with advising(None):
            self._append(_line(key, judgement))
        self._newest[key] = replace(judgement, key=key)

    def _take(self, line: Line) -> None:
        key, judgement = _parsed(line)
        self._newest[key] = judgement

    def _refused(self, line: Line, error: LineError) -> UsageError:
        return UsageError(
            f"{self._path} holds something else than verdicts: line {line.number} is {error}", _HINT
        )


def _line(key: str, judgement: Judgement) -> bytes:
    plain = asdict(judgement)
    meaning = plain.pop("meaning")
    created = plain.pop("created")
    plain["key"] = key
    # ASCII throughout: a reply may hold anything, and no reader may take it for a command or an end of line.
    text = json.dumps(
        {"schema": SCHEMA, "key": key} | plain | meaning | {"created": created},
        allow_nan=False,
        separators=(",", ":"),
    )
    return text.encode() + b"\n"


def _parsed(line: Line) -> tuple[str, Judgement]:
    """Read a line.

    Raises:
        LineError: It is no verdict of this schema.
    """
    plain = value(line)
    if not isinstance(plain, dict):
        raise LineError("no verdict")
    if plain.get("schema") != SCHEMA:
        raise LineError("no verdict, or of a schema that this version does not know")
    try:
        texts = {name: plain[name] for name in _TEXTS}
        key, score, pred = plain["key"], plain["score"], plain["pred"]
    except KeyError as error:
        raise LineError(f"a verdict without {error.args[0]}") from None
    if not all(isinstance(each, str) for each in (key, *texts.values())):
        raise LineError("a verdict with something else in the place of text")
    is_number = isinstance(score, int | float) and not isinstance(score, bool)
    if not (score is None or (is_number and 0 <= score <= HIGHEST)) or pred not in (None, "yes", "no"):
        raise LineError(f"a verdict whose score or pred is none: {score!r:.20}, {pred!r:.20}")
    meaning = Meaning(None if score is None else float(score), pred)
    return key, Judgement(**texts, meaning=meaning, key=key)
