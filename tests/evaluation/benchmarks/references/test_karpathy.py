"""Karpathy's splits."""

from pathlib import Path
from typing import Any

import pytest

from pllava_cli.errors import UsageError
from pllava_cli.evaluation.benchmarks import references
from tests.evaluation.published import KARPATHY, written

GOOD = {"filename": "good.mp4", "split": "test", "sentences": [{"raw": "A dog."}]}


def test_images_with_their_sentences(tmp_path: Path) -> None:
    described, faults = references.read(written(tmp_path, KARPATHY))
    assert faults == []
    assert [(each.id, each.name, each.captions, each.split) for each in described] == [
        ("391895", "val2014/COCO_val2014_000000391895.jpg", ["A man on a moped.", "A road."], "test"),
        ("clip7.mp4", "clip7.mp4", ["A dog."], "train"),
    ]


def test_those_of_one_split(tmp_path: Path) -> None:
    file = written(tmp_path, KARPATHY)
    described, faults = references.read(file, "train")
    assert ([each.name for each in described], faults) == (["clip7.mp4"], [])
    with pytest.raises(UsageError, match="has no split 'val'") as raised:
        references.read(file, "val")
    assert raised.value.hint == "its splits are test, train"


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (7, "is 7, not an object"),
        ({}, "has no filename"),
        ({"sentences": [{"raw": "x"}]}, "has no filename"),
        (GOOD | {"filename": ["a"]}, "filename is a list"),
        (GOOD | {"filename": "../a.jpg"}, "leads out of the benchmark's folder"),
        (GOOD | {"filename": "b/../../a.jpg"}, "leads out of the benchmark's folder"),
        (GOOD | {"filename": "/etc/a.jpg"}, "not a path from the benchmark's folder"),
        (GOOD | {"filename": "a.jpg", "filepath": ["val2014"]}, "filepath is a list"),
        (GOOD | {"filename": "a.jpg", "filepath": ".."}, "filepath is '..', which names no file"),
        (GOOD | {"filename": "a.jpg", "filepath": "../val2014"}, "leads out of the benchmark's folder"),
        (GOOD, "'good.mp4' is there twice"),
        (GOOD | {"filename": "./good.mp4"}, "'good.mp4' is there twice"),
        ({"filename": "a.jpg"}, "has no sentences"),
        ({"filename": "a.jpg", "sentences": {"raw": "x"}}, "sentences is an object, not a list"),
        ({"filename": "a.jpg", "sentences": ["x"]}, "sentence 1 is 'x', not an object"),
        ({"filename": "a.jpg", "sentences": []}, "nothing is said of 'a.jpg'"),
        ({"filename": "a.jpg", "sentences": [{"tokens": ["x"]}]}, "a caption is null, not text"),
        ({"filename": "a.jpg", "cocoid": [7], "sentences": [{"raw": "x"}]}, "cocoid is a list"),
        ({"filename": "a.jpg", "cocoid": "good.mp4", "sentences": [{"raw": "x"}]}, "id of another clip"),
    ],
)
def test_an_image_that_cannot_be_used_is_named_and_the_rest_is(
    tmp_path: Path, image: Any, message: str
) -> None:
    described, faults = references.read(written(tmp_path, {"images": [GOOD, image]}))
    assert [each.name for each in described] == ["good.mp4"]
    assert faults and {fault.where for fault in faults} == {"references, images 2"}
    assert any(message in fault.message for fault in faults)


@pytest.mark.parametrize(
    "value",
    [{"images": []}, {"images": 7}, {"images": [{"id": 1, "file_name": "a.jpg"}]}, {"videos": [{"a": 1}]}],
)
def test_what_only_looks_alike_is_told_what_is_known(tmp_path: Path, value: Any) -> None:
    with pytest.raises(UsageError, match="references holds no captions in a form that is known") as raised:
        references.read(written(tmp_path, value))
    for name in ("COCO", "MSR-VTT", "VATEX", "ActivityNet Captions", "MSVD", "Karpathy"):
        assert name in (raised.value.hint or "")
