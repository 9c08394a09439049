"""A folder of entries, bounded in size, that any number of processes may use at a time.

An entry appears whole, under the name that its key gives, or not at all; it is never changed, and may go
at any time. The store is a help and never a condition: whatever cannot be read is made again, and where
nothing can be written a run goes on without.
"""

import os
import re
import shutil
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG
from typing import IO

from pllava_cli import configfile

MOST_BYTES = 20 * 10**9
"""About a thousand clips of PLLaVA 7B: 2304 tokens of 4096 numbers in 16 bits are 19 MB."""
MOST_ENTRY_BYTES = 1 << 30
"""No clip of any checkpoint comes near it: what is larger is no entry, and not read to its end."""
MARGIN = 0.1
"""Share of the bound that is made free at once: to find what has not been used for longest takes a look at
every entry."""
LEAST_FREE_BYTES, LEAST_FREE_SHARE = 10**9, 0.05
"""What stays free of the disk, the lesser of the two: this run's own answers must find room there."""
SURVEY_EVERY = 0.02
"""Share of the bound after which entries of other processes are counted anew."""
PARTIAL_S = 3600.0
"""Age at which a file that was being written is what a kill has left."""
CLOCK_S = 2.0
"""How far the clock of a file system may be behind."""
_PREFIX = 2
"""Characters of a key that name a folder, of 256 at most."""
_FOLDER, _ENTRY = re.compile(r"[0-9a-f]{2}"), re.compile(r"[0-9a-f]{62}\.safetensors")
_PARTIAL = re.compile(r"\.[0-9a-f]{8}-.*\.partial")


@dataclass(frozen=True, order=True)
class _Kept:
    """An entry as it lies on the disk; the one used longest ago comes first."""

    used_s: float
    path: Path
    bytes: int


class VisualStore:
    """Entries by key; it pickles, to be used in other processes.

    Args:
        folder: Where; None: `$XDG_CACHE_HOME/pllava/visual`. It is made once there is something to keep.
        most_bytes: What all entries may take, and less where the disk is nearly full. To stay below it, those
            go that have not been used for longest, but none that this store itself has kept or found: a run
            over more clips than there is room for would else lose each of them before it comes back to it.
        warn: Told, once, why no more is kept; None: a `RuntimeWarning` says it.
    """

    def __init__(
        self,
        folder: Path | None = None,
        most_bytes: int = MOST_BYTES,
        warn: Callable[[str], None] | None = None,
    ) -> None:
        self.folder = visual_dir() if folder is None else folder
        self.most_bytes = most_bytes
        self._warn = _warn if warn is None else warn
        self._began_s = time.time() - CLOCK_S
        self._used: int | None = None
        self._since_survey = 0
        self._is_closed = False
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type["VisualStore"], tuple[Path, int]]:
        """What crosses to another process: which store it is."""
        return VisualStore, (self.folder, self.most_bytes)

    def telling(self, warn: Callable[[str], None]) -> "VisualStore":
        """The same store, that tells somebody else why no more is kept."""
        return VisualStore(self.folder, self.most_bytes, warn)

    @property
    def is_closed(self) -> bool:
        """Whether nothing more is kept."""
        return self._is_closed

    def path(self, key: str) -> Path:
        """Where the entry of a key lies, if there is one."""
        return self.folder / key[:_PREFIX] / f"{key[_PREFIX:]}.safetensors"

    def get(self, key: str) -> bytes | None:
        """Return what is kept under a key of 64 hexadecimal digits, if anything is."""
        try:
            with _open_regular(self.path(key)) as file:
                content = file.read(MOST_ENTRY_BYTES)
                with suppress(OSError):  # a folder that can only be read
                    os.utime(file.fileno())
        except OSError:
            return None
        return content

    def put(self, key: str, content: bytes) -> None:
        """Keep something under a key of 64 hexadecimal digits, in place of what was there."""
        try:
            if self._make_room(len(content)):
                self._write(self.path(key), content)
        except OSError as error:
            self._close(f"cannot write {self.folder}: {error.strerror or error}")

    def _write(self, path: Path, content: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(".partial", f".{path.name[:8]}-", path.parent)
        partial = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
            partial.replace(path)
        except BaseException:
            with suppress(OSError):
                partial.unlink()
            raise

    def _make_room(self, wanted: int) -> bool:
        """Whether so many bytes may be written; what has not been used for longest goes for them."""
        bound = f"{self.most_bytes / 1e9:g} GB"
        if wanted > self.most_bytes:
            self._close(f"{self.folder} may hold {bound}, and one clip takes more")
            return False
        with self._lock:
            if self._is_closed:
                return False
            if self._used is None or self._since_survey > SURVEY_EVERY * self.most_bytes:
                self._used, self._since_survey = sum(each.bytes for each in self._survey()), 0
            spare = _spare_bytes(self.folder)
            if self._used + wanted > self.most_bytes or wanted > spare:
                room = min(self.most_bytes, self._used + max(spare, 0))
                self._used = self._evict(int((1 - MARGIN) * room) - wanted)
                spare = _spare_bytes(self.folder)
            is_bounded = self._used + wanted <= self.most_bytes
            if is_bounded and wanted <= spare:
                self._used += wanted
                self._since_survey += wanted
                return True
        if is_bounded:
            self._close(f"the disk of {self.folder} is nearly full")
        else:
            self._close(f"{self.folder} is full: this run has used all of its {bound}")
        return False

    def _evict(self, aim: int) -> int:
        """Remove entries, the least recently used first, until no more is left than aimed at; returns it."""
        kept = sorted(self._survey())
        left = sum(each.bytes for each in kept)
        for each in kept:
            if left <= aim or each.used_s >= self._began_s:
                break
            with suppress(FileNotFoundError):  # another process was faster
                each.path.unlink()
            left -= each.bytes
        return left

    def _survey(self) -> Iterator[_Kept]:
        """Look at every entry; remove what kills have left half written. Nothing else is touched."""
        if not self.folder.is_dir():
            return
        for folder in self.folder.iterdir():
            if not _FOLDER.fullmatch(folder.name):
                continue
            with suppress(NotADirectoryError, FileNotFoundError):
                for path in folder.iterdir():
                    with suppress(FileNotFoundError):
                        yield from self._kept(path)

    def _kept(self, path: Path) -> Iterator[_Kept]:
        status = path.lstat()
        if _ENTRY.fullmatch(path.name):
            yield _Kept(status.st_mtime, path, status.st_size)
        elif _PARTIAL.fullmatch(path.name) and status.st_mtime < self._began_s - PARTIAL_S:
            path.unlink()

    def _close(self, why: str) -> None:
        with self._lock:
            was_closed, self._is_closed = self._is_closed, True
        if not was_closed:
            self._warn(f"visual tokens of further clips are not kept: {why}")


def visual_dir() -> Path:
    """The folder of the store, where none is named."""
    return configfile.cache_dir() / "visual"


def _spare_bytes(folder: Path) -> int:
    """What may still be written to the disk that a folder is on, or would be; below 0: it is too full.

    Raises:
        OSError: There is no telling.
    """
    there = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    disk = shutil.disk_usage(there)
    return disk.free - int(min(LEAST_FREE_BYTES, LEAST_FREE_SHARE * disk.total))


def _open_regular(path: Path) -> IO[bytes]:
    """Open a file, but nothing that could be waited for."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FileNotFoundError(path)
    return os.fdopen(descriptor, "rb")


def _warn(message: str) -> None:
    warnings.warn(message, RuntimeWarning, stacklevel=2)
