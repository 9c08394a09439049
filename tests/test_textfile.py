"""Files that users name: what is no text is refused before it is waited for, in one line that says why."""

import io
import os
import stat
from pathlib import Path

import pytest

from pllava_cli.errors import UsageError
from pllava_cli.textfile import check_mark, check_regular, lines, opened

UTF16_LE, UTF16_BE = b"\xff\xfea\0\n\0", b"\xfe\xff\0a\0\n"
UTF32_LE, UTF32_BE = b"\xff\xfe\0\0a\0\0\0", b"\0\0\xfe\xff\0\0\0a"


def places(folder: Path) -> dict[Path, str]:
    """What can hold no text, and what is said of it."""
    os.mkfifo(folder / "pipe")
    (folder / "loop").symlink_to("loop")
    return {
        folder: "is a directory",
        folder / "pipe": "is not a regular file",
        Path(os.devnull): "is not a regular file",
        folder / "loop": "cannot read .*: too many levels",
        folder / ("n" * 300): "cannot read .*: file name too long",
        Path("a\0b"): "cannot read",
    }


def test_what_holds_no_text_is_refused(tmp_path: Path) -> None:
    for path, words in places(tmp_path).items():
        for refuse in (opened, check_regular):
            with pytest.raises(UsageError, match=words) as caught:
                refuse(path, "name another")
            assert caught.value.hint == "name another" or words.startswith("cannot read")


def test_what_is_not_there_may_only_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    assert check_regular(tmp_path / "file") and not check_regular(tmp_path / "none")
    with pytest.raises(UsageError, match=r"cannot read .*: not a directory"):
        check_regular(tmp_path / "file" / "below")
    for path in (tmp_path / "none", tmp_path / "file" / "below"):
        with pytest.raises(UsageError, match="there is no file shown") as caught:
            opened(path, name="shown")
        assert str(path) not in caught.value.message


def test_kinds_that_are_taken(tmp_path: Path) -> None:
    with opened(Path(os.devnull), takes=stat.S_ISCHR) as stream:
        assert stream.read() == b""
    (tmp_path / "file").write_text("text")
    with pytest.raises(UsageError, match="not a regular file"):
        opened(tmp_path / "file", takes=stat.S_ISCHR)


@pytest.mark.parametrize(
    ("content", "encoding"),
    [(UTF16_LE, "UTF-16"), (UTF16_BE, "UTF-16"), (UTF32_LE, "UTF-32"), (UTF32_BE, "UTF-32")],
)
def test_another_encoding_is_named_with_its_cure(content: bytes, encoding: str) -> None:
    for read in (check_mark, lambda content, name: list(lines(io.BytesIO(content), name))):
        with pytest.raises(UsageError, match=f"list.txt .* the mark of {encoding}") as caught:
            read(content, "list.txt")
        assert f"iconv -f {encoding} -t UTF-8" in caught.value.hint
    check_mark(b"\xef\xbb\xbftext", "list.txt")


def test_lines_come_without_their_ends() -> None:
    stream = io.BytesIO(b"\xef\xbb\xbfa\r\n\n\xff b \nc")
    assert list(lines(stream, "list.txt")) == [(1, b"a"), (2, b""), (3, b"\xff b "), (4, b"c")]


def test_a_nul_byte_is_told_with_its_line() -> None:
    with pytest.raises(UsageError, match="line 2 holds a NUL byte") as caught:
        list(lines(io.BytesIO(b"a\nb\0c\n"), "list.txt", "give -0"))
    assert caught.value.hint == "give -0"
