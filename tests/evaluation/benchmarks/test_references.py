"""Reading what people say of clips: every form, and every way in which a file can be wrong."""

import json
from pathlib import Path
from typing import Any

import pytest

from pllava_cli.errors import ExitStatus, UsageError
from pllava_cli.evaluation.benchmarks import references
from pllava_cli.shapes.samples import CAPTIONS, QUESTIONS, Recipe, lines, sample

GOOD = {"video": "good.mp4", "caption": "A good one."}


def written(tmp_path: Path, value: Any, name: str = "captions.json") -> Path:
    file = tmp_path / name
    file.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return file


def said(file: Path) -> dict[str, list[str]]:
    described, faults = references.read(file)
    assert faults == []
    return {each.name: each.captions for each in described}


LISTED = [
    {"video": "a.mp4", "captions": ["One.", "Two."]},
    {"path": "b/c.mp4", "caption": "Three."},
    {"file": "d.mp4", "caption": "Four."},
    {"id": "e", "caption": "Five."},
    {"video": "a.mp4", "caption": "Six."},
]
EXPECTED = {"a.mp4": ["One.", "Two.", "Six."], "b/c.mp4": ["Three."], "d.mp4": ["Four."], "e": ["Five."]}


@pytest.mark.parametrize("name", ["captions.json", "captions.jsonl", "captions.txt", "captions"])
def test_a_list_and_lines_are_told_by_what_they_hold(tmp_path: Path, name: str) -> None:
    assert said(written(tmp_path, LISTED, name)) == EXPECTED
    assert said(written(tmp_path, json.dumps(LISTED, indent=1), name)) == EXPECTED
    as_lines = "".join(json.dumps(each) + "\n\n" for each in LISTED)
    assert said(written(tmp_path, as_lines, name)) == EXPECTED
    assert said(written(tmp_path, "\ufeff" + as_lines, name)) == EXPECTED


def test_one_object_is_a_file_too(tmp_path: Path) -> None:
    for name in ("one.json", "one.jsonl"):
        assert said(written(tmp_path, json.dumps(GOOD) + "\n", name)) == {"good.mp4": ["A good one."]}


def test_cocos_form(tmp_path: Path) -> None:
    table = {
        "info": {},
        "images": [{"id": 7, "file_name": "a.mp4"}, {"id": 9}, {"id": "x", "file_name": "b.mp4"}],
        "annotations": [
            {"image_id": 9, "id": 1, "caption": "Nine."},
            {"image_id": 7, "id": 2, "caption": "Seven."},
            {"image_id": 7, "id": 3, "caption": "Seven again."},
            {"image_id": "x", "id": 4, "caption": "X."},
        ],
    }
    described, faults = references.read(written(tmp_path, table))
    assert [(each.id, each.name, each.captions) for each in described] == [
        ("7", "a.mp4", ["Seven.", "Seven again."]),
        ("9", "9", ["Nine."]),
        ("x", "b.mp4", ["X."]),
    ]
    assert faults == []


def test_two_images_of_one_file_are_one_clip(tmp_path: Path) -> None:
    table = {
        "images": [{"id": 1, "file_name": "a.mp4"}, {"id": 2, "file_name": "a.mp4"}],
        "annotations": [{"image_id": 2, "caption": "Two."}, {"image_id": 1, "caption": "One."}],
    }
    assert said(written(tmp_path, table)) == {"a.mp4": ["Two.", "One."]}


def test_msr_vtts_form(tmp_path: Path) -> None:
    table = {
        "videos": [{"video_id": "video7010", "split": "test"}, {"video_id": "video7011"}],
        "sentences": [
            {"sen_id": 1, "video_id": "video7011", "caption": "a man cooks"},
            {"sen_id": 2, "video_id": "video7010", "caption": "a dog runs"},
            {"sen_id": 3, "video_id": "video7010", "caption": "the dog is fast"},
        ],
    }
    assert said(written(tmp_path, table)) == {
        "video7010": ["a dog runs", "the dog is fast"],
        "video7011": ["a man cooks"],
    }


def test_the_built_in_worlds_captions(tmp_path: Path) -> None:
    made = [lines(sample(Recipe(2), number)) for number in (1, 2)]
    file = written(tmp_path, "".join(each[CAPTIONS][0] + "\n" for each in made), CAPTIONS)
    captions = said(file)
    assert list(captions) == ["clips/000001.mp4", "clips/000002.mp4"]
    for name, each in zip(captions, made, strict=True):
        assert captions[name] == [json.loads(each[CAPTIONS][0])["conversations"][1]["value"]]


