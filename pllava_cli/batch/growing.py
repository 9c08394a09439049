"""Files that only ever grow: opened for one run, mended after a kill, and added to a line at a time.

One write a line, synced before the next: after a kill or a power cut every line is whole but perhaps the
last, which is then recognised and cut away. A file that holds anything else was not ours to begin with
and is refused unchanged. A lock on the file itself keeps two runs from it, whatever names they use.
"""

import os
from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path
from typing import IO, ClassVar, Self

from pllava_cli.batch.disk import ELSEWHERE, lock, missing_folder, sync, sync_folder, unwritable
from pllava_cli.errors import UsageError
from pllava_cli.jsonlines import Line, LineError, is_torn, lines
from pllava_cli.locks import is_in_place
from pllava_cli.textfile import check_regular, unreadable


class GrowingFile(ABC):
    """A file of lines that is open for writing, from one thread at a time.

    Attributes:
        cut_bytes: What had to be cut away of a last line that a kill had torn.
    """

    _head: ClassVar[bytes]
    """How every line begins."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path, self._descriptor = path, descriptor
        self.cut_bytes = 0

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open a file, new or gone on with, and keep other runs from it.

        Raises:
            UsageError: Another run is writing to it, it holds something else, or it cannot be written.
        """
        descriptor, is_new = _opened(path)
        file = cls(path, descriptor)
        try:
            lock(descriptor, path, path)
            with os.fdopen(descriptor, "rb", closefd=False) as stream:
                file._read(stream, mend=True)
            if is_new:
                sync_folder(path.parent)
        except OSError as error:
            file.close()
            raise unwritable(path, error) from None
        except BaseException:
            file.close()
            raise
        return file

    @classmethod
    def peek(cls, path: Path) -> Self:
        """Read a file that may be missing or in use, without changing it; nothing can be added to it.

        Raises:
            UsageError: It holds something else, or cannot be read.
        """
        file = cls(path, -1)
        try:
            if check_regular(path, ELSEWHERE):
                with path.open("rb") as stream:
                    file._read(stream, mend=False)
        except OSError as error:
            raise unreadable(path, error) from None
        return file

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let other runs have the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    @abstractmethod
    def _take(self, line: Line) -> None:
        """Note what a line says that was there before.

        Raises:
            LineError: It is none of ours.
        """

    @abstractmethod
    def _refused(self, line: Line, error: LineError) -> UsageError:
        """Return the error for a file with a line that is none of ours."""

    def _append(self, raw: bytes) -> None:
        """Write a line with its end; when this returns, it is on the disk.

        Raises:
            UsageError: It cannot be written; the file is left as it was before.
        """
        before = os.fstat(self._descriptor)
        if not is_in_place(self._descriptor, self._path):
            raise UsageError(
                f"{self._path} was removed or replaced while it was written",
                "put it back if it was moved; the same command goes on with it",
            )
        try:
            _write(self._descriptor, raw)
        except OSError as error:
            with suppress(OSError):  # else the next run cuts it
                os.ftruncate(self._descriptor, before.st_size)
            raise unwritable(self._path, error) from None

    def _read(self, stream: IO[bytes], *, mend: bool) -> None:
        for line in lines(stream):
            try:
                self._take(line)
            except LineError as error:
                if not is_torn(line, self._head):
                    raise self._refused(line, error) from None
                if mend:
                    self.cut_bytes = _cut(self._descriptor, line.start)
                return
            if mend and not line.is_ended:  # whole but for its end, or an editor has taken that away
                _write(self._descriptor, b"\n")


def _opened(path: Path) -> tuple[int, bool]:
    """Open a file for reading and appending; says whether it was made.

    Raises:
        UsageError: It can hold no lines, or cannot be written.
    """
    is_new = not check_regular(path, ELSEWHERE)
    try:
        return os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666), is_new
    except FileNotFoundError:
        raise missing_folder(path) from None
    except OSError as error:
        raise unwritable(path, error) from None


def _write(descriptor: int, raw: bytes) -> None:
    """Write and sync. If only a part could be written, the rest is tried again, which raises the reason."""
    while raw:
        raw = raw[os.write(descriptor, raw) :]
    sync(descriptor)


def _cut(descriptor: int, start: int) -> int:
    """Cut a file off where a kill has torn its last line; returns how many bytes went."""
    gone = os.fstat(descriptor).st_size - start
    os.ftruncate(descriptor, start)
    sync(descriptor)
    return gone
