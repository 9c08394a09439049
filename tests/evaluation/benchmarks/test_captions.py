"""Clips that people have described, as a benchmark."""

from pathlib import Path

import pytest

from pllava_cli import prompts
from pllava_cli.errors import UsageError
from pllava_cli.evaluation.benchmarks import captions
from pllava_cli.evaluation.items import Benchmark
from tests.evaluation.threeclips import THREE, file_of, folder_of


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return folder_of(tmp_path)


@pytest.fixture
def three(tmp_path: Path, data: Path) -> Benchmark:
    return captions.read(file_of(tmp_path, THREE), data)


def test_items_ask_for_a_caption_as_pllava_does(three: Benchmark, data: Path) -> None:
    assert three.name == "captions"
    assert [item.id for item in three.items] == ["ball.mp4", "dogs.mp4", "kitchen.mp4"]
    assert [item.clip for item in three.items] == [data / "clips" / str(each["video"]) for each in THREE]
    assert [item.references for item in three.items] == [tuple(each["captions"]) for each in THREE]
    assert {item.prompt for item in three.items} == {prompts.CAPTION}
    assert three.manner.system == prompts.SYSTEM
    assert three.manner.max_new_tokens == 256
    assert not three.manner.is_inline
    assert three.faults == []


def test_a_clip_that_is_not_there_stays(tmp_path: Path, data: Path) -> None:
    file = file_of(tmp_path, [*THREE, {"video": "gone.mp4", "caption": "x"}])
    benchmark = captions.read(file, data)
    assert benchmark.items[-1].clip == data / "gone.mp4"
    assert benchmark.faults == []


def test_a_clip_that_may_be_either_of_two_is_a_fault(tmp_path: Path, data: Path) -> None:
    (data / "again").mkdir()
    (data / "again" / "dogs.mp4").touch()
    benchmark = captions.read(file_of(tmp_path, THREE), data)
    assert [item.id for item in benchmark.items] == ["ball.mp4", "kitchen.mp4"]
    assert [fault.where for fault in benchmark.faults] == ["references.json, item 2"]
    with pytest.raises(UsageError, match="2 files bear its name"):
        captions.read(file_of(tmp_path, THREE[1:2]), data)


def test_without_a_folder_the_clips_are_taken_as_named(tmp_path: Path) -> None:
    benchmark = captions.read(file_of(tmp_path, THREE), None)
    assert benchmark.items[0].clip == Path("ball.mp4")


def test_a_folder_that_holds_none_of_the_clips(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(UsageError) as raised:
            captions.read(file_of(tmp_path, THREE), folder)
        assert str(folder) in raised.value.message
