"""VATEX's annotations."""

import json
from pathlib import Path
from typing import Any

import pytest

from pllava_cli.errors import ExitStatus, UsageError
from pllava_cli.evaluation.benchmarks import references
from tests.evaluation.published import VATEX, VATEX_PRIVATE, written

GOOD = {"videoID": "-7FhGcSSw1g_000130_000140", "enCap": ["A dog jumps."]}


def test_the_english_captions_of_each_clip(tmp_path: Path) -> None:
    described, faults = references.read(written(tmp_path, VATEX))
    assert faults == []
    assert [(each.id, each.name, each.captions, each.part) for each in described] == [
        (each["videoID"], each["videoID"], each["enCap"], None) for each in VATEX
    ]


def test_an_object_a_line_and_one_alone_are_of_the_same_form(tmp_path: Path) -> None:
    for values in (VATEX, VATEX[:1]):
        described, faults = references.read(written(tmp_path, "\n".join(map(json.dumps, values))))
        assert ([each.name for each in described], faults) == ([each["videoID"] for each in values], [])


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (7, "is 7, not an object"),
        ({}, "has no videoID"),
        ({"video": "a.mp4", "captions": ["x"]}, "has no videoID"),
        (GOOD | {"videoID": None}, "has no videoID"),
        (GOOD | {"videoID": ["a"]}, "videoID is a list"),
        (GOOD | {"videoID": " "}, "videoID is empty"),
        (GOOD | {"videoID": "../a"}, "videoID is '../a', a path instead of a name"),
        (GOOD | {"videoID": "/etc/a"}, "a path instead of a name"),
        (GOOD | {"videoID": ".."}, "names no file"),
        (GOOD | {"videoID": "a\0b"}, "NUL"),
        (GOOD | {"videoID": "a\nb/c"}, r"'a\nb/c', a path"),
        (GOOD, "is there twice"),
        ({"videoID": "other"}, "has no enCap"),
        ({"videoID": "other", "enCap": "A dog."}, "enCap is 'A dog.', not a list"),
        ({"videoID": "other", "enCap": []}, "nothing is said of 'other'"),
        ({"videoID": "other", "enCap": [None]}, "a caption is null, not text"),
        ({"videoID": "other", "chCap": ["一只狗。"]}, "has no enCap"),
    ],
)
def test_an_entry_that_cannot_be_used_is_named_and_the_rest_is(
    tmp_path: Path, entry: Any, message: str
) -> None:
    described, faults = references.read(written(tmp_path, [GOOD, entry]))
    assert [each.captions for each in described] == [["A dog jumps."]]
    assert faults and {fault.where for fault in faults} == {"references, item 2"}
    assert message in faults[0].message and "\n" not in faults[0].message


def test_the_private_test_set_holds_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="references, item 1: has no enCap") as raised:
        references.read(written(tmp_path, VATEX_PRIVATE))
    assert raised.value.status == ExitStatus.USAGE
    assert raised.value.hint == "each entry needs videoID and enCap, a list of captions"
