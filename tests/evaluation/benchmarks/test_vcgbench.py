"""The Video-ChatGPT benchmark: reading it whatever is in its files."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pllava_cli.errors import UsageError
from pllava_cli.evaluation.benchmarks import vcgbench
from tests.evaluation import miniature

QUESTIONS = Path("Zero_Shot_QA/Benchmarking_QA")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return miniature.vcgbench(tmp_path_factory.mktemp("vcgbench"), clips=2)


def layout(folder: Path, **parts: Any) -> Path:
    """Write the files of a benchmark without videos."""
    (folder / QUESTIONS).mkdir(parents=True)
    for part, entries in parts.items():
        (folder / QUESTIONS / f"{part}_qa.json").write_text(json.dumps(entries))
    return folder


ENTRY = {"video_name": "v_1", "Q": "What?", "A": "That."}
PAIR = {"video_name": "v_1", "Q1": "What?", "Q2": "Which?", "A": "That."}


def test_what_is_read(small: Path) -> None:
    benchmark = vcgbench.read(small)
    assert benchmark.name == "vcgbench" and not benchmark.faults
    assert [item.id for item in benchmark.items] == (
        [f"generic/{number}" for number in range(1, 7)]
        + ["temporal/1", "temporal/2"]
        + ["consistency/1/1", "consistency/1/2", "consistency/2/1", "consistency/2/2"]
    )
    entries = json.loads((small / QUESTIONS / "consistency_qa.json").read_text())
    first, second = benchmark.items[-4:-2]
    assert (first.question, second.question) == (entries[0]["Q1"], entries[0]["Q2"])
    assert first.answer == second.answer == entries[0]["A"]
    for item in benchmark.items:
        assert item.clip.is_file() and item.group == item.id.partition("/")[0]
        assert item.prompt == item.question and (item.start_s, item.end_s) == (None, None)
    assert (benchmark.manner.is_inline, benchmark.manner.max_new_tokens) == (False, 100)
    assert benchmark.manner.system and not benchmark.manner.answer_start


@pytest.mark.parametrize("below", ["VCGBench", "DATAS/VCGBench"])
def test_a_folder_above_will_do(below: str, small: Path, tmp_path: Path) -> None:
    (tmp_path / below).parent.mkdir(exist_ok=True)
    (tmp_path / below).symlink_to(small)
    assert [item.clip.is_file() for item in vcgbench.read(tmp_path).items] == [True] * 12


@pytest.mark.parametrize("videos", ["Videos", "Test_Videos"])
def test_other_places_for_files_and_videos(videos: str, small: Path, tmp_path: Path) -> None:
    shutil.copytree(small / QUESTIONS, tmp_path, dirs_exist_ok=True)
    shutil.copytree(small / "Videos" / "Benchmarking", tmp_path / videos)
    for clip in (tmp_path / videos).iterdir():
        clip.rename(clip.with_suffix(".mkv"))
    benchmark = vcgbench.read(tmp_path)
    assert len(benchmark.items) == 12 and not benchmark.faults
    assert all(item.clip.is_file() for item in benchmark.items)


def test_a_file_that_is_missing_or_broken_is_a_fault(small: Path, tmp_path: Path) -> None:
    shutil.copytree(small, tmp_path / "data")
    (tmp_path / "data" / QUESTIONS / "temporal_qa.json").unlink()
    (tmp_path / "data" / QUESTIONS / "consistency_qa.json").write_bytes(b"\xff\xfe[\x00")
    benchmark = vcgbench.read(tmp_path / "data")
    assert {item.group for item in benchmark.items} == {"generic"}
    assert [fault.where for fault in benchmark.faults] == ["temporal_qa.json", "consistency_qa.json"]
    assert "temporal understanding cannot be judged" in benchmark.faults[0].message
    assert "UTF-8" in benchmark.faults[1].message


def test_clips_that_are_missing_stay_in(tmp_path: Path) -> None:
    benchmark = vcgbench.read(layout(tmp_path, generic=[ENTRY], temporal=[ENTRY], consistency=[PAIR]))
    assert benchmark.items[0].clip == tmp_path / "Videos/Benchmarking/v_1.mp4"
    assert [(fault.where, "no such folder" in fault.message) for fault in benchmark.faults] == [
        ("Videos/Benchmarking", True)
    ]


@pytest.mark.parametrize(
    ("part", "entry", "words"),
    [
        ("generic", {"video_name": "v_1", "Q": "What?"}, "no A"),
        ("generic", {"Q": "What?", "A": "That."}, "no video_name"),
        ("generic", ENTRY | {"Q": 3}, "Q is 3"),
        ("generic", ENTRY | {"Q": " "}, "Q is empty"),
        ("generic", ENTRY | {"A": None}, "no A"),
        ("generic", ENTRY | {"Q": "What is <image>?"}, "stands for the clip"),
        ("generic", ENTRY | {"video_name": "../../../etc/passwd"}, "out of the benchmark's folder"),
        ("generic", ENTRY | {"video_name": "/etc/passwd"}, "not a path from"),
        ("generic", ENTRY | {"video_name": "a\0b"}, "NUL"),
        ("generic", ENTRY | {"video_name": "n" * 300}, "longer than a file's name"),
        ("generic", ENTRY | {"video_name": ["v"]}, "a list"),
        ("generic", "text", "not an object"),
        ("consistency", {key: value for key, value in PAIR.items() if key != "Q2"}, "no Q2"),
    ],
)
def test_an_entry_that_cannot_be_asked_is_a_fault(part: str, entry: Any, words: str, tmp_path: Path) -> None:
    whole = PAIR if part == "consistency" else ENTRY
    benchmark = vcgbench.read(layout(tmp_path, **{part: [whole, entry, whole]}))
    numbers = {item.id.split("/")[1] for item in benchmark.items}
    assert numbers == {"1", "3"}, "the others keep their numbers"
    own = [fault for fault in benchmark.faults if fault.where.startswith(f"{part}_qa.json, entry 2")]
    assert len(own) == 1 and words in own[0].message and "\n" not in own[0].message


@pytest.mark.parametrize(
    "make",
    [
        lambda folder: folder / "missing",
        lambda folder: folder,
        lambda folder: layout(folder),
        lambda folder: layout(folder, generic=[]),
        lambda folder: layout(folder, generic={"a": 1}),
        lambda folder: layout(folder, generic=[{"Q": "What?"}], temporal="x"),
    ],
    ids=["no folder", "empty", "no files", "no entries", "no list", "none whole"],
)
def test_nothing_to_ask_is_an_error(make: Callable[[Path], Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        vcgbench.read(make(tmp_path))
    assert "generic_qa.json" in caught.value.hint and "\n" not in caught.value.message
