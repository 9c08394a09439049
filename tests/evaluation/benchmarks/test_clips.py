"""Finding the clips that a file of captions names."""

from pathlib import Path

import pytest

from pllava_cli.errors import UsageError
from pllava_cli.evaluation.benchmarks.clips import AmbiguousError, ClipsBelow


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for name in ("top.mp4", "deep/er/video7.webm", "one/same.mp4", "two/same.mp4", "notes/video7.txt"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    (tmp_path / ".trash").mkdir()
    (tmp_path / ".trash" / "gone.mp4").touch()
    return tmp_path


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("top.mp4", "top.mp4"),
        ("top", "top.mp4"),
        ("video7.webm", "deep/er/video7.webm"),
        ("video7", "deep/er/video7.webm"),
        ("er/video7", "deep/er/video7.webm"),
        ("elsewhere/video7.webm", "deep/er/video7.webm"),
        ("two/same.mp4", "two/same.mp4"),
        ("two/same", "two/same.mp4"),
        ("gone.mp4", None),
        ("video8", None),
        ("deep", None),
        ("x" * 300, None),
        ("a\0b", None),
    ],
)
def test_by_path_name_or_stem(data: Path, name: str, found: str | None) -> None:
    assert ClipsBelow(data).find(name) == (data / found if found else None)


def test_two_files_of_one_name_are_not_chosen_from(data: Path) -> None:
    files = ClipsBelow(data)
    for name in ("same.mp4", "same", "three/same.mp4"):
        with pytest.raises(AmbiguousError, match=r"2 files .*one/same\.mp4 and .*two/same\.mp4"):
            files.find(name)


def test_a_folder_that_is_none(data: Path) -> None:
    for folder in (data / "missing", data / "top.mp4", Path("x" * 300)):
        with pytest.raises(UsageError, match="no folder"):
            ClipsBelow(folder)
