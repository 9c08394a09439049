"""MVBench: what is read of it, what is put to a checkpoint, and what is said of what is missing."""

import json
import shutil
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import cv2
import pytest

from pllava_cli.errors import UsageError
from pllava_cli.evaluation.benchmarks.mvbench import TASKS, read
from pllava_cli.evaluation.items import Item, Said
from pllava_cli.evaluation.scoring.choices import score
from pllava_cli.multiple_choice import as_prompt
from pllava_cli.video.folder import FRAMES_FPS
from tests.evaluation import miniature


def entry(**changed: Any) -> dict[str, Any]:
    usual = {"video": "a.mp4", "question": "Which way?", "candidates": ["Up.", "Down."], "answer": "Up."}
    return {key: value for key, value in (usual | changed).items() if value is not None}


def lay_out(folder: Path, task: str, *entries: Any) -> Path:
    (folder / "json").mkdir(parents=True, exist_ok=True)
    (folder / "json" / f"{task}.json").write_text(json.dumps(entries))
    return folder


def test_the_whole_of_it_is_read(miniature_mvbench: Path) -> None:
    benchmark = read(miniature_mvbench)
    assert benchmark.name == "mvbench" and not benchmark.faults
    assert Counter(item.group for item in benchmark.items) == {task.name: 2 for task in TASKS}
    assert list(dict.fromkeys(item.group for item in benchmark.items)) == [task.name for task in TASKS]
    assert len({item.id for item in benchmark.items}) == 40
    for item in benchmark.items:
        written = json.loads((miniature_mvbench / f"json/{item.group}.json").read_text())
        own = written[int(item.id.removeprefix(f"{item.group}/")) - 1]
        assert (item.question, list(item.candidates), item.answer) == (
            own["question"],
            own["candidates"],
            own["answer"],
        )
        assert (item.start_s, item.end_s) == (own.get("start"), own.get("end"))
        assert item.prompt == as_prompt(item.question, item.candidates)
        assert item.clip.is_dir() if item.group == "episodic_reasoning" else item.clip.is_file()


def test_how_it_is_put(tmp_path: Path) -> None:
    manner = read(lay_out(tmp_path, "action_count", entry())).manner
    assert manner.answer_start == "Best option:(" and manner.max_new_tokens == 100
    assert not manner.is_inline and len(manner.system) > 50


@pytest.mark.parametrize("below", [".", "MVBench", "DATAS/MVBench"])
def test_where_it_may_lie(tmp_path: Path, below: str) -> None:
    lay_out(tmp_path / below, "action_count", entry())
    assert read(tmp_path).items[0].clip == tmp_path / below / "video/perception/videos/a.mp4"


@pytest.mark.parametrize("name", ["missing", "file", "empty", "a\0b", "a\nb"])
def test_where_it_does_not_lie(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError) as caught:
        read(tmp_path / name)
    assert "\n" not in caught.value.message and "json/" in caught.value.hint


@pytest.mark.parametrize("name", ["moving_count", "Moving Count", "moving-count", " MOVING_COUNT "])
def test_tasks_are_chosen_by_name(miniature_mvbench: Path, name: str) -> None:
    assert {item.group for item in read(miniature_mvbench, [name]).items} == {"moving_count"}


def test_chosen_tasks_keep_the_benchmarks_order(miniature_mvbench: Path) -> None:
    items = read(miniature_mvbench, ["moving_count", "action_sequence", "moving_count"]).items
    assert list(dict.fromkeys(item.group for item in items)) == ["action_sequence", "moving_count"]
    assert len(items) == 4


def test_an_unknown_task_is_refused_with_a_suggestion(miniature_mvbench: Path) -> None:
    with pytest.raises(UsageError, match="no task moving_cuont") as caught:
        read(miniature_mvbench, ["moving_cuont"])
    assert caught.value.hint == "did you mean moving_count?"


def test_missing_files_are_named_and_the_rest_is_read(tmp_path: Path) -> None:
    lay_out(tmp_path, "action_count", entry())
    (tmp_path / "json/moving_count.json").write_text('[{"video": ')
    (tmp_path / "json/state_change.json").write_text("{}")
    benchmark = read(tmp_path)
    assert [item.id for item in benchmark.items] == ["action_count/1"]
    said = {fault.where: fault.message for fault in benchmark.faults}
    assert len(said) == len(benchmark.faults) == 20  # 19 files, and the folder of videos
    assert "there is no file" in said["json/action_sequence.json"]
    assert "is not JSON" in said["json/moving_count.json"]
    assert "holds an object" in said["json/state_change.json"]


def test_nothing_to_ask_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "json").mkdir()
    with pytest.raises(UsageError, match=r"no question of MVBench.*action_sequence\.json: cannot be read"):
        read(tmp_path)
    lay_out(tmp_path, "action_count")
    with pytest.raises(UsageError, match="hold no questions"):
        read(tmp_path, ["action_count"])


