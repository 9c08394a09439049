"""Where the clips of a benchmark are: in folders of known names, or anywhere below one.

A published benchmark keeps its videos in one place, named without a suffix: `PublishedVideos` looks there,
and says where a video should be that is not. Captions come with any folder of clips: `ClipsBelow` searches
it, and says so where a name may be either of two files.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from pllava_cli.batch.naming import VIDEO_SUFFIXES, suffix
from pllava_cli.evaluation.benchmarks.entry import Entry
from pllava_cli.evaluation.items import Fault
from pllava_cli.evaluation.reading import check_folder, is_folder
from pllava_cli.video.probe import shown_name


class PublishedVideos:
    """The videos of a benchmark, in one of the folders that people keep them in.

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
        names = [f"{prefix}{inner.name}{ending}" for prefix in self._prefixes for ending in self._suffixes]
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


class AmbiguousError(Exception):
    """Several files bear one name."""


class ClipsBelow:
    """The files below a folder, listed when a name does not lead to one by itself.

    Raises:
        UsageError: It is no folder.
    """

    def __init__(self, data: Path) -> None:
        check_folder(data, "name the folder that holds the clips")
        self.data = data
        self._by_name: dict[str, list[Path]] | None = None
        self._by_stem: dict[str, list[Path]] = {}

    def find(self, name: str) -> Path | None:
        """Return the file that a name leads to: a path from the folder, or a file's name or stem.

        Raises:
            AmbiguousError: Several bear it; the message names two.
        """
        direct = self.data / name
        if os.path.isfile(direct):  # noqa: PTH113 (Path.is_file raises on a name that is too long)
            return direct
        if self._by_name is None:
            self._by_name = {}
            self._list(self._by_name)
        path = Path(name)
        alike = self._by_name.get(path.name) or self._by_stem.get(path.name, [])
        return _only([each for each in alike if _ends_like(each, path)] or alike)

    def _list(self, by_name: dict[str, list[Path]]) -> None:
        for folder, folders, files in os.walk(self.data):
            folders[:] = sorted(each for each in folders if not each.startswith("."))
            for file in sorted(files):
                path = Path(folder, file)
                by_name.setdefault(file, []).append(path)
                if suffix(file) in VIDEO_SUFFIXES:
                    self._by_stem.setdefault(path.stem, []).append(path)


def _ends_like(path: Path, name: Path) -> bool:
    """Whether the folders of a name are those that a path ends with."""
    folders = name.parent.parts
    return not folders or path.parent.parts[-len(folders) :] == folders


def _only(paths: Sequence[Path]) -> Path | None:
    if len(paths) > 1:
        raise AmbiguousError(
            f"{len(paths)} files bear its name: {shown_name(paths[0])} and {shown_name(paths[1])}"
        )
    return paths[0] if paths else None