def test_questions_are_no_captions(tmp_path: Path) -> None:
    file = written(tmp_path, "\n".join(lines(sample(Recipe(1), 1))[QUESTIONS]), QUESTIONS)
    with pytest.raises(UsageError, match="asks a question"):
        references.read(file)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (7, "not an object"),
        ({"caption": "Of what?"}, "names no clip"),
        ({"video": "a.mp4"}, "says nothing"),
        ({"video": "", "caption": "x"}, "empty"),
        ({"video": "..", "caption": "x"}, "names no file"),
        ({"video": "a\0b", "caption": "x"}, "NUL"),
        ({"video": "\ud800", "caption": "x"}, "no file can have"),
        ({"video": "a" * 300, "caption": "x"}, "longer"),
        ({"video": "a" * 2000, "caption": "x"}, "longer"),
        ({"video": ["a"], "caption": "x"}, "neither text nor a number"),
        ({"id": True, "caption": "x"}, "neither text nor a number"),
        ({"video": "a.mp4", "captions": "x"}, "not a list"),
        ({"video": "a.mp4", "captions": []}, "nothing is said"),
        ({"video": "a.mp4", "captions": [7]}, "not text"),
        ({"video": "a.mp4", "caption": " \n"}, "holds no word"),
        ({"video": "a.mp4", "caption": "..."}, "holds no word"),
        ({"video": "a.mp4", "caption": "word " * 5000}, "longer"),
        ({"video": "a.mp4", "conversations": [7, {"from": "human", "value": "x"}]}, "nothing is said"),
        ({"video": "a.mp4", "id": "good.mp4", "caption": "x"}, "id of another clip"),
    ],
)
def test_an_entry_that_cannot_be_used_is_named_and_the_rest_is(
    tmp_path: Path, entry: Any, message: str
) -> None:
    described, faults = references.read(written(tmp_path, [GOOD, entry]))
    assert [each.name for each in described] == ["good.mp4"]
    assert faults
    assert all(fault.where == "captions.json, item 2" for fault in faults)
    assert any(message in fault.message for fault in faults)
    assert all("\n" not in fault.message for fault in faults)


def test_a_good_caption_beside_a_bad_one_is_kept(tmp_path: Path) -> None:
    described, faults = references.read(written(tmp_path, [{"video": "a.mp4", "captions": [None, "x"]}]))
    assert described[0].captions == ["x"]
    assert len(faults) == 1


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"images": [{"id": 1}, {"id": 1}], "annotations": []}, "twice"),
        ({"images": [{"file_name": "a.mp4"}], "annotations": []}, "has no id"),
        ({"images": [7], "annotations": [7]}, "not an object"),
        ({"images": [{"id": 1}], "annotations": [{"image_id": 2, "caption": "x"}]}, "none of the images"),
        ({"images": [{"id": 1}], "annotations": [{"image_id": 1}]}, "has no caption"),
        ({"videos": [{"video_id": "a"}], "sentences": []}, "nothing is said of 'a'"),
    ],
)
def test_faults_of_tables(tmp_path: Path, table: Any, message: str) -> None:
    clips, sentences = table
    table[clips].append({"id": "good", "video_id": "good"})
    table[sentences].append({"image_id": "good", "video_id": "good", "caption": "x"})
    described, faults = references.read(written(tmp_path, table))
    assert [each.id for each in described] == ["good"]
    assert any(message in fault.message for fault in faults)


def test_a_line_that_is_no_json_is_named(tmp_path: Path) -> None:
    text = json.dumps(GOOD) + "\n{torn\n" + json.dumps(GOOD | {"caption": "Again."}) + "\n"
    described, faults = references.read(written(tmp_path, text, "captions.jsonl"))
    assert described[0].captions == ["A good one.", "Again."]
    assert [fault.where for fault in faults] == ["captions.jsonl, line 2"]


@pytest.mark.parametrize("name", ["captions.json", "captions.jsonl"])
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n\n",
        b"not json",
        b"not json\nneither\n",
        b"\x00\x01\x02\xff" * 100,
        '{"video": "a.mp4", "caption": "x"}\n'.encode("utf-16"),
        b'{"video": "a.mp4", "caption": "x"',
        b"[" * 100_000,
        b"7",
        b"null",
        b'"text"',
        b"[]",
        b"{}",
        b'{"images": 7, "annotations": []}',
        b'{"sentences": []}',
        b"[1, 2]",
        b'{"video": NaN}',
    ],
    ids=range(17),
)
def test_a_file_that_holds_no_captions(tmp_path: Path, name: str, content: bytes) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(UsageError) as raised:
        references.read(file)
    assert raised.value.status == ExitStatus.USAGE
    assert name in raised.value.message
    assert raised.value.hint
    assert "\n" not in raised.value.message


def test_what_is_no_file(tmp_path: Path) -> None:
    for file in (tmp_path / "missing.json", tmp_path, Path("/dev/null"), tmp_path / ("x" * 300)):
        with pytest.raises(UsageError):
            references.read(file)
