"""The sets of open questions: reading them whatever is in their files."""

import json
from pathlib import Path
from typing import Any

import pytest

from pllava_cli.errors import UsageError
from pllava_cli.evaluation.benchmarks import videoqa
from tests.evaluation import miniature

FOLDERS = {
    "msvd": "MSVD_Zero_Shot_QA",
    "msrvtt": "MSRVTT_Zero_Shot_QA",
    "activitynet": "ActivityNet",
    "tgif": "TGIF_QA",
}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return miniature.videoqa(tmp_path_factory.mktemp("videoqa"), clips=1)


def layout(folder: Path, questions: Any, answers: Any) -> Path:
    """Write a set's two files into a folder of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "test_q.json").write_text(json.dumps(questions))
    (folder / "test_a.json").write_text(json.dumps(answers))
    return folder


def question(name: Any = "v1", text: Any = "What?", number: Any = None) -> dict[str, Any]:
    return {"video_name": name, "question": text} | ({} if number is None else {"question_id": number})


def answer(text: Any = "dog", number: Any = None) -> dict[str, Any]:
    return {"answer": text, "type": 3} | ({} if number is None else {"question_id": number})


@pytest.mark.parametrize("which", FOLDERS)
def test_what_is_read(which: str, small: Path) -> None:
    benchmark = videoqa.read(small, which)
    own = small / FOLDERS[which]
    entries = json.loads((own / "test_q.json").read_text())
    answers = json.loads((own / "test_a.json").read_text())
    assert benchmark.name == f"videoqa-{which}" and not benchmark.faults
    assert [item.id for item in benchmark.items] == [f"{which}/{n}" for n in range(1, len(entries) + 1)]
    for item, entry, right in zip(benchmark.items, entries, answers, strict=True):
        assert (item.question, item.answer, item.group) == (entry["question"], right["answer"], which)
        assert item.clip.is_file() and item.clip.stem.removeprefix("v_") == entry["video_name"]
        assert (
            item.prompt.endswith(f"Question: {entry['question']} \n")
            and item.prompt.count(entry["question"]) == 1
        )
    manner = benchmark.manner
    assert manner.is_inline and manner.answer_start == "\nAnswer: In the video,"
    assert (manner.system, manner.max_new_tokens) == ("", 100)
    assert videoqa.read(own, which).items == benchmark.items


def test_a_folder_above_will_do(small: Path, tmp_path: Path) -> None:
    (tmp_path / "VideoQA").symlink_to(small)
    assert videoqa.read(tmp_path, "msvd").items[0].clip.is_file()


def test_a_set_is_not_taken_for_another(small: Path) -> None:
    with pytest.raises(UsageError, match="MSVD_Zero_Shot_QA is MSVD-QA, not TGIF-QA"):
        videoqa.read(small / "MSVD_Zero_Shot_QA", "tgif")


@pytest.mark.parametrize("suffix", [".avi", ".mp4", ".mkv", ".webm", ""])
def test_a_video_of_another_suffix_is_found(suffix: str, tmp_path: Path) -> None:
    data = layout(tmp_path, [question("v1" if suffix else "v1.mp4")], [answer()])
    (tmp_path / "videos").mkdir()
    clip = tmp_path / "videos" / f"v1{suffix or '.mp4'}"
    clip.touch()
    assert videoqa.read(data, "msvd").items[0].clip == clip


def test_names_of_activitynet_begin_with_v(tmp_path: Path) -> None:
    data = layout(tmp_path, [question("a"), question("b"), question("c")], [answer()] * 3)
    (tmp_path / "all_test").mkdir()
    for name in ("v_a.mkv", "a.mp4", "b.webm"):
        (tmp_path / "all_test" / name).touch()
    clips = [item.clip.name for item in videoqa.read(data, "activitynet").items]
    assert clips == ["v_a.mkv", "b.webm", "v_c.mp4"]


def test_answers_are_found_by_their_ids(tmp_path: Path) -> None:
    questions = [question(number=1), question(number="b"), question(number=3)]
    answers = [answer("three", 3), answer("one", "1"), answer("extra", 9), answer("two", "b")]
    items = videoqa.read(layout(tmp_path, questions, answers), "msvd").items
    assert [(item.id, item.answer) for item in items] == [
        ("msvd/1", "one"),
        ("msvd/2", "two"),
        ("msvd/3", "three"),
    ]


@pytest.mark.parametrize("ids", [(None, None, None, None), ("a", "a", "a", "a"), (1, 2, None, None)])
def test_else_by_their_places(ids: tuple[Any, ...], tmp_path: Path) -> None:
    questions = [question(number=ids[0]), question(number=ids[1])]
    answers = [answer("one", ids[2]), answer("two", ids[3])]
    items = videoqa.read(layout(tmp_path, questions, answers), "msvd").items
    assert [item.answer for item in items] == ["one", "two"]


def test_places_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="2 questions, 1 answer and"):
        videoqa.read(layout(tmp_path, [question()] * 2, [answer()]), "msvd")


@pytest.mark.parametrize(
    ("wrong", "right", "words"),
    [
        (question(text=""), answer(), "question is empty"),
        (question(name=None), answer(), "no video_name"),
        (question(name="../x"), answer(), "out of the benchmark's folder"),
        (question(), answer(None), "no answer"),
        (question(), answer(["dog"]), "answer is a list"),
        (question(), answer(True), "answer is true"),
        (question(), "dog", "not an object"),
        (question(), None, "no answer"),
        ([], answer(), "not an object"),
        (question(number=1), answer(number=2), "has the id '1', and its answer '2'"),
        (question(text="a <image>"), answer(), "stands for the clip"),
    ],
)
def test_an_entry_that_cannot_be_asked_is_a_fault(wrong: Any, right: Any, words: str, tmp_path: Path) -> None:
    data = layout(tmp_path, [question(), wrong], [answer(7), right])
    benchmark = videoqa.read(data, "msvd")
    assert [(item.id, item.answer) for item in benchmark.items] == [("msvd/1", "7")]
    fault = benchmark.faults[0]
    assert fault.where == "test_q.json, entry 2" and words in fault.message
    assert benchmark.faults[1].where == "videos"


@pytest.mark.parametrize(
    ("questions", "answers"), [([], []), ({}, []), ([question()], "x"), ([{"a": 1}], [answer()])]
)
def test_nothing_to_ask_is_an_error(questions: Any, answers: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        videoqa.read(layout(tmp_path, questions, answers), "msvd")
    assert caught.value.hint and "\n" not in caught.value.message


@pytest.mark.parametrize("name", ["missing", "."])
def test_a_folder_without_the_set(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        videoqa.read(tmp_path / name, "tgif")
    assert "TGIF_QA/ with test_q.json" in caught.value.hint


def test_only_one_of_the_two_files(tmp_path: Path) -> None:
    layout(tmp_path, [question()], [])
    (tmp_path / "test_a.json").unlink()
    with pytest.raises(UsageError, match=r"no file .*test_a\.json"):
        videoqa.read(tmp_path, "msvd")


def test_an_unknown_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        videoqa.read(tmp_path, "msvdd")
    assert "msvd" in caught.value.hint


def test_the_users_own_instruction(tmp_path: Path) -> None:
    data = layout(tmp_path, [question(text="Is {this} it?")], [answer()])
    item = videoqa.read(data, "msvd", "Look {closely}. {question} \n").items[0]
    assert item.prompt == "Look {closely}. Is {this} it? \n" and item.question == "Is {this} it?"
    with pytest.raises(UsageError, match=r"lacks \{question\}"):
        videoqa.read(data, "msvd", "Look.")
    with pytest.raises(UsageError, match="stands for the clip"):
        videoqa.read(data, "msvd", "<image> {question}")


def test_a_folder_whose_files_cannot_be_looked_at_holds_nothing(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    whole = f"{tmp_path}/"
    longest = whole + "d/../" * ((4094 - len(whole)) // 5) + "d"  # one more name is too long for the system
    with pytest.raises(UsageError, match="does not hold MSVD-QA"):
        videoqa.read(Path(longest), "msvd")
