"""The journal of a run: a file of records that only ever grows, and what it says is done.

Of each subject the newest record counts. How the file survives a kill, `growing` says.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from pllava_cli.batch.disk import ELSEWHERE
from pllava_cli.batch.growing import GrowingFile
from pllava_cli.errors import UsageError
from pllava_cli.jsonlines import MAX_LINE_BYTES, Line, LineError
from pllava_cli.recordfile import HEAD, parse
from pllava_cli.recordkey import PART_BYTES, Key
from pllava_cli.records import Record, to_json_line

State = Literal["done", "stale", "changed", "failed"]

_OK, _FAILED = b"+", b"-"


@dataclass(frozen=True)
class Counts:
    """How many subjects a journal holds, by their newest record."""

    done: int
    failed: int


class Journal(GrowingFile):
    """A journal that is open for writing, from one thread at a time."""

    _head = HEAD

    def __init__(self, path: Path, descriptor: int) -> None:
        super().__init__(path, descriptor)
        self._newest: dict[bytes, bytes] = {}
        """By subject: status, file and fingerprint of the newest record, in one piece to save memory."""
        self._failed = 0

    @property
    def counts(self) -> Counts:
        """What the journal holds by now."""
        return Counts(len(self._newest) - self._failed, self._failed)

    def state(self, key: Key) -> State | None:
        """Say what there is of a record to be made.

        Returns:
            `done`: it is there; `stale`: it is there, made with other settings; `changed`: it is there, but
            the clip's file has changed since; `failed`: an error stands in its place; None: it is not
            there. If the clip's file is gone, the record still counts.
        """
        newest = self._newest.get(key.subject)
        if newest is None:
            return None
        if newest.startswith(_FAILED):
            return "failed"
        fingerprint, file = newest[1 : 1 + PART_BYTES], newest[1 + PART_BYTES :]
        if key.file and key.file != file:
            return "changed"
        return "done" if fingerprint == key.fingerprint else "stale"

    def append(self, record: Record) -> None:
        """Write a record; when this returns, it is on the disk.

        Raises:
            UsageError: It cannot be written; the file is left as it was before.
        """
        raw = to_json_line(record).encode() + b"\n"
        if len(raw) > MAX_LINE_BYTES:
            raise UsageError(
                f"the record of {record.path} is longer than {MAX_LINE_BYTES >> 20} MiB", "ask in fewer words"
            )
        self._append(raw)
        self._note(Key.of(record), is_ok=record.error is None)

    def _note(self, key: Key, *, is_ok: bool) -> None:
        before = self._newest.get(key.subject, _OK)
        self._failed += (not is_ok) - before.startswith(_FAILED)
        self._newest[key.subject] = (_OK if is_ok else _FAILED) + key.fingerprint + key.file

    def _take(self, line: Line) -> None:
        parsed = parse(line)
        self._note(parsed.key, is_ok=parsed.plain["status"] == "ok")

    def _refused(self, line: Line, error: LineError) -> UsageError:
        if self._newest:
            return UsageError(
                f"{self._path} cannot be gone on with: line {line.number} is {error}",
                f"see `pllava check {self._path}`, or {ELSEWHERE}",
            )
        return UsageError(
            f"{self._path} holds something else than records: line {line.number} is {error}", ELSEWHERE
        )


class StdoutJournal:
    """The same for a run whose records go to standard output: nothing is done before, nothing is read.

    Args:
        write: Writes one line of JSON and its end, as `Terminal.json_line` does; what it raises goes up.
    """

    cut_bytes = 0

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._done = self._failed = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Do nothing: standard output is not ours to close."""

    @property
    def counts(self) -> Counts:
        """How many records were written."""
        return Counts(self._done, self._failed)

    def state(self, key: Key) -> State | None:
        """Return None: nobody knows what went out before."""
        return None

    def append(self, record: Record) -> None:
        """Write a record."""
        self._write(to_json_line(record))
        if record.error is None:
            self._done += 1
        else:
            self._failed += 1
