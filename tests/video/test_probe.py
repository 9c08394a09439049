"""What is refused before a decoder sees it, and by which name a decoder sees the rest."""

import os
from pathlib import Path

import pytest

from pllava_cli.errors import ClipError, ExitStatus, PllavaError, UsageError
from pllava_cli.video.probe import check_file, is_mp4, plain_name, shown_name


def refusal(path: Path | str) -> PllavaError:
    with pytest.raises(PllavaError) as caught:
        check_file(path)
    assert "\n" not in caught.value.message + caught.value.hint
    assert caught.value.hint
    return caught.value


def test_missing_files_and_directories_are_usage_errors(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"\0")
    for path in (tmp_path / "missing.mp4", tmp_path, tmp_path / "file" / "below", ""):
        error = refusal(path)
        assert isinstance(error, UsageError)
        assert error.status == ExitStatus.USAGE


@pytest.mark.parametrize("path", ["a\0b.mp4", "x" * 5000])
def test_impossible_names_are_usage_errors(path: str) -> None:
    assert isinstance(refusal(path), UsageError)


def test_symbolic_links_are_followed_and_loops_refused(tmp_path: Path) -> None:
    (tmp_path / "clip").write_bytes(b"\0\0\0\x20ftypisom")
    (tmp_path / "link").symlink_to(tmp_path / "clip")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert check_file(tmp_path / "link") == tmp_path / "link"
    assert isinstance(refusal(tmp_path / "loop"), UsageError)


def test_pipes_and_devices_are_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    for path, kind in ((tmp_path / "pipe.mp4", "pipe"), ("/dev/zero", "device")):
        error = refusal(path)
        assert isinstance(error, ClipError)
        assert kind in error.message


@pytest.mark.parametrize(
    "head",
    [
        b"#EXTM3U\n#EXTINF:5,\nother.ts\n",
        b"ffconcat version 1.0\nfile /etc/passwd\n",
        b"\xef\xbb\xbf  #EXTM3U\n\xff\xfe\n",
        b"<?xml version='1.0'?><MPD></MPD>",
        b"<?xml version='1.0'?><MPD>\0\1\2</MPD>",
        b"v=0\no=- 0 0 IN IP4 127.0.0.1\n",
        b"hello",
    ],
)
def test_text_and_playlists_are_refused(tmp_path: Path, head: bytes) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(head)
    error = refusal(path)
    assert isinstance(error, ClipError)
    assert "text or a playlist" in error.message and "--from-file" in error.hint


def test_an_empty_file_is_named_empty(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").touch()
    assert "empty" in refusal(tmp_path / "clip.mp4").message


@pytest.mark.parametrize(
    "head", [b"RIFF\x10\x20\0\0AVI LIST", b"GIF89a@\x01\xf0\0\xf7", b"YUV4MPEG2 W320 H240 F30"]
)
def test_binary_heads_pass(tmp_path: Path, head: bytes) -> None:
    (tmp_path / "clip").write_bytes(head)
    assert check_file(tmp_path / "clip") == tmp_path / "clip"
    assert not is_mp4(tmp_path / "clip")


def test_a_relative_path_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "-dash").write_bytes(b"\0\0\0\x20ftypisom")
    monkeypatch.chdir(tmp_path)
    assert check_file("-dash") == tmp_path / "-dash"
    assert is_mp4(check_file("-dash"))


def test_shown_names_are_one_printable_line() -> None:
    assert shown_name("plain ü 日本.mp4") == "plain ü 日本.mp4"
    shown = shown_name("a\nb\x1b[31m\u202egpj.\udcff")
    assert shown == r"a\nb\x1b[31m\u202egpj.\udcff"
    assert shown.isprintable()


@pytest.mark.parametrize("name", ["still_%03d.png", "line\nbreak.mp4", os.fsdecode(b"caf\xe9.mp4")])
def test_odd_names_are_reached_by_a_plain_link(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"content")
    with plain_name(path) as plain:
        assert plain.isprintable() and "%" not in plain
        assert Path(plain).suffix == path.suffix
        assert Path(plain).read_bytes() == b"content"
    assert not Path(plain).exists()


def test_a_link_keeps_no_odd_suffix(tmp_path: Path) -> None:
    path = tmp_path / "a%b.m p4\n"
    path.write_bytes(b"content")
    with plain_name(path) as plain:
        assert Path(plain).suffix == ""
