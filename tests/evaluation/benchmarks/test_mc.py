"""Multiple-choice questions of anyone's own: files of lines, lists, folders, and those that shapes make."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from pllava_cli.errors import UsageError
from pllava_cli.evaluation.benchmarks.mc import ALL, read
from pllava_cli.shapes import dataset
from pllava_cli.shapes.samples import Recipe

USUAL = {"video": "clips/a.mp4", "question": "Which way?", "candidates": ["Up.", "Down."], "answer": "Down."}


def write(path: Path, entries: Iterable[Any]) -> Path:
    path.write_text("".join(json.dumps(each) + "\n" for each in entries), encoding="utf-8")
    return path


def test_a_file_of_lines(tmp_path: Path) -> None:
    file = write(
        tmp_path / "own.jsonl",
        [
            USUAL,
            USUAL | {"answer": 0, "task": "ways", "id": "the second", "start": 1, "end": 2.5},
            USUAL | {"end": 2, "id": 7, "video": "/data/b.mp4", "something": "else"},
        ],
    )
    benchmark = read(file)
    assert benchmark.name == "mc" and not benchmark.faults
    first, second, third = benchmark.items
    assert (first.id, first.group, first.answer) == ("own/1", ALL, "Down.")
    assert first.clip == tmp_path / "clips/a.mp4" and (first.start_s, first.end_s) == (None, None)
    assert (second.id, second.group, second.answer) == ("the second", "ways", "Up.")
    assert (second.start_s, second.end_s) == (1.0, 2.5)
    assert (third.id, third.clip, third.end_s) == ("7", Path("/data/b.mp4"), 2.0)
    assert "(A) Up.\n(B) Down." in first.prompt
    assert benchmark.manner.answer_start == "Best option:("


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ([1], "is a list, not an object"),
        ({**USUAL, "video": ""}, "names no file"),
        ({**USUAL, "answer": "B"}, "answer is 'B', which is not among the candidates"),
        ({**USUAL, "answer": 2}, "answer is 2; the candidates are counted from 0 to 1"),
        ({**USUAL, "answer": True}, "answer is true, not text"),
        ({**USUAL, "start": 2, "end": 1}, "ends at 1 s, which is not after its start at 2 s"),
        ({**USUAL, "end": 0}, "ends at 0 s"),
        ({**USUAL, "task": "a\nb"}, "not one line"),
        ({**USUAL, "id": "right"}, "has the id 'right', as another question before it"),
        ({**USUAL, "question": "Is <image> it?"}, "question holds <image>"),
        ({**USUAL, "candidates": "ab"}, "candidates is 'ab', not a list"),
    ],
)
def test_lines_that_cannot_be_asked(tmp_path: Path, wrong: Any, words: str) -> None:
    file = write(tmp_path / "own.jsonl", [USUAL | {"id": "right"}, wrong])
    benchmark = read(file)
    assert [item.id for item in benchmark.items] == ["right"]
    (fault,) = benchmark.faults
    assert fault.where == "own.jsonl, line 2" and words in fault.message


def test_a_line_that_is_no_json(tmp_path: Path) -> None:
    file = tmp_path / "own.jsonl"
    file.write_text(json.dumps(USUAL) + '\n{"video": \n')
    (fault,) = read(file).faults
    assert fault.where == "own.jsonl, line 2" and fault.message.startswith("is not JSON")


def test_a_question_that_failed_does_not_take_its_id(tmp_path: Path) -> None:
    file = write(tmp_path / "own.jsonl", [USUAL | {"id": "x", "answer": "No."}, USUAL | {"id": "x"}])
    assert [item.id for item in read(file).items] == ["x"]


@pytest.mark.parametrize("content", ["", "\n\n", "[]", '{"video": 1}\n'])
def test_a_file_without_questions_is_an_error(tmp_path: Path, content: str) -> None:
    file = tmp_path / "own.jsonl"
    file.write_text(content)
    with pytest.raises(UsageError, match="no question that can be asked"):
        read(file)


def test_files_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "own.jsonl").write_bytes(json.dumps(USUAL).encode("utf-16"))
    for name, words in (("gone.jsonl", "there is no file"), ("empty", "no .jsonl"), ("own.jsonl", "UTF-16")):
        with pytest.raises(UsageError, match=words):
            read(tmp_path / name)


def test_a_folder_has_a_row_for_each_file(tmp_path: Path) -> None:
    write(tmp_path / "b.jsonl", [USUAL, USUAL | {"task": "other"}])
    (tmp_path / "a.json").write_text(json.dumps([USUAL, 5]))
    (tmp_path / "notes.txt").write_text("no questions")
    benchmark = read(tmp_path)
    assert [(item.id, item.group) for item in benchmark.items] == [
        ("a/1", "a"),
        ("b/1", "b"),
        ("b/2", "other"),
    ]
    assert [fault.where for fault in benchmark.faults] == ["a.json, entry 2"]


def test_what_shapes_make_is_read_as_it_is(tmp_path: Path) -> None:
    dataset.make(tmp_path / "data", Recipe(count=3, seed=5), 1, lambda done: None)
    files = sorted((tmp_path / "data/mvbench/json").iterdir())
    benchmark = read(tmp_path / "data/mvbench/json")
    assert not benchmark.faults
    assert {item.group for item in benchmark.items} == {file.stem for file in files}
    assert {item.clip.parent for item in benchmark.items} == {tmp_path / "data/clips"}
    assert all(item.clip.is_file() for item in benchmark.items)
    one = read(files[0])
    own = [item for item in benchmark.items if item.group == files[0].stem]
    assert [(item.id, item.clip, item.prompt) for item in one.items] == [
        (item.id, item.clip, item.prompt) for item in own
    ]