def test_a_missing_folder_of_videos_is_told_once(miniature_mvbench: Path, tmp_path: Path) -> None:
    shutil.copytree(miniature_mvbench / "json", tmp_path / "json")
    (tmp_path / "video").symlink_to(miniature_mvbench / "video")
    assert not read(tmp_path).faults
    (tmp_path / "video").unlink()
    shutil.copytree(miniature_mvbench / "video/star", tmp_path / "video/star")
    benchmark = read(tmp_path)
    assert len(benchmark.items) == 40
    told = {fault.where: fault.message for fault in benchmark.faults}
    assert len(told) == len(benchmark.faults) == len({task.prefix for task in TASKS}) - 1
    clevrer = told["video/clevrer/video_validation"]
    assert all(task.name in clevrer for task in TASKS if task.prefix == "clevrer/video_validation")


def test_a_missing_video_is_asked_about_all_the_same(tmp_path: Path) -> None:
    lay_out(tmp_path, "action_count", entry(video="gone.mp4"))
    (tmp_path / "video/perception/videos").mkdir(parents=True)
    benchmark = read(tmp_path, ["action_count"])
    assert len(benchmark.items) == 1 and not benchmark.faults


def test_a_clip_of_the_later_archive_is_found_there(miniature_mvbench: Path, tmp_path: Path) -> None:
    data = shutil.copytree(miniature_mvbench, tmp_path / "data")
    usual = read(data, ["action_sequence", "moving_count"])
    moved = usual.items[0].clip
    later = data / "video/data0613" / moved.relative_to(data / "video")
    later.parent.mkdir(parents=True)
    moved.rename(later)
    expected = [later if item.clip == moved else item.clip for item in usual.items]
    assert [item.clip for item in read(data, ["action_sequence", "moving_count"]).items] == expected
    shutil.copy(later, moved)
    assert read(data, ["action_sequence", "moving_count"]).items == usual.items, "the usual one comes first"


def test_a_candidate_that_is_offered_twice_is_right_both_times(tmp_path: Path) -> None:
    lay_out(tmp_path, "action_count", entry(candidates=["Down.", "Up.", "Down."], answer="Down."))
    (tmp_path / "video/perception/videos").mkdir(parents=True)
    benchmark = read(tmp_path, ["action_count"])
    (item,) = benchmark.items
    said = [Said(item, reply) for reply in ("A) Down.", "B) Up.", "C) Down.")]
    kinds = [verdict.kind for verdict in score(benchmark, said, "strict").verdicts]
    assert kinds == ["right", "wrong", "right"]


FAULTY: dict[str, tuple[dict[str, Any], str]] = {
    "no video": ({"video": None}, "has no video"),
    "absolute": ({"video": "/etc/passwd"}, "not a path from the benchmark's folder"),
    "outside": ({"video": "../../../../secret.mp4"}, "leads out of the benchmark's folder"),
    "placeholder": ({"question": "Which <image>?"}, "question holds <image>"),
    "placeholder offered": ({"candidates": ["<image>", "Up."]}, "candidates, number 1, holds <image>"),
    "one candidate": ({"candidates": ["Up."]}, "has 1 candidate; 2 to 26"),
    "many candidates": ({"candidates": ["Up.", *map(str, range(26))]}, "has 27 candidates"),
    "another answer": ({"answer": "Left."}, "answer is 'Left.', which is not among"),
    "no answer": ({"answer": None}, "has no answer"),
    "empty question": ({"question": ""}, "question is empty"),
    "numbers offered": ({"candidates": [1, 2]}, "candidates, number 1, is 1, not text"),
}


@pytest.mark.parametrize(("changed", "words"), FAULTY.values(), ids=FAULTY)
def test_entries_that_cannot_be_asked(tmp_path: Path, changed: dict[str, Any], words: str) -> None:
    lay_out(tmp_path, "action_count", entry(**changed), entry())
    (tmp_path / "video/perception/videos").mkdir(parents=True)
    benchmark = read(tmp_path, ["action_count"])
    assert [item.id for item in benchmark.items] == ["action_count/2"]
    (fault,) = benchmark.faults
    assert fault.where == "json/action_count.json, entry 1" and words in fault.message


@pytest.mark.parametrize(
    ("start", "end", "words"),
    [
        (None, 3, "has no start"),
        (1, None, "has no end"),
        (3, 3, "ends at 3 s, which is not after its start at 3 s"),
        (4, 3, "not after its start"),
        ("1", 3, "start is '1', not a time"),
    ],
)
def test_parts_of_clips_that_are_none(tmp_path: Path, start: Any, end: Any, words: str) -> None:
    right = entry(start=0, end=2.5, video="show/clip_00")
    lay_out(tmp_path, "episodic_reasoning", entry(start=start, end=end), right)
    (tmp_path / "video/tvqa/frames_fps3_hq").mkdir(parents=True)
    benchmark = read(tmp_path, ["episodic_reasoning"])
    (item,), (fault,) = benchmark.items, benchmark.faults
    assert (item.start_s, item.end_s) == (0.0, 2.5)
    assert item.clip == tmp_path / "video/tvqa/frames_fps3_hq/show/clip_00"
    assert words in fault.message


