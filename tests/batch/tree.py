"""Folders of files that pass for clips, and what is found in them."""

from collections.abc import Iterable
from pathlib import Path

import pytest

from pllava_cli import inputs
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


@pytest.fixture
def works(tmp_path: Path) -> list[Work]:
    """The works of a.mp4, b.mp4, c.mp4 and d.mp4, each of which holds its letter."""
    made = []
    for name in "abcd":
        path = tmp_path / f"{name}.mp4"
        path.write_bytes(name.encode())
        made.append(Work(inputs.Clip(path, inputs.clip_id(path))))
    return made
