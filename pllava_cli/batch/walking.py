"""Clips in folders, each file once, whatever links lead to it.

What a file is comes from the folder's listing, so that no file is looked at before its turn. What was
met is kept by resolved paths, not by inode numbers: some network file systems give one number to all
files, and a clip would be lost without a word.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from pllava_cli import inputs
from pllava_cli.batch.naming import is_wanted, natural_key
from pllava_cli.batch.work import Work
from pllava_cli.errors import PllavaError

Warn = Callable[[str], None]


def listing(
    folder: str, warn: Warn, keep: Callable[["os.DirEntry[str]"], bool]
) -> "list[os.DirEntry[str]] | None":
    """Return the entries of a folder that are to be kept, in natural order.

    One that cannot be listed is warned about: None.
    """
    try:
        with os.scandir(folder or os.curdir) as entries:
            found = [entry for entry in entries if keep(entry)]
    except OSError as error:
        warn(f"passed over the folder {folder}: {error.strerror or error}")
        return None
    found.sort(key=lambda entry: natural_key(entry.name))
    return found


def is_folder(entry: "os.DirEntry[str]") -> bool:
    """Whether an entry is a folder or a link to one."""
    try:
        return entry.is_dir()
    except OSError:  # a loop of links, or gone
        return False


def leads_to_folder(name: str) -> bool:
    """Whether a name leads to a folder; False too if it leads nowhere, or is none."""
    return os.path.isdir(name)  # noqa: PTH112 (Path.is_dir raises on a name that is too long)


class Walker:
    """Finds the clips of a run and remembers which were met.

    Args:
        recursive: Whether folders within folders are looked into.
        warn: Told of folders that cannot be listed.
    """

    def __init__(self, *, recursive: bool, warn: Warn) -> None:
        self._recursive = recursive
        self._warn = warn
        self._listed: set[str] = set()  # resolved: whatever is_wanted in them has had its turn
        self._singles: set[str] = set()  # resolved files that came by another way
        self.repeated = 0
        """How many names led to a file that another name had led to."""
        self.first_repeated = ""
        """One of those names."""

    def folder(self, top: str) -> Iterator[Work]:
        """Yield the clips of a folder: its own, then those of the folders in it.

        Linked folders come last, so that a clip is known by its own path if it has one below `top`.
        """
        pending, linked = [top], list[str]()
        while pending or linked:
            folder = pending.pop() if pending else linked.pop(0)
            real = os.path.realpath(folder)
            if real in self._listed:
                continue
            entries = listing(folder, self._warn, self._keep)
            if entries is None:
                continue
            self._listed.add(real)
            deeper: list[str] = []
            for entry in entries:
                if not is_folder(entry):
                    yield from self._entry(entry, real)
                elif self._recursive:
                    (linked if entry.is_symlink() else deeper).append(entry.path)
            pending.extend(reversed(deeper))

    def file(self, name: str) -> Iterator[Work]:
        """Yield a file unless it was met before. One that is not there, or no file, becomes a fault."""
        path = Path(name)
        fault = fault_of(path)
        real = os.path.realpath(name)
        folder, base = os.path.split(real)
        if real in self._singles or (fault is None and folder in self._listed and is_wanted(base)):
            self._repeat(name)
            return
        self._singles.add(real)
        yield Work(inputs.Clip.at(path), fault=fault)

    def _keep(self, entry: "os.DirEntry[str]") -> bool:
        if is_wanted(entry.name):
            return True
        return self._recursive and not entry.name.startswith(".") and is_folder(entry)

    def _entry(self, entry: "os.DirEntry[str]", real_folder: str) -> Iterator[Work]:
        """Yield a file of a folder that is being walked."""
        try:
            is_link, is_file = entry.is_symlink(), entry.is_file(follow_symlinks=False)
        except OSError as error:
            self._warn(f"passed over {entry.path}: {error.strerror or error}")
            return
        if is_link:
            yield from self.file(entry.path)
        elif is_file:
            if self._singles and os.path.join(real_folder, entry.name) in self._singles:  # noqa: PTH118
                self._repeat(entry.path)
                return
            yield Work(inputs.Clip.at(Path(entry.path)))

    def _repeat(self, name: str) -> None:
        self.repeated += 1
        self.first_repeated = self.first_repeated or name


def fault_of(path: Path) -> PllavaError | None:
    """Return why a path is no clip, or None if it is one."""
    try:
        inputs.check_clip(os.fspath(path))
    except PllavaError as error:
        return error
    return None
