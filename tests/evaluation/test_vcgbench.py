"""The Video-ChatGPT benchmark: reading it whatever is in its files, judging it, and what its figures are."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pllava_cli.errors import UsageError
from pllava_cli.evaluation import vcgbench
from pllava_cli.evaluation.items import Benchmark, Group, Item, Said
from pllava_cli.evaluation.judgements import Judgement
from pllava_cli.evaluation.replies import Meaning
from pllava_cli.evaluation.wording import load_instructions
from tests.evaluation import asked, miniature

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


# Judging


def judged(score: float | None, reply: str = "?", model: str = "m", replied: str = "m-1") -> Judgement:
    return Judgement("i", "d", model, replied, "h:1", reply, Meaning(score))


def groups(benchmark: Benchmark, said: list[Said], verdicts: dict[str, Judgement]) -> dict[str, Group]:
    return {group.name: group for group in vcgbench.score(benchmark, said, verdicts).groups}


IDS = [
    "correctness:generic/1",
    "detail:generic/1",
    "context:generic/1",
    "temporal:temporal/1",
    "consistency:consistency/1",
]


def test_what_a_judge_is_asked() -> None:
    _, said = asked.vcgbench()
    tasks = vcgbench.tasks(said, load_instructions())
    assert [task.id for task in tasks] == IDS
    assert [task.dimension for task in tasks] == [
        "correctness",
        "detail",
        "context",
        "temporal",
        "consistency",
    ]
    for task in tasks[:3]:
        text = task.messages[0]["content"]
        assert "<question>\nWhat happens?\n" in text and "<answer>\nA dog barks.\n" in text
        assert "<prediction>\ng\n" in text
    assert len({task.messages[0]["content"] for task in tasks[:3]}) == 3


def test_each_answer_of_a_pair_stands_by_its_own_question() -> None:
    _, said = asked.vcgbench()
    text = vcgbench.tasks(said, load_instructions())[-1].messages[0]["content"]
    assert "<question>\nWhich animal is it?\n</question>\n\n<prediction>\nc1\n" in text
    assert "<question_2>\nWhat animal is shown?\n</question_2>\n\n<prediction_2>\nc2\n" in text


@pytest.mark.parametrize("text", [None, "", " \n"])
def test_nobody_judges_an_answer_without_words(text: str | None) -> None:
    benchmark, said = asked.vcgbench([text, "t", "c1", text])
    assert [task.id for task in vcgbench.tasks(said, load_instructions())] == ["temporal:temporal/1"]
    kind = "failed" if text is None else "empty"
    result = vcgbench.score(benchmark, said, {"temporal:temporal/1": judged(3.0)})
    assert [(group.of, group.value, group.counts) for group in result.groups] == [
        (1, 0.0, {kind: 1}),
        (1, 0.0, {kind: 1}),
        (1, 0.0, {kind: 1}),
        (1, 3.0, {"wrong": 1}),
        (1, 0.0, {kind: 1}),
    ]
    lacking = result.verdicts[-1]
    assert lacking.said.item.id == "consistency/1/2"
    assert lacking.note == ("consistency: the clip is broken" if text is None else "consistency")


def test_the_two_averages_are_not_the_same_thing() -> None:
    items = [asked.item(f"generic/{number}", "generic") for number in range(1, 5)]
    items += [asked.item("temporal/1", "temporal")]
    items += [asked.item(f"consistency/1/{number}", "consistency") for number in (1, 2)]
    said = [Said(item, "words") for item in items]
    tasks = vcgbench.tasks(said, load_instructions())
    scores = {"correctness": 4.0, "detail": 3.0, "context": 5.0, "temporal": 2.0, "consistency": 1.0}
    verdicts = {task.id: judged(scores[task.dimension]) for task in tasks}
    result = vcgbench.score(Benchmark("vcgbench", items, vcgbench.MANNER), said, verdicts)
    assert [(group.name, group.of, group.value) for group in result.groups] == [
        ("correctness of information", 4, 4.0),
        ("detail orientation", 4, 3.0),
        ("contextual understanding", 4, 5.0),
        ("temporal understanding", 1, 2.0),
        ("consistency", 1, 1.0),
    ]
    plain, weighted = result.averages
    assert (plain.label, plain.value) == ("mean of the five dimensions", 3.0)
    assert weighted.label == "mean over judged answers"
    assert weighted.value == pytest.approx((4 * 4 + 4 * 3 + 4 * 5 + 2 + 1) / 14)
    assert "4, 4, 4, 1, 1" in weighted.note
    assert (result.unit, result.scoring) == ("of 5", "judge: m (m-1) at h:1")
    assert any("3.12" in note and "2404.16994" in note and "issue 55" in note for note in result.notes)
    assert any("which model judges" in note for note in result.notes)


def test_of_the_papers_own_cells_the_weighted_mean_is_the_printed_average() -> None:
    """34B, table 2: 3.60 3.20 3.90 2.67 3.25, printed average 3.48."""
    sizes = {"generic": 1996, "temporal": 499, "consistency": 499}
    cells = {"correctness": 3.60, "detail": 3.20, "context": 3.90, "temporal": 2.67, "consistency": 3.25}
    said = [
        Said(asked.item(f"{part}/{number}{ending}", part), "words")
        for part, size in sizes.items()
        for number in range(1, size + 1)
        for ending in (("/1", "/2") if part == "consistency" else ("",))
    ]
    verdicts = {task.id: judged(cells[task.dimension]) for task in vcgbench.tasks(said, load_instructions())}
    assert len(verdicts) == 6986
    result = vcgbench.score(Benchmark("vcgbench", [], vcgbench.MANNER), said, verdicts)
    values = [round(average.value or 0, 2) for average in result.averages]
    assert values == [3.32, 3.48]


def test_what_is_not_judged_counts_as_nothing_and_what_is_not_understood_as_0() -> None:
    benchmark, said = asked.vcgbench()
    found = groups(benchmark, said, {IDS[0]: judged(None, "I like it,\nrather."), IDS[1]: judged(3.5)})
    assert (found["correctness of information"].of, found["correctness of information"].value) == (1, 0.0)
    assert found["correctness of information"].counts == {"unparsed": 1}
    assert found["detail orientation"].counts == {"right": 1}
    assert (found["consistency"].of, found["consistency"].value) == (0, None)
    assert found["consistency"].counts == {"unjudged": 1}
    result = vcgbench.score(benchmark, said, {IDS[0]: judged(None, "I like it,\nrather.")})
    assert result.verdicts[0].note.endswith("not understood: I like it, rather.")
    assert [average.value for average in result.averages] == [None, None]
    assert "temporal understanding" in result.averages[0].note
    assert any(note.startswith("4 answers are not judged yet") for note in result.notes)


def test_without_any_verdict_there_is_no_judge() -> None:
    benchmark, said = asked.vcgbench()
    assert vcgbench.score(benchmark, said, {}).scoring == "judge: none yet"


def test_two_judges_are_named() -> None:
    benchmark, said = asked.vcgbench()
    result = vcgbench.score(
        benchmark, said, {IDS[0]: judged(1.0), IDS[1]: judged(1.0, model="n", replied="")}
    )
    assert result.scoring == "judge: m (m-1) at h:1, n at h:1"
    assert any("more than one judge" in note for note in result.notes)


def test_half_a_pair_is_not_judged() -> None:
    benchmark, said = asked.vcgbench()
    assert [task.id for task in vcgbench.tasks(said[:3], load_instructions())] == IDS[:4]
    assert groups(benchmark, said[:3], {})["consistency"].counts == {}


def test_the_answers_made_for_the_miniature_are_all_judged(small: Path) -> None:
    items: list[Item] = list(vcgbench.read(small).items)
    tasks = vcgbench.tasks([Said(item, item.answer) for item in items], load_instructions())
    assert len(tasks) == 3 * 6 + 2 + 2 and len({task.id for task in tasks}) == len(tasks)
