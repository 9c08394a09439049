"""Where the videos of a benchmark are: named without a suffix, in one of the folders people keep them in."""

import os
from collections.abc import Sequence
from pathlib import Path

from pllava_cli.evaluation.items import Fault
from pllava_cli.evaluation.reading import Entry, is_folder


class Footage:
    """The videos of a benchmark.

    Args:
        root: The benchmark's folder.
        places: Folders below it that may hold the videos, the published one first.
        suffixes: Of files, in the order in which they are tried.
        prefixes: What a file's name may have before the name that the benchmark gives, in that order.
    """

    def __init__(
        self, root: Path, places: Sequence[str], suffixes: Sequence[str], prefixes: Sequence[str] = ("",)
    ) -> None:
        self._folders = [root / place for place in places if is_folder(root / place)]
        self._usual = root / places[0]
        self._place = places[0]
        self._suffixes, self._prefixes = suffixes, prefixes
        self._known: dict[str, Path] = {}

    def clip(self, entry: Entry) -> Path:
        """Return the clip of an entry's `video_name`; if it is not there, where it should be.

        Raises:
            EntryError: It is no name of a file within the folder.
        """
        inner = entry.path_below(Path(), "video_name")
        name = os.fspath(inner)
        if name not in self._known:
            self._known[name] = self._find(inner)
        return self._known[name]

    def _find(self, inner: Path) -> Path:
        names = [f"{prefix}{inner.name}{suffix}" for prefix in self._prefixes for suffix in self._suffixes]
        for folder in self._folders:
            for name in (*names, inner.name):  # some files name their videos in full
                path = folder / inner.with_name(name)
                if os.path.isfile(path):  # noqa: PTH113 (Path.is_file raises on a name that is too long)
                    return path
        return (self._folders or [self._usual])[0] / inner.with_name(names[0])

    def faults(self) -> list[Fault]:
        """One fault if there is no folder of videos at all, instead of one for each of them."""
        if self._folders:
            return []
        return [Fault(self._place, "there is no such folder: all answers count as wrong")]
