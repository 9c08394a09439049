"""Manifests: what rows mean, and that a bad one is told before anything runs."""

import csv
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pllava_cli.batch.discovery import find
from pllava_cli.batch.work import Work
from pllava_cli.errors import UsageError
from pllava_cli.inputs import clip_id
from pllava_cli.records import Segment
from tests.batch.tree import below, grow

Row = dict[str, Any]


@pytest.fixture(autouse=True)
def clips(tmp_path: Path) -> Path:
    return grow(tmp_path, ["a.mp4", "b.mp4", "c.mp4"])


def as_jsonl(file: Path, rows: Sequence[Any]) -> str:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(file)


def as_csv(file: Path, rows: Sequence[Row], delimiter: str = ",") -> str:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with file.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, columns, delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return str(file)


def read(*files: str) -> list[Work]:
    warnings: list[str] = []
    works = list(find(files, warn=warnings.append))
    assert warnings == []
    return works


ROWS: list[Row] = [
    {"path": "a.mp4"},
    {
        "path": "b.mp4",
        "id": "second",
        "start": "0:05",
        "end": 10.5,
        "question": ' How "many", then? ',
        "other": "x",
    },
    {"path": "b.mp4", "id": "second", "start": 5, "end": "10.5", "question": "Who\nis it?"},
    {"path": "b.mp4", "id": "second", "start": "20", "end": "", "question": ""},
]


