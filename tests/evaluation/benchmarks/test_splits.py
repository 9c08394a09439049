"""Splits that a file tells apart, in every form of such files."""

import json
from pathlib import Path
from typing import Any

import pytest

from pllava_cli.errors import ExitStatus, UsageError
from pllava_cli.evaluation.benchmarks import captions, references, splits
from pllava_cli.evaluation.items import Benchmark
from tests.evaluation.published import ACTIVITYNET, MSVD, VATEX
from tests.evaluation.published import written as published

MSRVTT = {
    "videos": [
        {"video_id": "video0", "split": "train"},
        {"video_id": "video1", "split": "validate"},
        {"video_id": "video2", "split": "test"},
        {"video_id": "video3", "split": "test"},
    ],
    "sentences": [{"video_id": f"video{at % 4}", "caption": f"sentence {at}"} for at in range(8)],
}
COCO = {
    "images": [{"id": at, "file_name": f"{at}.mp4", "split": ["train", "test"][at % 2]} for at in range(4)],
    "annotations": [{"image_id": at, "caption": f"caption {at}"} for at in range(4)],
}
LISTED = [
    {"video": "a.mp4", "caption": "one", "split": "train"},
    {"video": "b.mp4", "caption": "two", "split": "test"},
    {"video": "b.mp4", "captions": ["three", "four"], "split": "test"},
    {"video": "a.mp4", "caption": "five", "split": "test"},
    {"video": "c.mp4", "caption": "six", "split": 2},
]


def written(tmp_path: Path, value: Any) -> Path:
    file = tmp_path / "captions.json"
    file.write_text(json.dumps(value))
    return file


def said(file: Path, split: str | None) -> dict[str, list[str]]:
    described, faults = references.read(file, split)
    assert faults == []
    return {each.name: each.captions for each in described}


@pytest.mark.parametrize(
    ("value", "split", "expected"),
    [
        (
            MSRVTT,
            "test",
            {"video2": ["sentence 2", "sentence 6"], "video3": ["sentence 3", "sentence 7"]},
        ),
        (MSRVTT, "validate", {"video1": ["sentence 1", "sentence 5"]}),
        (COCO, "test", {"1.mp4": ["caption 1"], "3.mp4": ["caption 3"]}),
        (LISTED, "test", {"b.mp4": ["two", "three", "four"], "a.mp4": ["five"]}),
        (LISTED, "2", {"c.mp4": ["six"]}),
        (LISTED[0], "train", {"a.mp4": ["one"]}),
    ],
)
def test_of_one_split_only_what_is_said_of_its_clips(
    tmp_path: Path, value: Any, split: str, expected: dict[str, list[str]]
) -> None:
    assert said(written(tmp_path, value), split) == expected


def test_unasked_all_splits_count_and_each_clip_tells_its_own(tmp_path: Path) -> None:
    described, faults = references.read(written(tmp_path, MSRVTT))
    assert [(each.id, each.split) for each in described] == [
        ("video0", "train"),
        ("video1", "validate"),
        ("video2", "test"),
        ("video3", "test"),
    ]
    assert faults == []
    assert set(said(written(tmp_path, LISTED), None)) == {"a.mp4", "b.mp4", "c.mp4"}


@pytest.mark.parametrize(
    ("value", "split", "message", "hint"),
    [
        (MSRVTT, "tset", "has no split 'tset'", "did you mean test?"),
        (MSRVTT, "Test", "has no split 'Test'", "did you mean test?"),
        (MSRVTT, "val", "has no split 'val'", "its splits are train, validate, test"),
        (MSRVTT, "", "has no split ''", "its splits are train, validate, test"),
        (MSRVTT, "x" * 999, "has no split 'xxx", "its splits are train, validate, test"),
        (MSRVTT, "a\nb", r"has no split 'a\nb'", "its splits are"),
        ([{"video": "a.mp4", "caption": "x"}], "test", "names no splits", "leave --split out"),
        (
            [{"video": "a.mp4", "caption": "x", "split": f"fold {at}"} for at in range(99)],
            "test",
            "has no split 'test'",
            "among its splits are fold 0, fold 1, fold 2, fold 3, fold 4, fold 5, fold 6, fold 7",
        ),
    ],
)
def test_a_split_that_there_is_not(tmp_path: Path, value: Any, split: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError) as raised:
        references.read(written(tmp_path, value), split)
    assert message in raised.value.message and "captions.json" in raised.value.message
    assert hint in (raised.value.hint or "") and raised.value.status == ExitStatus.USAGE
    assert "\n" not in raised.value.message and len(raised.value.message) < 300


