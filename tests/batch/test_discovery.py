"""Files, folders and links: each clip once, in natural order, as soon as its turn comes."""

import os
from pathlib import Path

import pytest

from pllava_cli.batch.discovery import find
from pllava_cli.batch.work import Work
from pllava_cli.errors import UsageError
from pllava_cli.inputs import clip_id
from pllava_cli.records import Segment
from tests.batch.tree import below, grow

UNREADABLE = "locked"


@pytest.fixture
def warnings() -> list[str]:
    return []


@pytest.fixture
def unreadable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders called `locked` cannot be listed, by root neither."""
    scandir = os.scandir

    def refusing(path: str) -> "os.ScandirIterator[str]":
        if Path(path).name == UNREADABLE:
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)


def found(*paths: Path, warnings: list[str] | None = None, recursive: bool = True) -> list[Work]:
    told = [] if warnings is None else warnings
    return list(find([str(path) for path in paths], warn=told.append, recursive=recursive))


def test_a_folder_is_taken_in_natural_order_its_own_clips_first(tmp_path: Path) -> None:
    grow(
        tmp_path, ["clip10.mp4", "b/2.mkv", "clip2.mp4", "Clip1.MP4", "a10/x.mov", "a9/y.webm", "clip02.avi"]
    )
    assert below(tmp_path, found(tmp_path)) == [
        "Clip1.MP4",
        "clip02.avi",
        "clip2.mp4",
        "clip10.mp4",
        "a9/y.webm",
        "a10/x.mov",
        "b/2.mkv",
    ]


def test_works_are_captions_of_whole_clips(tmp_path: Path) -> None:
    grow(tmp_path, ["a.mp4"])
    (work,) = found(tmp_path)
    assert work.clip.id == clip_id(tmp_path / "a.mp4")
    assert (work.segment, work.questions, work.fault) == (Segment(), (None,), None)


def test_hidden_and_other_files_are_passed_over(tmp_path: Path) -> None:
    grow(tmp_path, ["a.mp4", "._a.mp4", ".mp4", "a.txt", "mp4", "b.mp4.part", ".cache/c.mp4", "x/.y/z/d.mp4"])
    os.mkfifo(tmp_path / "pipe.mp4")
    assert below(tmp_path, found(tmp_path)) == ["a.mp4"]


def test_a_hidden_folder_that_is_named_is_walked(tmp_path: Path) -> None:
    grow(tmp_path, [".cache/c.mp4"])
    assert below(tmp_path, found(tmp_path / ".cache")) == [".cache/c.mp4"]


def test_not_recursive(tmp_path: Path) -> None:
    grow(tmp_path, ["a.mp4", "b/c.mp4", "looks-like-one.mp4/d.mp4"])
    assert below(tmp_path, found(tmp_path, recursive=False)) == ["a.mp4"]
    assert below(tmp_path, found(tmp_path)) == ["a.mp4", "b/c.mp4", "looks-like-one.mp4/d.mp4"]


def test_a_named_file_is_taken_whatever_its_suffix(tmp_path: Path) -> None:
    grow(tmp_path, ["a.dat", ".hidden", "c"])
    assert below(tmp_path, found(*(tmp_path / name for name in ("c", ".hidden", "a.dat")))) == [
        "c",
        ".hidden",
        "a.dat",
    ]


def test_odd_names_survive_and_have_ids_of_their_own(tmp_path: Path) -> None:
    names = [
        "a b'\".mp4",
        "new\nline.mp4",
        os.fsdecode(b"\xff\xfe.mp4"),
        "世界.mp4",
        "-rf.mp4",
        "[1].mp4",
        "a*.mp4",
    ]
    grow(tmp_path, names)
    works = found(tmp_path)
    assert sorted(below(tmp_path, works)) == sorted(names)
    assert len({work.clip.id for work in works}) == len(names)
    for name in names:
        assert below(tmp_path, found(tmp_path / name)) == [name]


def test_relative_paths_stay_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    grow(tmp_path, ["a.mp4", "b/c.mp4"])
    monkeypatch.chdir(tmp_path)
    assert [str(work.clip.path) for work in found(Path())] == ["a.mp4", "b/c.mp4"]


def test_what_is_named_and_not_there_is_told_before_anything_is_found(tmp_path: Path) -> None:
    grow(tmp_path, ["a.mp4"])
    for name, message in {
        str(tmp_path / "none.mp4"): "there is no file",
        str(tmp_path / "a.mp4" / "b.mp4"): "there is no file",
        str(tmp_path / "none.csv"): "there is no file",
        str(tmp_path / "none*.mp4"): "matches none",
        "": "empty",
        "x" * 5000: "cannot read",
        "a\0b": "cannot read",
        os.devnull: "not a regular file",
    }.items():
        with pytest.raises(UsageError, match=message) as caught:
            find([str(tmp_path), name], warn=print)
        assert caught.value.hint


def test_nothing_named() -> None:
    with pytest.raises(UsageError, match="no clip is named"):
        find([], warn=print)


def test_nothing_to_do_says_what_was_looked_for(tmp_path: Path) -> None:
    grow(tmp_path, ["readme.txt", "sub/a.mp4"])
    with pytest.raises(UsageError, match="nothing to do") as caught:
        find([str(tmp_path)], warn=print, recursive=False)
    assert str(tmp_path) in caught.value.message
    assert ".mp4" in caught.value.hint and ".mkv" in caught.value.hint
    assert "not looked into" in caught.value.hint


def test_the_first_clip_does_not_wait_for_the_rest(tmp_path: Path) -> None:
    grow(tmp_path, ["a/1.mp4", "b/1.mp4"])
    works = find([str(tmp_path)], warn=print)
    assert below(tmp_path, [next(works)]) == ["a/1.mp4"]
    grow(tmp_path, ["b/2.mp4"])
    assert below(tmp_path, works) == ["b/1.mp4", "b/2.mp4"]


def test_a_folder_that_cannot_be_listed_is_warned_about(
    tmp_path: Path, warnings: list[str], unreadable: None
) -> None:
    grow(tmp_path, ["a.mp4", f"{UNREADABLE}/b.mp4", "m/c.mp4"])
    assert below(tmp_path, found(tmp_path, warnings=warnings)) == ["a.mp4", "m/c.mp4"]
    assert len(warnings) == 1 and UNREADABLE in warnings[0] and "Permission denied" in warnings[0]
    # Named by itself, its clip is there nonetheless.
    again = found(tmp_path, tmp_path / UNREADABLE / "b.mp4")
    assert below(tmp_path, again) == ["a.mp4", "m/c.mp4", f"{UNREADABLE}/b.mp4"]


def test_a_named_folder_that_cannot_be_listed_is_an_error(tmp_path: Path, unreadable: None) -> None:
    grow(tmp_path, [f"{UNREADABLE}/b.mp4"])
    with pytest.raises(UsageError, match="Permission denied"):
        find([str(tmp_path / UNREADABLE)], warn=print)


def test_links_that_lead_upwards_or_to_each_other(tmp_path: Path, warnings: list[str]) -> None:
    grow(tmp_path, ["a/1.mp4", "b/2.mp4"])
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "a" / "self").symlink_to(tmp_path / "a")
    (tmp_path / "a" / "b").symlink_to(tmp_path / "b")
    (tmp_path / "b" / "a").symlink_to(tmp_path / "a")
    (tmp_path / "b" / "nowhere").symlink_to("nowhere")
    assert below(tmp_path, found(tmp_path, warnings=warnings)) == ["a/1.mp4", "b/2.mp4"]
    assert warnings == []


def test_linked_folders_are_walked_after_the_others(tmp_path: Path) -> None:
    grow(tmp_path, ["elsewhere/1.mp4", "in/a/2.mp4", "in/z/3.mp4"])
    (tmp_path / "in" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in" / "a" / "early").symlink_to(tmp_path / "in" / "z")
    assert below(tmp_path, found(tmp_path / "in")) == ["in/a/2.mp4", "in/z/3.mp4", "in/link/1.mp4"]


def test_linked_files_are_clips_once(tmp_path: Path, warnings: list[str]) -> None:
    grow(tmp_path, ["in/b.mp4", "blobs/1f", "blobs/2e"])
    for link, target in {
        "in/a.mp4": "in/b.mp4",  # beside its target
        "in/c.mp4": "blobs/1f",
        "in/d.mp4": "blobs/2e",
        "in/e.mp4": "blobs/1f",  # a second name of c.mp4
    }.items():
        (tmp_path / link).symlink_to(tmp_path / target)
    assert below(tmp_path, found(tmp_path / "in", warnings=warnings)) == ["in/b.mp4", "in/c.mp4", "in/d.mp4"]
    assert len(warnings) == 1 and "2 names" in warnings[0] and "a.mp4" in warnings[0]


def test_a_link_that_leads_nowhere_is_a_fault(tmp_path: Path) -> None:
    grow(tmp_path, ["b.mp4"])
    (tmp_path / "a.mp4").symlink_to("gone")
    first, second = found(tmp_path)
    assert first.clip.path == tmp_path / "a.mp4"
    assert isinstance(first.fault, UsageError) and "a.mp4" in first.fault.message
    assert second.fault is None


def test_a_file_met_twice_is_taken_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, warnings: list[str]
) -> None:
    grow(tmp_path, ["a.mp4", "b.mp4", "sub/c.mp4"])
    monkeypatch.chdir(tmp_path)
    works = found(
        Path("b.mp4"),
        tmp_path,
        Path(),
        Path("sub"),
        Path("sub/../a.mp4"),
        tmp_path / "b.mp4",
        warnings=warnings,
    )
    assert [str(work.clip.path) for work in works] == [
        "b.mp4",
        str(tmp_path / "a.mp4"),
        str(tmp_path / "sub/c.mp4"),
    ]
    assert len(warnings) == 1 and "3 names" in warnings[0]


def test_two_names_of_one_inode_are_two_clips(tmp_path: Path) -> None:
    """Some network file systems give all files one inode number: it must never cost a clip."""
    grow(tmp_path, ["a.mp4"])
    (tmp_path / "b.mp4").hardlink_to(tmp_path / "a.mp4")
    assert below(tmp_path, found(tmp_path)) == ["a.mp4", "b.mp4"]
