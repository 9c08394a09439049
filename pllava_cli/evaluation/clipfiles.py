"""Where the clips that a benchmark names are: below a folder, however deep, with or without a suffix."""

import os
from collections.abc import Sequence
from pathlib import Path

from pllava_cli.batch.naming import VIDEO_SUFFIXES, suffix
from pllava_cli.errors import UsageError
from pllava_cli.video.probe import shown_name


class AmbiguousError(Exception):
    """Several files bear one name."""


class ClipFiles:
    """The files below a folder, listed when a name does not lead to one by itself.

    Raises:
        UsageError: It is no folder.
    """

    def __init__(self, data: Path) -> None:
        if not os.path.isdir(data):  # noqa: PTH112 (Path.is_dir raises on a name that is too long)
            raise UsageError(f"there is no folder {shown_name(data)}", "name the folder that holds the clips")
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