@pytest.mark.parametrize(
    "value",
    [
        {"videos": [{"video_id": "video0"}], "sentences": [{"video_id": "video0", "caption": "x"}]},
        {"images": [{"filename": "a.jpg", "sentences": [{"raw": "x"}]}]},
        VATEX,
        ACTIVITYNET,
        MSVD,
    ],
    ids=["MSR-VTT", "Karpathy", "VATEX", "ActivityNet", "MSVD"],
)
def test_a_file_in_a_published_form_that_names_no_splits(tmp_path: Path, value: Any) -> None:
    with pytest.raises(UsageError, match="references names no splits") as raised:
        references.read(published(tmp_path, value), "test")
    assert raised.value.hint == "leave --split out" and raised.value.status == ExitStatus.USAGE


@pytest.mark.parametrize("odd", [None, "", " ", True, 0.5, ["test"], {"test": 1}, "a\nb", "x" * 101])
def test_what_can_be_no_splits_name_counts_as_none(tmp_path: Path, odd: Any) -> None:
    file = written(tmp_path, [*LISTED, {"video": "odd.mp4", "caption": "odd", "split": odd}])
    assert said(file, None)["odd.mp4"] == ["odd"]
    described, faults = references.read(file, "test")
    assert [each.name for each in described] == ["b.mp4", "a.mp4"]
    assert [(each.where, each.message) for each in faults] == [("captions.json, item 6", "names no split")]


def test_a_folder_with_clips_of_another_split(tmp_path: Path) -> None:
    (tmp_path / "video0.mp4").touch()
    file = written(tmp_path, MSRVTT)
    with pytest.raises(
        UsageError, match=r"none of the clips that .* names of the split test is below"
    ) as raised:
        captions.read(file, tmp_path, "test")
    assert "or another --split" in (raised.value.hint or "")
    assert [item.id for item in captions.read(file, tmp_path, "train").items] == ["video0"]


class TestAdvice:
    @pytest.fixture
    def benchmark(self, tmp_path: Path) -> Benchmark:
        return captions.read(written(tmp_path, MSRVTT), None)

    def test_where_one_split_lacks_nothing_it_is_named(self, benchmark: Benchmark) -> None:
        found = splits.advice(benchmark, {"video0", "video1"})
        assert found == "all others are of the split test: --split test asks for that alone"

    @pytest.mark.parametrize("lacking", [{"video0"}, {"video2"}, {f"video{at}" for at in range(4)}])
    def test_else_all_are(self, benchmark: Benchmark, lacking: set[str]) -> None:
        found = splits.advice(benchmark, lacking)
        assert found == "--split NAME asks for those of one split alone: train, validate, test"

    def test_where_it_is_of_no_use_there_is_none(self, benchmark: Benchmark, tmp_path: Path) -> None:
        assert splits.advice(benchmark, set()) is None
        one = captions.read(written(tmp_path, MSRVTT), None, "test")
        assert splits.advice(one, {"video2"}) is None
        none = captions.read(written(tmp_path, [{"video": "a.mp4", "caption": "x"}]), None)
        assert splits.advice(none, {"a.mp4"}) is None

    def test_a_name_is_quoted_for_the_shell(self, tmp_path: Path) -> None:
        entries = [{"video": f"{name}.mp4", "caption": "x", "split": f"{name} set"} for name in "ab"]
        found = splits.advice(captions.read(written(tmp_path, entries), None), {"a.mp4"})
        assert found and "--split 'b set' asks" in found
