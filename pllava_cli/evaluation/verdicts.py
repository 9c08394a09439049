"""The store of a judge's verdicts: a file that only ever grows, so that nothing is judged twice.

One JSON object a line, `"schema": "pllava.verdict/1"`: `key` (SHA-256 of the request: model, messages and
parameters) · `item` · `dimension` · `model` · `replied_model` · `endpoint` (host and port) · `reply` ·
`score` · `pred` · `created` (UTC). Written and mended as the journal of records is: one write a line, on
the disk when it returns; a last line that a kill has torn is cut away, a file of anything else refused.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NoReturn, Self

from pllava_cli.batch.disk import ELSEWHERE, append, cut, lock, open_growing, sync_folder, unwritable, write
from pllava_cli.errors import UsageError
from pllava_cli.evaluation.judgements import Judgement
from pllava_cli.evaluation.replies import HIGHEST, Meaning
from pllava_cli.recordfile import Line, LineError, check_regular, is_torn, lines, unreadable

SCHEMA = "pllava.verdict/1"
"""Fields are only ever added within a schema."""
NAME = "verdicts.jsonl"
_HEAD = json.dumps({"schema": SCHEMA}, separators=(",", ":"))[:-1].encode() + b","
_TEXTS = ("item", "dimension", "model", "replied_model", "endpoint", "reply", "created")
_HINT = "move it away: all in it would be judged anew"


class Store:
    """A store of verdicts, for one thread at a time.

    Attributes:
        cut_bytes: What had to be cut away of a last line that a kill had torn.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path, self._descriptor = path, descriptor
        self._newest: dict[str, Judgement] = {}
        self.cut_bytes = 0

    @classmethod
    def open(cls, path: Path) -> "Store":
        """Open a store, new or gone on with, and keep other judges from it.

        Raises:
            UsageError: Another run is writing to it, it holds something else than verdicts, or it cannot
                be written.
        """
        with _hinted():
            descriptor, is_new = open_growing(path)
        store = cls(path, descriptor)
        try:
            with _hinted():
                lock(path, descriptor)
            with os.fdopen(descriptor, "rb", closefd=False) as stream:
                store._read(stream, mend=True)
            if is_new:
                sync_folder(path.parent)
        except OSError as error:
            store.close()
            with _hinted():
                raise unwritable(path, error) from None
        except BaseException:
            store.close()
            raise
        return store

    @classmethod
    def peek(cls, path: Path) -> "Store":
        """Read a store that may be missing or in use, without changing it; it takes no verdicts.

        Raises:
            UsageError: It holds something else than verdicts, or cannot be read.
        """
        store = cls(path, -1)
        try:
            if check_regular(path):
                with path.open("rb") as stream:
                    store._read(stream, mend=False)
        except OSError as error:
            raise unreadable(path, error) from None
        return store

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __len__(self) -> int:
        """How many prompts are judged."""
        return len(self._newest)

    def close(self) -> None:
        """Let other runs have the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

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
        with _hinted():
            append(self._path, self._descriptor, _line(key, judgement))
        self._newest[key] = replace(judgement, key=key)

    def _read(self, stream: IO[bytes], *, mend: bool) -> None:
        for line in lines(stream):
            try:
                key, judgement = _parsed(line)
            except LineError as error:
                if not is_torn(line, _HEAD):
                    raise UsageError(
                        f"{self._path} holds something else than verdicts: line {line.number} is {error}",
                        _HINT,
                    ) from None
                if mend:
                    self.cut_bytes = cut(self._descriptor, line.start)
                return
            if mend and not line.is_ended:  # whole but for its end, or an editor has taken that away
                write(self._descriptor, b"\n")
            self._newest[key] = judgement


@contextmanager
def _hinted() -> Iterator[None]:
    """Give no hint at a flag that is not there: the file belongs to the run's folder."""
    try:
        yield
    except UsageError as error:
        hint = error.hint.replace(f", or {ELSEWHERE}", "").replace(ELSEWHERE, "see who may write to it")
        raise UsageError(error.message, hint) from None


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
    plain = _plain(line)
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


def _plain(line: Line) -> dict[str, Any]:
    if line.raw is None:
        raise LineError("too long")
    try:
        plain = json.loads(line.raw.decode("utf-8-sig"), parse_constant=_refuse)
    except UnicodeDecodeError:
        raise LineError("not UTF-8") from None
    except (ValueError, RecursionError):
        raise LineError("not JSON") from None
    if not isinstance(plain, dict):
        raise LineError("no verdict")
    return plain


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)
