"""The shots of clips as they were found, in a file beside the records: nothing is cut twice.

Finding shots takes decoding whole clips, and a run that goes on must know the segments of every clip before
it can tell which are done. The file is only a cache: whatever is missing from it is found again.
"""

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any, Self

from pllava_cli.errors import UsageError
from pllava_cli.records import File, path_text
from pllava_cli.textfile import check_regular, unreadable

SCHEMA = "pllava.shots/1"
HEAD = json.dumps({"schema": SCHEMA}, separators=(",", ":"))[:-1].encode()
"""How every line begins."""
SUFFIX = ".shots"
"""Added to the name of the records' file."""

Shots = list[tuple[float, float]]


class Cuts:
    """The shots of each clip, for as long as its file does not change; several threads may use it.

    Args:
        path: The file to which those that are found are added; None: none.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._found: dict[str, tuple[File, Shots]] = {}
        self._lock = Lock()
        self._descriptor = -1
        self._is_torn = False

    @classmethod
    def beside(cls, output: Path | None, *, is_read_only: bool) -> Self:
        """Read the shots that are kept beside a file of records.

        Args:
            output: The file of records; None: there is none, and no shots are kept.
            is_read_only: Whether those that are found later are not added.

        Raises:
            UsageError: The file holds something else, or cannot be read.
        """
        if output is None:
            return cls()
        path = output.with_name(output.name + SUFFIX)
        cuts = cls(None if is_read_only else path)
        try:
            if check_regular(path):
                cuts._read(path)
        except OSError as error:
            raise unreadable(path, error) from None
        return cuts

    def get(self, clip: Path, file: File | None) -> Shots | None:
        """Return the shots of a clip; None if they are not known, or its file has changed since."""
        found = self._found.get(path_text(clip))
        return found[1] if found is not None and found[0] == file else None

    def add(self, clip: Path, file: File | None, shots: Shots) -> None:
        """Keep the shots of a clip. One that cannot be written is found again another time."""
        if file is None:
            return
        key = path_text(clip)
        plain = {"schema": SCHEMA, "path": key, "file": vars(file), "shots": shots}
        with self._lock:
            self._found[key] = file, shots
            if self._path is not None:
                with suppress(OSError):
                    self._write(self._path, json.dumps(plain, separators=(",", ":")).encode() + b"\n")

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._path = None
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1

    def _write(self, path: Path, line: bytes) -> None:
        if self._descriptor < 0:
            self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
        if self._is_torn:
            line = b"\n" + line
        # Torn until it is known to be whole: the next line must not be joined to its beginning.
        self._is_torn = True
        self._is_torn = os.write(self._descriptor, line) < len(line)

    def _read(self, path: Path) -> None:
        with path.open("rb") as stream:
            for number, line in enumerate(stream, 1):
                self._is_torn = not line.endswith(b"\n")
                try:
                    key, file, shots = _parsed(line)
                except (KeyError, TypeError, ValueError, RecursionError):
                    if number == 1 and not _is_ours(line):
                        raise UsageError(
                            f"{path}, where shots are kept, holds something else", "move it away"
                        ) from None
                    continue
                self._found[key] = file, shots


def _is_ours(line: bytes) -> bool:
    """Whether a line begins as ours do, or may be what a kill or a power cut has left of one."""
    start = line.rstrip(b"\n").lstrip(b"\0")[: len(HEAD)]
    return HEAD.startswith(start)


def _parsed(line: bytes) -> tuple[str, File, Shots]:
    plain: dict[str, Any] = json.loads(line)
    if plain["schema"] != SCHEMA or not isinstance(plain["path"], str):
        raise ValueError
    file = File(int(plain["file"]["size_bytes"]), float(plain["file"]["mtime_s"]))
    return plain["path"], file, _spans(plain["shots"])


def _spans(shots: Sequence[Sequence[float]]) -> Shots:
    spans = [(float(start_s), float(end_s)) for start_s, end_s in shots]
    if not all(0 <= start_s < end_s < float("inf") for start_s, end_s in spans):
        raise ValueError
    return spans
