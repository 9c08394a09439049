"""What a clip is known by: its bytes and nothing else."""

import os
from pathlib import Path

import pytest

from pllava_cli.visualstore import content as module
from pllava_cli.visualstore.content import Content, content_of, is_unchanged


def digest(clip: Path) -> str:
    content = content_of(clip)
    assert content is not None
    return content.digest


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.jpg").write_bytes(bytes([number]) * 10)
    return folder


class TestFile:
    def test_bytes_count(self, tmp_path: Path) -> None:
        one, copy, other = tmp_path / "one.mp4", tmp_path / "copy.avi", tmp_path / "other.mp4"
        one.write_bytes(b"a" * 100_000)
        copy.write_bytes(b"a" * 100_000)
        other.write_bytes(b"a" * 99_999 + b"b")
        os.utime(copy, (1, 1))
        assert digest(one) == digest(copy) != digest(other)

    def test_link_is_what_it_leads_to(self, tmp_path: Path) -> None:
        (tmp_path / "one.mp4").write_bytes(b"a")
        (tmp_path / "link.mp4").symlink_to("one.mp4")
        assert digest(tmp_path / "link.mp4") == digest(tmp_path / "one.mp4")

    def test_change_is_noticed(self, tmp_path: Path) -> None:
        clip = tmp_path / "one.mp4"
        clip.write_bytes(b"a" * 10)
        content = content_of(clip)
        assert content is not None and is_unchanged(clip, content)
        os.utime(clip, (1, 1))
        assert not is_unchanged(clip, content)
        clip.unlink()
        assert not is_unchanged(clip, content)


class TestFolder:
    def test_names_and_bytes_count(self, frames: Path, tmp_path: Path) -> None:
        known = digest(frames)
        moved = frames.rename(tmp_path / "moved")
        assert digest(moved) == known
        (moved / "1.jpg").rename(moved / "4.jpg")
        renamed = digest(moved)
        (moved / "4.jpg").rename(moved / "1.jpg")
        assert digest(moved) == known != renamed
        (moved / "1.jpg").write_bytes(b"other bytes")
        assert digest(moved) != known
        (moved / "1.jpg").unlink()
        assert digest(moved) not in (known, renamed)

    def test_bytes_may_not_pass_for_names(self, tmp_path: Path) -> None:
        for folder, files in (("a", {"1": b"x2", "2": b""}), ("b", {"1": b"x", "2": b"2"})):
            (tmp_path / folder).mkdir()
            for name, content in files.items():
                (tmp_path / folder / name).write_bytes(content)
        assert digest(tmp_path / "a") != digest(tmp_path / "b")

    def test_only_files_are_opened(self, frames: Path) -> None:
        known = digest(frames)
        os.mkfifo(frames / "pipe.jpg")
        (frames / "below").mkdir()
        assert digest(frames) == known

    def test_change_is_noticed(self, frames: Path) -> None:
        content = content_of(frames)
        assert content is not None and is_unchanged(frames, content)
        (frames / "4.jpg").touch()
        assert not is_unchanged(frames, content)


def test_what_cannot_be_read_has_none(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "loop.mp4").symlink_to("loop.mp4")
    for name in ("gone.mp4", "pipe.mp4", "loop.mp4", "nul\0.mp4", "x" * 5000):
        assert content_of(tmp_path / name) is None
        assert not is_unchanged(tmp_path / name.replace("\0", ""), Content("", ()))


def test_what_is_too_large_is_not_read(frames: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGEST_BYTES", 25)
    for size in (25, 26):
        (tmp_path / f"{size}.mp4").write_bytes(bytes(size))
    assert content_of(tmp_path / "25.mp4") is not None
    assert content_of(tmp_path / "26.mp4") is None
    assert content_of(frames) is None  # three of 10 bytes