def test_bounds_mean_nothing_where_the_task_has_none(tmp_path: Path) -> None:
    lay_out(tmp_path, "action_count", entry(start=1, end=2))
    (item,) = read(tmp_path).items
    assert (item.start_s, item.end_s) == (None, None)


ODD = [
    None,
    True,
    0,
    -1,
    1e308,
    "",
    "\0",
    "../../x",
    "/x",
    "a\nb",
    "<image>",
    "\ud800",
    [],
    [[]],
    {},
    "A" * 300,
]


def spoiled(value: Any, rng: Random) -> Any:
    """A value of JSON with something odd in it, anywhere."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key = rng.choice(list(value))
        return {**value, key: spoiled(value[key], rng)} if rng.random() < 0.8 else {**value, "": key}
    if isinstance(value, list) and value and rng.random() < 0.9:
        at = rng.randrange(len(value))
        return [*value[:at], spoiled(value[at], rng), *value[at + 1 :]]
    return rng.choice(ODD)


def test_whatever_is_in_a_file_it_is_read_or_named(miniature_mvbench: Path, tmp_path: Path) -> None:
    rng = Random(9)
    (tmp_path / "json").mkdir()
    (tmp_path / "video").symlink_to(miniature_mvbench / "video")
    usual = json.loads((miniature_mvbench / "json/action_sequence.json").read_text())
    told = 0
    for _ in range(150):
        value = spoiled(spoiled(usual, rng), rng)
        (tmp_path / "json/action_sequence.json").write_text(json.dumps(value))
        try:
            benchmark = read(tmp_path, ["action_sequence"])
        except UsageError as error:
            assert error.message.isprintable() and error.hint
            continue
        assert len(benchmark.items) + len(benchmark.faults) == len(value)
        assert all(fault.message.isprintable() and len(fault.message) < 200 for fault in benchmark.faults)
        for item in benchmark.items:
            assert item.clip.is_relative_to(tmp_path / "video/star") and ".." not in item.clip.parts
            assert item.answer in item.candidates and item.start_s < item.end_s
            assert item.prompt.encode()
        told += len(benchmark.faults)
    assert told > 40


# The miniature itself: what others build on.


def pictures(clip: Path) -> list[bytes]:
    capture = cv2.VideoCapture(str(clip))
    shown = []
    while (read := capture.read())[0]:
        shown.append(read[1].tobytes())
    return shown


def test_the_miniature_can_be_watched(miniature_mvbench: Path) -> None:
    def length(item: Item) -> float:
        if item.clip.is_dir():
            names = sorted(each.name for each in item.clip.iterdir())
            assert names == [f"{number:05}.jpg" for number in range(1, len(names) + 1)]
            return len(names) / FRAMES_FPS
        return len(pictures(item.clip)) / miniature.FPS

    items = read(miniature_mvbench).items
    for item in items:
        assert length(item) > 2 and length(item) >= (item.end_s or 0)
    assert len({item.clip for item in items}) < len(items)
    files = [each for each in miniature_mvbench.rglob("*") if each.is_file()]
    assert sum(each.stat().st_size for each in files) < 2 << 20


def test_the_miniature_is_the_same_every_time(miniature_mvbench: Path, tmp_path: Path) -> None:
    again = miniature.mvbench(tmp_path / "again")
    files = [each for each in sorted(miniature_mvbench.rglob("*")) if each.is_file()]
    for file in files:
        other = again / file.relative_to(miniature_mvbench)
        if file.suffix == ".webm":  # which is given a number of its own every time
            assert pictures(other) == pictures(file)
        else:
            assert other.read_bytes() == file.read_bytes()
    assert len(files) == len([each for each in again.rglob("*") if each.is_file()])


def test_other_miniatures_have_their_layouts(tmp_path: Path) -> None:
    vcg = miniature.vcgbench(tmp_path / "vcg", clips=1) / "Zero_Shot_QA/Benchmarking_QA"
    for name, count in (("generic", 3), ("temporal", 1), ("consistency", 1)):
        entries = json.loads((vcg / f"{name}_qa.json").read_text())
        assert len(entries) == count
        for each in entries:
            clip = tmp_path / f"vcg/Videos/Benchmarking/{each['video_name']}.mp4"
            assert len(pictures(clip)) == miniature.FRAMES
    qa = miniature.videoqa(tmp_path / "qa", clips=1)
    for video in (
        "MSVD_Zero_Shot_QA/videos/{}.avi",
        "MSRVTT_Zero_Shot_QA/videos/all/{}.mp4",
        "ActivityNet/all_test/v_{}.mp4",
        "TGIF_QA/tgif_videos/{}.gif",
    ):
        folder = qa / Path(video).parts[0]
        questions, answers = (json.loads((folder / f"test_{part}.json").read_text()) for part in "qa")
        assert [each["question_id"] for each in questions] == [each["question_id"] for each in answers]
        assert len(questions) >= 3 and all(" " not in each["answer"] for each in answers)
        assert all(len(pictures(qa / video.format(each["video_name"]))) >= 15 for each in questions)
