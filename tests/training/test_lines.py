"""Files of data: one stray line is a bad line, a file of another kind is one error."""

import gzip
import json
import os
import random
from pathlib import Path
from typing import Any

import pytest

from pllava_cli.errors import UsageError
from pllava_cli.jsonlines import LineError
from pllava_cli.textfile import opened
from pllava_cli.training.lines import objects

GOOD = [{"number": number, "text": "ü"} for number in range(300)]
TEXT = "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in GOOD)
NOISE = random.Random(0).randbytes(200_000)


def read(file: Path) -> list[tuple[int, Any]]:
    return [
        (number, str(value) if isinstance(value, LineError) else value) for number, value in objects(file)
    ]


def test_lines_are_numbered_and_blank_ones_passed_over(tmp_path: Path) -> None:
    file = tmp_path / "data.jsonl"
    file.write_bytes(b"\xef\xbb\xbf" + b'{"a": 1}\r\n\r\n \n[2]')
    assert read(file) == [(1, {"a": 1}), (4, [2])]


def test_a_file_longer_than_what_is_looked_at_first_is_read_to_its_end(tmp_path: Path) -> None:
    """The look ends in the midst of a line, here of a letter of two bytes."""
    file = tmp_path / "data.jsonl"
    for shift in range(2):
        file.write_text(
            json.dumps(" " * shift + "ü" * 100_000, ensure_ascii=False) + "\n[1]\n", encoding="utf-8"
        )
        assert [number for number, _ in read(file)] == [1, 2]


@pytest.mark.parametrize(
    "stray", [b"\xff\xfe\n", b'{"text": "\xe4"}\n', b'{"text": "\0"}\n', b"\0" * 600 + b"\n"]
)
def test_a_stray_line_is_a_bad_line_with_its_number(tmp_path: Path, stray: bytes) -> None:
    lines = TEXT.encode().splitlines(keepends=True)
    file = tmp_path / "data.jsonl"
    file.write_bytes(b"".join([*lines[:1], stray, *lines[1:]]))
    found = read(file)
    assert [value for number, value in found if number != 2] == GOOD
    assert found[1][0] == 2 and found[1][1].startswith(("not UTF-8: ", "not JSON: "))


def test_where_a_line_is_wrong_is_told(tmp_path: Path) -> None:
    file = tmp_path / "data.jsonl"
    file.write_bytes(b'[1]\n["\xe4"]\n[1, 2\n')
    assert read(file)[1:] == [
        (2, "not UTF-8: invalid continuation byte at byte 3"),
        (3, "not JSON: Expecting ',' delimiter at character 7"),
    ]


@pytest.mark.parametrize(
    ("content", "reason", "hint"),
    [
        (TEXT.encode("utf-16"), "the mark of UTF-16", "iconv -f UTF-16 "),
        ("\ufeff".encode("utf-16-be") + TEXT.encode("utf-16-be"), "the mark of UTF-16", "iconv -f UTF-16 "),
        (TEXT.encode("utf-32"), "the mark of UTF-32", "iconv -f UTF-32 "),
        (TEXT.encode("utf-16-le"), "NUL", "iconv -f UTF-16 "),
        (TEXT.encode("utf-16-be"), "NUL", "iconv -f UTF-16 "),
        (TEXT.encode("latin-1"), "other bytes", "UTF-8"),
        (gzip.compress(NOISE), "NUL", "text file"),
        (NOISE, "NUL", "text file"),
        (NOISE.replace(b"\0", b""), "other bytes", "UTF-8"),
        (bytes(1 << 21), "NUL", "text file"),
    ],
    ids=["utf-16", "utf-16-be", "utf-32", "bare le", "bare be", "latin-1", "gzip", "noise", "no NUL", "NULs"],
)
@pytest.mark.parametrize("suffix", [".jsonl", ".json"])
def test_what_is_no_text_is_one_error(
    tmp_path: Path, content: bytes, reason: str, hint: str, suffix: str
) -> None:
    file = tmp_path / f"data{suffix}"
    file.write_bytes(content)
    with pytest.raises(UsageError, match="is not a text file in UTF-8: ") as caught:
        list(objects(file))
    assert str(file) in caught.value.message and reason in caught.value.message
    assert hint in caught.value.hint


def test_a_list_with_a_stray_byte_is_one_error(tmp_path: Path) -> None:
    file = tmp_path / "data.json"
    file.write_bytes(b"[\n" + b'{"a": "b"},\n' * 10 + b'{"a": "\xe4"}]')
    with pytest.raises(UsageError, match=r"not a text file in UTF-8: .* at byte 130"):
        list(objects(file))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.json"
    wrong.write_text("{}")
    names = {
        tmp_path / "missing.jsonl": "there is no file",
        wrong / "below.jsonl": "there is no file",
        tmp_path / ("long" * 100): "cannot read",
        tmp_path: "is a directory",
        wrong: "holds no list",
    }
    for file, reason in names.items():
        with pytest.raises(UsageError, match=reason):
            list(objects(file))


def test_a_pipe_is_refused_before_it_is_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "data.jsonl"
    os.mkfifo(pipe)
    with pytest.raises(UsageError, match="not a regular file"):
        opened(pipe)
    with pytest.raises(UsageError, match="not a regular file"):
        list(objects(pipe))
