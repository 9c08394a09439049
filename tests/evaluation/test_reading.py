"""Files of JSON: what cannot be read is refused, and any value shown, in one line each."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from pllava_cli.errors import UsageError
from pllava_cli.evaluation import reading
from pllava_cli.evaluation.reading import EntryError, load_json, load_lines, load_list, shown

DEEP = "[" * 100_000


def test_json_is_read_with_a_mark_of_utf8(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b'\xef\xbb\xbf[{"a": "\xc3\xa9"}]')
    assert load_json(path) == [{"a": "é"}]
    assert list(load_list(path)) == [(1, {"a": "é"})]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is not JSON"),
        (b'[{"a": 1}', "is not JSON"),
        (b"[NaN]", "NaN is no number"),
        (b'["a\xff"]', "is not UTF-8 at byte 4"),
        ('[{"a": 1}]'.encode("utf-16"), "is not UTF-8"),
        (b"\x00\x01\x02", "is not JSON"),
        (DEEP.encode(), "is not JSON"),
        (b"[" + b"9" * 5000 + b"]", "is not JSON"),
    ],
    ids=["empty", "cut off", "NaN", "Latin-1", "UTF-16", "binary", "deep", "huge number"],
)
def test_what_is_no_json_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "a\nb.json"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=words) as caught:
        load_json(path)
    assert "a\\nb.json" in caught.value.message and "\n" not in caught.value.message
    assert caught.value.hint


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, words in (
        (tmp_path / "missing.json", "there is no file"),
        (tmp_path, "is a directory"),
        (tmp_path / "pipe", "is not a regular file"),
        (Path("/dev/zero"), "is not a regular file"),
        (tmp_path / ("n" * 300), "cannot read"),
        (Path("a\0b"), "cannot read"),
    ):
        with pytest.raises(UsageError, match=words):
            load_json(path)
        with pytest.raises(UsageError, match=words):
            list(load_lines(path))


def test_a_file_that_is_too_large_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "large.json"
    with path.open("wb") as file:
        file.truncate(reading.MAX_BYTES + 1)
    monkeypatch.setattr("json.loads", lambda *_, **__: pytest.fail("it was read"))
    with pytest.raises(UsageError, match="larger than 512 MB"):
        load_json(path)


def test_a_list_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"a": []}')
    with pytest.raises(UsageError, match="holds an object"):
        load_list(path)


def test_lines_that_are_no_json_do_not_end_the_reading(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"a": 1}\r\n\n{"a": \n"\xff"\nNaN\n' + DEEP.encode() + b"\n[2]")
    read = dict(load_lines(path))
    assert read.pop(1) == {"a": 1} and read.pop(7) == [2]
    assert read.keys() == {3, 4, 5, 6}
    assert all(isinstance(value, EntryError) and "\n" not in str(value) for value in read.values())


def test_lines_of_another_encoding_are_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes('{"a": 1}\n'.encode("utf-16"))
    with pytest.raises(UsageError, match="UTF-16"):
        list(load_lines(path))


@pytest.mark.parametrize(
    "value",
    ["a\nb\x1b[31m" * 100, "\ud800" * 50, ["a"] * 1000, {"a": 1}, None, True, 1.5, 10**300, "'\"" * 40],
)
def test_values_are_shown_on_one_short_line(value: Any) -> None:
    text = shown(value)
    assert text.isprintable() and len(text) <= 70
    assert text.encode()


def test_values_are_shown_as_they_are() -> None:
    assert [shown(json.loads(text)) for text in ("null", "true", "5", '"a b"', "[]", "{}")] == [
        "null",
        "true",
        "5",
        "'a b'",
        "a list",
        "an object",
    ]
