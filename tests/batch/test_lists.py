"""Lists of names: `--from-file`."""

import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pllava_cli.batch.discovery import find
from pllava_cli.batch.work import Work
from pllava_cli.errors import UsageError
from tests.batch.tree import grow

ODD = [" spaces .mp4", "new\nline.mp4", os.fsdecode(b"caf\xe9.mp4"), "#1.mp4", "*.mp4"]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return grow(tmp_path, ["a.mp4", "b.dat", "sub/c.mp4", *ODD])


def listed(content: bytes, *, nul: bool = False) -> Iterator[Work]:
    Path("list.txt").write_bytes(content)
    return find([], from_files=["list.txt"], nul=nul, warn=print)


def names(content: bytes, *, nul: bool = False) -> list[str]:
    works = list(listed(content, nul=nul))
    assert all(work.fault is None for work in works)
    return [str(work.clip.path) for work in works]


@pytest.mark.parametrize(
    "content",
    [
        b"b.dat\na.mp4\n",
        b"b.dat\na.mp4",
        b"b.dat\r\na.mp4\r\n",
        b"\xef\xbb\xbfb.dat\na.mp4\n",
        b"# what\n\n  \nb.dat\n#c.mp4\na.mp4\n\n",
    ],
)
def test_lines(content: bytes) -> None:
    assert names(content) == ["b.dat", "a.mp4"]


def test_names_of_any_bytes() -> None:
    assert names(b"caf\xe9.mp4\n spaces .mp4\n./#1.mp4\n*.mp4\n") == [ODD[2], ODD[0], ODD[3], ODD[4]]
    assert names(b"\0".join(map(os.fsencode, ODD)) + b"\0", nul=True) == ODD
    assert names(b"\0".join(map(os.fsencode, ODD)), nul=True) == ODD


def test_folders_are_walked_and_repeats_left_out() -> None:
    warnings: list[str] = []
    Path("list.txt").write_text("sub\nsub/c.mp4\na.mp4\n./a.mp4\n")
    works = find(["a.mp4"], from_files=["list.txt"], warn=warnings.append)
    assert [str(work.clip.path) for work in works] == ["a.mp4", "sub/c.mp4"]
    assert "3 names" in warnings[0]


def test_what_is_not_there_is_a_fault_and_the_rest_goes_on() -> None:
    os.mkfifo("pipe")
    works = list(listed(b"gone.mp4\npipe\na.mp4\nnone*.mp4\ngone.mp4\n" + b"x" * 5000 + b"\n"))
    assert [str(work.clip.path)[:9] for work in works] == ["gone.mp4", "pipe", "a.mp4", "none*.mp4", "x" * 9]
    faults = [work.fault for work in works]
    assert faults[2] is None
    for fault, message in zip(
        faults, ["no file gone", "regular", "", "no file none", "too long"], strict=True
    ):
        assert fault is None or message in fault.message
    assert [fault is None for fault in faults] == [False, False, True, False, False]
    assert len({work.clip.id for work in works}) == len(works)


def test_a_missing_clip_of_a_folder_that_was_walked_is_still_told() -> None:
    Path("list.txt").write_text("sub/gone.mp4\n")
    works = list(find(["sub"], from_files=["list.txt"], warn=print))
    assert [work.fault is None for work in works] == [True, False]


@pytest.mark.parametrize(
    ("content", "nul", "message"),
    [
        ("a.mp4\n".encode("utf-16"), False, "UTF-16"),
        ("a.mp4\n".encode("utf-16-le"), False, "NUL"),
        (b"a.mp4\0b.dat\0", False, "NUL"),
        (b"\0\0\0\x20ftypisom" + bytes(100), False, "NUL"),
        (b"x" * (1 << 20) + b"x", False, "longer"),
        (b"x" * (1 << 20) + b"x", True, "longer"),
        (b"a.mp4\n" * (1 << 18), True, "longer"),
        (b"\0", True, "item 1 is empty"),
    ],
)
def test_what_is_no_list(content: bytes, nul: bool, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        listed(content, nul=nul)
    assert "list.txt" in caught.value.message and caught.value.hint


@pytest.mark.parametrize("content", [b"", b"\n\n# nothing\n"])
def test_an_empty_list_is_nothing_to_do(content: bytes) -> None:
    with pytest.raises(UsageError, match="nothing to do"):
        listed(content)


def test_lists_that_cannot_be_opened() -> None:
    for name, message in {
        "none.txt": "there is no file",
        "sub": "is a directory",
        "": "empty",
        "/dev/zero": "not a regular file",
        "a\0b": "cannot read",
    }.items():
        with pytest.raises(UsageError, match=message):
            find([], from_files=[name], warn=print)
    with pytest.raises(UsageError, match="nothing to do"):
        find([], from_files=["/dev/null"], warn=print)


@pytest.mark.parametrize("nul", [False, True])
def test_standard_input_is_read_as_it_comes(nul: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    end = b"\0" if nul else b"\n"
    reading, writing = os.pipe()
    with os.fdopen(reading) as stream:
        monkeypatch.setattr(sys, "stdin", stream)
        os.write(writing, b"b.dat" + end)
        works = find([], from_files=["-"], nul=nul, warn=print)
        assert str(next(works).clip.path) == "b.dat"  # though more may come
        os.write(writing, b"a.mp4" + end)
        assert str(next(works).clip.path) == "a.mp4"
        os.close(writing)
        assert list(works) == []


def test_standard_input_that_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.StringIO()
    closed.close()
    for stream in (None, closed):
        monkeypatch.setattr(sys, "stdin", stream)
        with pytest.raises(UsageError, match="standard input is closed"):
            find([], from_files=["-"], warn=print)


def test_a_pipe_can_be_a_list() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"a.mp4\n")
    os.close(writing)
    works = find([], from_files=[f"/dev/fd/{reading}"], warn=print)
    assert [str(work.clip.path) for work in works] == ["a.mp4"]
    os.close(reading)
