"""Clips: what is there, ids that stay, and windows."""

import os
from pathlib import Path

import pytest

from pllava_cli import inputs
from pllava_cli.errors import UsageError


def test_clips_keep_order_and_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("b.mp4", "a.mp4"):
        Path(name).touch()
    found = inputs.clips(["b.mp4", "a.mp4", "b.mp4"])
    assert [str(each.path) for each in found] == ["b.mp4", "a.mp4", "b.mp4"]


def test_ids_are_stable_distinct_and_safe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert inputs.clip_id(Path("x/clip.mp4")) == inputs.clip_id(tmp_path / "x" / "clip.mp4")
    assert inputs.clip_id(Path("x/./clip.mp4")) == inputs.clip_id(Path("x/clip.mp4"))
    assert inputs.clip_id(Path("x/clip.mp4")) != inputs.clip_id(Path("y/clip.mp4"))
    assert inputs.clip_id(Path("clip.mp4")) != inputs.clip_id(Path("clip.avi"))
    names = ["a b\n'\".mp4", "世界.mp4", os.fsdecode(b"\xff.mp4"), ".mp4", "..", "x" * 250, "-rf", "%03d.mp4"]
    ids = [inputs.clip_id(Path(name)) for name in names]
    assert len(set(ids)) == len(names)
    for each in ids:
        assert each.isascii() and len(each) < 64
        assert all(letter.isalnum() or letter in "_.-" for letter in each) and each[0].isalnum()


def test_id_has_the_name_in_it() -> None:
    assert inputs.clip_id(Path("/videos/My cat (2).mp4")).startswith("My-cat-2-")


def test_paths_that_are_no_clips(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "fifo")
    bad = {
        "": "empty",
        str(tmp_path): "is a directory",
        str(tmp_path / "none.mp4"): "there is no file",
        str(tmp_path / "fifo"): "not a regular file",
        str(tmp_path / "loop"): "cannot read",
        "/dev/zero": "not a regular file",
        "x" * 5000: "cannot read",
        "a\0b": "cannot read",
    }
    for path, message in bad.items():
        with pytest.raises(UsageError, match=message) as caught:
            inputs.clips([path])
        assert caught.value.hint


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("https://youtu.be/x?v=1", "pllava fetches no videos: download it first"),
        ("clips/*.mp4", "pllava batch"),
        ("clip[1].mp4", "pllava batch"),
        ("-", "a clip cannot come from stdin: save it to a file"),
        ("clip.mp4", "check the name"),
        ("my clips", "name the video files in it, or: pllava batch 'my clips' -o FILE.jsonl"),
    ],
)
def test_what_was_probably_meant_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, hint: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my clips").mkdir()
    with pytest.raises(UsageError) as caught:
        inputs.clips([path])
    assert hint in caught.value.hint and path in caught.value.message
    if path != "my clips":
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).touch()
        assert inputs.clips([path])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_file(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch(mode=0o000)
    with pytest.raises(UsageError, match="permission denied"):
        inputs.clips([str(tmp_path / "a.mp4")])


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("90", 90),
        ("1.25", 1.25),
        ("1:30", 90),
        ("01:30.5", 90.5),
        ("1:02:03", 3723),
        ("100:00:00", 360000),
        ("90s", 90),
        ("1.25 s", 1.25),
        ("1m", 60),
        (".5", 0.5),
    ],
)
def test_instants(text: str, seconds: float) -> None:
    assert inputs.window(text, None) == (seconds, None)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-1",
        "1:60",
        "60:00:61",
        "1:99:00",
        "1:2:3:4",
        "x",
        "nan",
        "inf",
        "1e3",
        "1,5",
        " 1",
        "1:-1",
        "1::2",
        "٣",
        ":5",
        "1:30s",
        "1S",
        "s",
        "1ss",
    ],
)
def test_what_is_no_instant(text: str) -> None:
    with pytest.raises(UsageError, match="--start: expected seconds"):
        inputs.window(text, None)


def test_window_must_have_a_length() -> None:
    assert inputs.window(None, None) == (None, None)
    assert inputs.window("1", "1:00") == (1, 60)
    for start, end in (("5", "5"), ("6", "5"), (None, "0")):
        with pytest.raises(UsageError, match="is not after"):
            inputs.window(start, end)
