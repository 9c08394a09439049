"""The journal of a run: a file of records that only ever grows, and what it says is done.

One write a line, synced before the next: after a kill or a power cut every line is whole but perhaps the
last, which is then recognised and cut away. A file that holds anything else was not ours to begin with
and is refused unchanged. A lock on the file itself keeps two runs from it, whatever names they use.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Literal, Self

from pllava_cli.batch.disk import ELSEWHERE, append, cut, lock, open_growing, sync_folder, unwritable, write
from pllava_cli.errors import UsageError
from pllava_cli.recordfile import (
    MAX_LINE_BYTES,
    Line,
    LineError,
    check_regular,
    is_torn,
    lines,
    parse,
    unreadable,
)
from pllava_cli.recordkey import PART_BYTES, Key
from pllava_cli.records import Record, to_json_line

State = Literal["done", "stale", "failed"]

_OK, _FAILED = b"+", b"-"


@dataclass(frozen=True)
class Counts:
    """How many subjects a journal holds, by their newest record."""

    done: int
    failed: int


class Journal:
    """A journal that is open for writing, from one thread at a time.

    Attributes:
        cut_bytes: What had to be cut away of a last line that a kill had torn.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path, self._descriptor = path, descriptor
        self._newest: dict[bytes, bytes] = {}
        """By subject: status, file and fingerprint of the newest record, in one piece to save memory."""
        self._failed = 0
        self.cut_bytes = 0

    @classmethod
    def open(cls, path: Path) -> "Journal":
        """Open a journal, new or gone on with.

        Raises:
            UsageError: Another run is writing to it, it holds something else than records, or it cannot
                be written.
        """
        descriptor, is_new = open_growing(path)
        journal = cls(path, descriptor)
        try:
            lock(path, descriptor)
            with os.fdopen(descriptor, "rb", closefd=False) as stream:
                journal._read(stream, mend=True)
            if is_new:
                sync_folder(path.parent)
        except OSError as error:
            journal.close()
            raise unwritable(path, error) from None
        except BaseException:
            journal.close()
            raise
        return journal

    @classmethod
    def peek(cls, path: Path) -> "Journal":
        """Read a journal that may be missing or in use, without changing it; it takes no records.

        Raises:
            UsageError: It holds something else than records, or cannot be read.
        """
        journal = cls(path, -1)
        try:
            if check_regular(path):
                with path.open("rb") as stream:
                    journal._read(stream, mend=False)
        except OSError as error:
            raise unreadable(path, error) from None
        return journal

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let other runs have the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    @property
    def counts(self) -> Counts:
        """What the journal holds by now."""
        return Counts(len(self._newest) - self._failed, self._failed)

    def state(self, key: Key) -> State | None:
        """Say what there is of a record to be made.

        Returns:
            `done`: it is there; `stale`: it is there, made with other settings; `failed`: an error stands
            in its place; None: it is not there, or the file has changed since. Of a file that is gone
            what was said stays said.
        """
        newest = self._newest.get(key.subject)
        if newest is None:
            return None
        if newest.startswith(_FAILED):
            return "failed"
        fingerprint, file = newest[1 : 1 + PART_BYTES], newest[1 + PART_BYTES :]
        if key.file and key.file != file:
            return None
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
        append(self._path, self._descriptor, raw)
        self._note(Key.of(record), is_ok=record.error is None)

    def _note(self, key: Key, *, is_ok: bool) -> None:
        before = self._newest.get(key.subject, _OK)
        self._failed += (not is_ok) - before.startswith(_FAILED)
        self._newest[key.subject] = (_OK if is_ok else _FAILED) + key.fingerprint + key.file

    def _read(self, stream: IO[bytes], *, mend: bool) -> None:
        for line in lines(stream):
            try:
                parsed = parse(line)
            except LineError as error:
                if not is_torn(line):
                    raise self._refused(line, error) from None
                if mend:
                    self.cut_bytes = cut(self._descriptor, line.start)
                return
            if mend and not line.is_ended:  # whole but for its end, or an editor has taken that away
                write(self._descriptor, b"\n")
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

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
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
