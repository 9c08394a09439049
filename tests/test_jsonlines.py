"""Lines of JSON: where each stands, what is too long, torn or no JSON."""

import io
import json

import pytest

from pllava_cli.jsonlines import Line, LineError, is_torn, lines, value, why_not_json

HEAD = b'{"schema":"a/1",'


def test_lines_know_their_number_and_place() -> None:
    content = b"[1]\r\n\n  \n" + b"x" * 20 + b"\n[2]"
    found = list(lines(io.BytesIO(content), 8))
    assert found == [Line(1, 0, b"[1]\r\n"), Line(4, 9, None), Line(5, 30, b"[2]")]
    assert [line.is_ended for line in found] == [True, True, False]


@pytest.mark.parametrize(("length", "is_whole"), [(6, True), (7, True), (8, False), (9, False), (16, False)])
def test_a_line_as_long_as_may_be(length: int, is_whole: bool) -> None:
    first, second = lines(io.BytesIO(b"x" * length + b"\n[1]\n"), 8)
    assert (first.raw is not None) == is_whole
    assert (second.number, second.start, second.raw) == (2, length + 1, b"[1]\n")


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (None, "longer than 16 MiB"),
        (b"\xff\n", "not UTF-8"),
        (b"{\n", "not JSON"),
        (b"[NaN]\n", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"9" * 5000, "not JSON"),
    ],
    ids=["long", "Latin-1", "cut off", "NaN", "deep", "huge number"],
)
def test_what_has_no_value(raw: bytes | None, reason: str) -> None:
    with pytest.raises(LineError) as caught:
        value(Line(1, 0, raw))
    assert str(caught.value) == reason


def test_a_value_with_a_mark() -> None:
    assert value(Line(1, 0, b'\xef\xbb\xbf{"a": "\xc3\xa9"}\r\n')) == {"a": "é"}


@pytest.mark.parametrize(
    ("raw", "torn"),
    [
        (HEAD + b'"key":', True),
        (HEAD[:5], True),
        (b"\0" * 9, True),
        (HEAD + b"\n", False),
        (b"[1", False),
        (None, False),
    ],
)
def test_a_torn_line_begins_as_ours_do(raw: bytes | None, torn: bool) -> None:
    assert is_torn(Line(1, 0, raw), HEAD) == torn


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b'"\xe4"', "not UTF-8: invalid continuation byte at byte 2"),
        (b"[1, 2", "not JSON: Expecting ',' delimiter at character 6"),
        (b"[" * 100_000, "not JSON: "),
    ],
    ids=["Latin-1", "cut off", "deep"],
)
def test_where_a_line_is_wrong(raw: bytes, words: str) -> None:
    with pytest.raises((ValueError, RecursionError)) as caught:
        json.loads(raw.decode())
    assert isinstance(caught.value, ValueError | RecursionError)
    assert why_not_json(caught.value).startswith(words)
