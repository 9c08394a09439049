"""Folders of empty clips, and what is found in them."""

from collections.abc import Iterable
from pathlib import Path

from pllava_cli.batch.work import Work


def grow(root: Path, names: Iterable[str]) -> Path:
    """Make empty files, and the folders they lie in; return the root."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def below(root: Path, works: Iterable[Work]) -> list[str]:
    """The paths of works, as they stand below the root."""
    return [work.clip.path.relative_to(root).as_posix() for work in works]
