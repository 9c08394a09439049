"""Entries of benchmarks: what cannot be asked is named, in one line each."""

from pathlib import Path
from typing import Any

import pytest

from pllava_cli.evaluation.benchmarks.entry import Entry, gather
from pllava_cli.evaluation.reading import EntryError

WRONG: list[tuple[str, Any, str]] = [
    ("text", None, "has no key"),
    ("text", 5, "key is 5, not text"),
    ("text", ["a"], "key is a list, not text"),
    ("text", " \n", "key is empty"),
    ("text", "What <image> is it?", "key holds <image>"),
    ("text", "a\0b", "NUL"),
    ("text", "a\ud800", "lone surrogate"),
    ("text", "a" * 70_000, "longer than 65536 characters"),
    ("texts", "ab", "key is 'ab', not a list"),
    ("texts", ["a", None], "key, number 2, is null, not text"),
    ("texts", ["a", ""], "key, number 2, is empty"),
    ("label", "a\nb", r"'a\nb', not one line"),
    ("label", "a" * 101, "not one line of at most 100 characters"),
    ("label", True, "key is true, not text"),
    ("seconds", "5", "key is '5', not a time"),
    ("seconds", -1, "key is -1, not a time"),
    ("seconds", True, "key is true, not a time"),
    ("seconds", float("nan"), "key is nan, not a time"),
    ("seconds", float("inf"), "key is inf, not a time"),
    ("seconds", 10**400, "not a time"),
    ("seconds", 1e10, "not a time"),
    ("seconds", 1.8e308, "not a time"),
    ("file_name", 5, "key is 5, not the name"),
    ("file_name", "", "names no file"),
    ("file_name", ".", "names no file"),
    ("file_name", "a/..", "names no file"),
    ("file_name", "a\0.mp4", "NUL"),
    ("file_name", "a\ud800.mp4", "no file can have"),
    ("file_name", "d/" + "a" * 256 + ".mp4", "longer than a file's name can be"),
]


@pytest.mark.parametrize(
    ("method", "value", "words"), WRONG, ids=[f"{method}-{words[:24]}" for method, _, words in WRONG]
)
def test_what_a_key_may_not_hold(method: str, value: Any, words: str) -> None:
    with pytest.raises(EntryError) as caught:
        getattr(Entry(1, {"key": value}), method)("key")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 200


def test_what_a_key_holds() -> None:
    entry = Entry(3, {"text": "a\nb", "texts": ["a", "b"], "id": 7, "start": 0, "end": 1.5, "none": None})
    assert entry.text("text") == "a\nb"
    assert entry.texts("texts") == ("a", "b")
    assert entry.label("id") == "7"
    assert (entry.seconds("start"), entry.seconds("end")) == (0.0, 1.5)
    assert "none" not in entry and "start" in entry


@pytest.mark.parametrize(
    "name", ["a.mp4", "d/./a.mp4", "d/../a.mp4", "d//a.mp4", "..a.mp4", "a\udcff.mp4", "~/a"]
)
def test_a_path_below_a_folder(tmp_path: Path, name: str) -> None:
    path = Entry(1, {"video": name}).path_below(tmp_path, "video")
    assert path.is_relative_to(tmp_path) and ".." not in path.parts


@pytest.mark.parametrize("name", ["/etc/passwd", "//etc/passwd", "../a.mp4", "d/../../a.mp4", "./../a"])
def test_a_path_that_leaves_its_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(EntryError, match="video is '"):
        Entry(1, {"video": name}).path_below(tmp_path, "video")


def test_what_cannot_be_made_is_a_fault_with_its_place() -> None:
    values = list(enumerate([{"a": "x"}, "no", {"a": ""}, EntryError("is not JSON"), {"a": "y"}], 1))
    made, faults = gather(values, "json/t.json, entry", lambda entry: entry.text("a"))
    assert made == ["x", "y"]
    assert [(fault.where, fault.message) for fault in faults] == [
        ("json/t.json, entry 2", "is 'no', not an object"),
        ("json/t.json, entry 3", "a is empty"),
        ("json/t.json, entry 4", "is not JSON"),
    ]