@pytest.mark.parametrize("suffix", [".jsonl", ".ndjson", ".csv", ".tsv", ".CSV"])
def test_rows_mean_the_same_in_each_form(suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"m{suffix}"
    if "json" in suffix:
        as_jsonl(file, ROWS)
    else:
        as_csv(file, ROWS, "\t" if suffix == ".tsv" else ",")
    first, second, third = read(str(file))
    assert first == Work(first.clip) and first.clip.id == clip_id(tmp_path / "a.mp4")
    assert (second.clip.path, second.clip.id) == (tmp_path / "b.mp4", "second")
    assert second.segment == Segment(0, 5.0, 10.5)
    assert second.questions == ('How "many", then?', "Who\nis it?")
    assert (third.segment, third.questions) == (Segment(1, 20.0, None), (None,))


@pytest.mark.parametrize("column", ["path", "video", "file", "Path", " Video "])
def test_names_of_the_path_column(column: str, tmp_path: Path) -> None:
    for file in (
        as_csv(tmp_path / "m.csv", [{column: "a.mp4"}]),
        as_jsonl(tmp_path / "m.jsonl", [{column: "a.mp4"}]),
    ):
        assert below(tmp_path, read(file)) == ["a.mp4"]


def test_the_first_name_of_the_path_column_counts(tmp_path: Path) -> None:
    file = as_jsonl(tmp_path / "m.jsonl", [{"file": "x", "video": "y", "path": "a.mp4"}])
    assert below(tmp_path, read(file)) == ["a.mp4"]


def test_paths_are_relative_to_the_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    grow(tmp_path, ["lists/d.mp4"])
    rows = [{"path": "d.mp4"}, {"path": "../a.mp4"}, {"path": str(tmp_path / "b.mp4")}]
    as_csv(tmp_path / "lists" / "m.csv", rows)
    monkeypatch.chdir(tmp_path)
    works = read("lists/m.csv")
    assert [str(work.clip.path) for work in works] == [
        "lists/d.mp4",
        "lists/../a.mp4",
        str(tmp_path / "b.mp4"),
    ]
    assert all(work.fault is None for work in works)
    assert works[1].clip.id == clip_id(Path("a.mp4"))


def test_questions_of_one_span_gather_only_while_rows_follow_each_other(tmp_path: Path) -> None:
    rows = [
        {"path": "a.mp4", "question": "1?"},
        {"path": "a.mp4", "question": "2?"},
        {"path": "b.mp4", "question": "1?"},
        {"path": "a.mp4", "question": "3?"},
        {"path": "a.mp4", "start": 1, "question": "1?"},
        {"path": "a.mp4"},
    ]
    works = read(as_jsonl(tmp_path / "m.jsonl", rows))
    assert [(work.clip.path.name, work.segment.index, work.questions) for work in works] == [
        ("a.mp4", 0, ("1?", "2?")),
        ("b.mp4", 0, ("1?",)),
        ("a.mp4", 0, ("3?",)),
        ("a.mp4", 1, ("1?",)),
        ("a.mp4", 0, (None,)),
    ]


def test_rows_that_ask_again_are_taken_once_and_told(tmp_path: Path) -> None:
    rows = [{"path": "a.mp4"}, {"path": "b.mp4"}, {"path": "./a.mp4"}, {"path": "b.mp4", "question": " "}]
    warnings: list[str] = []
    works = list(find([as_csv(tmp_path / "m.csv", rows)], warn=warnings.append))
    assert below(tmp_path, works) == ["a.mp4", "b.mp4"]
    assert len(warnings) == 1 and "2 rows" in warnings[0]


def test_missing_clips_are_faults(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    rows = [{"path": name} for name in ("a.mp4", "gone.mp4", "folder", "x" * 5000)]
    works = read(as_jsonl(tmp_path / "m.jsonl", rows))
    messages = [work.fault.message if work.fault else "" for work in works]
    assert messages[0] == "" and "there is no file" in messages[1]
    assert "directory" in messages[2] and "too long" in messages[3]


def test_a_clip_is_looked_at_when_its_turn_comes(tmp_path: Path) -> None:
    works = find([as_jsonl(tmp_path / "m.jsonl", [{"path": "a.mp4"}, {"path": "late.mp4"}])], warn=print)
    next(works)
    grow(tmp_path, ["late.mp4"])
    assert next(works).fault is None


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.mp4")
    grow(tmp_path, [name])
    (tmp_path / "m.csv").write_bytes(b"path\ncaf\xe9.mp4\n")
    for file in (str(tmp_path / "m.csv"), as_jsonl(tmp_path / "m.jsonl", [{"path": name}])):
        (work,) = read(file)
        assert work.clip.path == tmp_path / name and work.fault is None


def test_byte_order_mark_windows_lines_and_blank_ones(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_bytes(b"\xef\xbb\xbfpath,start\r\na.mp4,1\r\n\r\nb.mp4\r\n")
    (tmp_path / "m.jsonl").write_bytes(b'\xef\xbb\xbf{"path":"c.mp4"}\r\n\r\n{"path":"c.mp4","start":1}\r\n')
    works = read(str(tmp_path / "m.csv"), str(tmp_path / "m.jsonl"))
    assert below(tmp_path, works) == ["a.mp4", "b.mp4", "c.mp4", "c.mp4"]


def test_a_list_may_be_a_manifest(tmp_path: Path) -> None:
    file = as_csv(tmp_path / "m.csv", [{"path": "b.mp4", "id": "x"}])
    (work,) = find([], from_files=[file], warn=print)
    assert work.clip.id == "x"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({}, "no path"),
        ({"path": ""}, "no path"),
        ({"path": 3}, "not text"),
        ({"path": ["a.mp4"]}, "not text"),
        ({"path": "a\0.mp4"}, "NUL"),
        ({"path": "a\ud800.mp4"}, "none that a file can have"),
        ({"path": "a.mp4", "start": "soon"}, "start: expected seconds"),
        ({"path": "a.mp4", "start": True}, "start is True"),
        ({"path": "a.mp4", "start": -1}, "start is -1"),
        ({"path": "a.mp4", "end": float("nan")}, "end is nan"),
        ({"path": "a.mp4", "end": float("inf")}, "end is inf"),
        ({"path": "a.mp4", "end": 10**400}, "not a time"),
        ({"path": "a.mp4", "end": [1]}, "not a time"),
        ({"path": "a.mp4", "start": 5, "end": "5"}, "not after start"),
        ({"path": "a.mp4", "end": 0}, "not after start"),
        ({"path": "a.mp4", "question": 5}, "the question is 5"),
        ({"path": "a.mp4", "question": "see <image>?"}, "<image>"),
        ({"path": "a.mp4", "question": "\udcff?"}, "not UTF-8"),
        ({"path": "a.mp4", "id": "../../etc/passwd"}, "file name"),
        ({"path": "a.mp4", "id": "a/b"}, "file name"),
        ({"path": "a.mp4", "id": ".."}, "file name"),
        ({"path": "a.mp4", "id": "a\x1b[2J"}, "file name"),
        ({"path": "a.mp4", "id": "x" * 201}, "longer"),
        ({"path": "a.mp4", "id": 1.5}, "not text"),
        ("a.mp4", "not an object"),
        (None, "not an object"),
        ([{"path": "a.mp4"}], "not an object"),
    ],
)
def test_bad_rows_are_told_with_their_line(row: Any, message: str, tmp_path: Path) -> None:
    file = as_jsonl(tmp_path / "m.jsonl", [{"path": "a.mp4"}, row])
    with pytest.raises(UsageError, match=message) as caught:
        find([file], warn=print)
    assert f"{file}, line 2: " in caught.value.message
    assert "\n" not in caught.value.message and caught.value.hint


@pytest.mark.parametrize(
    "line", [b"{", b"path: a.mp4", b"\xff", b"[" * 100_000, b"9" * 5000, b'{"path": "a.mp4"} {}']
)
def test_lines_that_are_not_json(line: bytes, tmp_path: Path) -> None:
    (tmp_path / "m.jsonl").write_bytes(b'{"path": "a.mp4"}\n' + line + b"\n")
    with pytest.raises(UsageError, match=r"line 2: (not JSON|not UTF-8|it is not an object)") as caught:
        find([str(tmp_path / "m.jsonl")], warn=print)
    assert "\n" not in caught.value.message


def test_several_bad_rows_are_told_one_by_one(tmp_path: Path) -> None:
    warnings: list[str] = []
    file = as_jsonl(tmp_path / "m.jsonl", [{"path": "a.mp4"}] + [{"path": "a.mp4", "start": "x"}] * 12)
    with pytest.raises(UsageError, match=r"12 rows of .* line 2: "):
        find([file], warn=warnings.append)
    assert len(warnings) == 10 and "line 11: " in warnings[-1]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("m.csv", b"name,start\na.mp4,1\n", "no column path"),
        ("m.csv", b"a.mp4\nb.mp4\n", "no column path"),
        ("m.csv", b"path;start\na.mp4;1\n", "no column path"),
        ("m.csv", "path\na.mp4\n".encode("utf-16"), "UTF-16"),
        ("m.csv", "path\na.mp4\n".encode("utf-16-le"), "NUL"),
        ("m.jsonl", '{"path": "a.mp4"}\n'.encode("utf-16"), "UTF-16"),
        ("m.csv", b"\0\0\0\x20ftypisom" + bytes(99), "NUL"),
        ("m.csv", b'path\na.mp4\n"b.mp4\nc.mp4\n', "line 3: unexpected end of data"),
        ("m.csv", b'path,question\na.mp4,"what" is it\n', "line 2: "),
        ("m.csv", b"path,question\na.mp4,what, then?\n", "line 2: it has 3 columns"),
        ("m.csv", b'path,question\na.mp4,"one\ntwo"\nb.mp4,x,y\n', "line 4: it has 3 columns"),
        ("m.csv", b"path\n" + b"x" * 200_000 + b"\n", "line 2: field larger"),
        ("m.jsonl", b"x" * (1 << 20), "line 1 is longer"),
        ("m.csv", b"", "nothing to do"),
        ("m.csv", b"path\n", "nothing to do"),
        ("m.jsonl", b"\n\n", "nothing to do"),
    ],
)
def test_files_that_are_no_manifests(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(UsageError, match=message) as caught:
        find([str(file)], warn=print)
    assert str(file) in caught.value.message
    assert "\n" not in caught.value.message and caught.value.hint


def test_a_pipe_is_no_manifest(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "m.csv")
    with pytest.raises(UsageError, match="not a regular file"):
        find([str(tmp_path / "m.csv")], warn=print)


def test_an_id_stands_for_one_clip(tmp_path: Path) -> None:
    rows = [{"path": "a.mp4", "id": 7}, {"path": "b.mp4", "id": 8}, {"path": "b.mp4", "id": "7", "start": 3}]
    file = as_jsonl(tmp_path / "m.jsonl", rows)
    with pytest.raises(UsageError, match="the id 7 ") as caught:
        find([file], warn=print)
    assert f"{file}, line 3: " in caught.value.message and f"{file}, line 1: " in caught.value.message


def test_an_id_stands_for_one_clip_in_all_manifests(tmp_path: Path) -> None:
    first = as_csv(tmp_path / "first.csv", [{"path": "a.mp4", "id": "1"}])
    second = as_csv(tmp_path / "second.csv", [{"path": "b.mp4", "id": "1"}])
    with pytest.raises(UsageError, match=r"second.csv, line 2: .*first.csv, line 2"):
        find([first, second], warn=print)


def test_a_made_id_cannot_be_taken_by_another_clip(tmp_path: Path) -> None:
    rows = [{"path": "b.mp4"}, {"path": "a.mp4", "id": clip_id(tmp_path / "b.mp4")}]
    with pytest.raises(UsageError, match="stands for another clip"):
        find([as_jsonl(tmp_path / "m.jsonl", rows)], warn=print)


def test_segments_keep_their_numbers_when_rows_are_added_at_the_end(tmp_path: Path) -> None:
    rows = [{"path": "a.mp4", "start": 10, "end": 20}, {"path": "a.mp4", "start": 30}]
    before = read(as_csv(tmp_path / "m.csv", rows))
    after = read(as_csv(tmp_path / "m.csv", [*rows, {"path": "a.mp4", "end": 5}]))
    assert after[:2] == before
    assert [work.segment.index for work in after] == [0, 1, 2]
