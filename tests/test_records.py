"""Records: what a line holds, what its fingerprint depends on, and that it is one line."""

import dataclasses
import json
import os
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pllava_cli import records
from pllava_cli.errors import CheckpointError, ClipError, DeviceError, UsageError
from tests.batch.made import DECODING, MODEL, record


def make(**changes: Any) -> records.Record:
    fields: dict[str, Any] = {"id": "a-1", "path": "a.mp4", "file": None, "text": "A bird."}
    return record(**(fields | changes))


def test_line_holds_everything() -> None:
    line = json.loads(records.to_json_line(make()))
    assert line["schema"] == "pllava.record/1" and line["status"] == "ok" and "error" not in line
    assert line["model"]["pooling_shape"] == [16, 12, 12] and line["segment"]["index"] == 0
    assert line["tool"]["name"] == "pllava" and line["fingerprint"] == make().fingerprint
    created = datetime.fromisoformat(line["created"])
    assert created.utcoffset() == timedelta(0)


def test_manual_page_names_every_field() -> None:
    page = (Path(__file__).parents[1] / "man" / "man5" / "pllava-records.5").read_text()
    failed = make(error=records.Error("clip", "m", "h"))
    for key in failed.as_dict():
        assert f".TP\n.B {key}\n" in page, key
    for kind in (
        records.Segment,
        records.Frames,
        records.Media,
        records.File,
        records.Model,
        records.Decoding,
        records.Error,
    ):
        for each in dataclasses.fields(kind):
            assert re.search(rf"^\.(B|BR|RB) {each.name}\b", page, re.M), each.name


def test_error_record() -> None:
    line = json.loads(
        records.to_json_line(make(text=None, error=records.Error.of(ClipError("broken", "convert"))))
    )
    assert line["status"] == "error" and line["text"] is None
    assert line["error"] == {"code": "clip", "message": "broken", "hint": "convert"}


@pytest.mark.parametrize(
    ("kind", "code"),
    [(ClipError, "clip"), (UsageError, "usage"), (CheckpointError, "checkpoint"), (DeviceError, "device")],
)
def test_error_codes(kind: type[ClipError], code: str) -> None:
    assert records.Error.of(kind("x")).code == code


@pytest.mark.parametrize(
    "changes",
    [
        {"task": "ask"},
        {"question": "Describe it"},
        {"system": "Be brief."},
        {"segment": records.Segment(0, 1.0, None)},
        *[
            {"model": dataclasses.replace(MODEL, **{name: value})}
            for name, value in {
                "name": "pllava-13b",
                "revision": "abc",
                "base": "x",
                "alpha": 8.0,
                "dtype": "fp16",
                "quantize": "4bit",
                "num_frames": 8,
                "pooling_shape": (16, 6, 6),
                "keep_tokens": 0.25,
            }.items()
        ],
        {"decoding": dataclasses.replace(DECODING, max_new_tokens=10)},
        {"decoding": dataclasses.replace(DECODING, temperature=0.5)},
        {"turn": records.Turn("Best option:(")},
        {"turn": records.Turn(is_inline=True)},
    ],
)
def test_fingerprint_changes_with_what_changes_the_text(changes: dict[str, Any]) -> None:
    assert make(**changes).fingerprint != make().fingerprint


@pytest.mark.parametrize(
    "changes",
    [
        {"text": "Another."},
        {"path": "b.mp4", "id": "b-1"},
        {"created": "2020-01-01T00:00:00+00:00"},
        {"elapsed_s": {"decode": 1.0}},
        {"decoding": dataclasses.replace(DECODING, stopped="length", new_tokens=9)},
        {"decoding": dataclasses.replace(DECODING, seed=7, top_p=0.5)},  # greedy: neither plays a part
    ],
)
def test_fingerprint_does_not_change_otherwise(changes: dict[str, Any]) -> None:
    assert make(**changes).fingerprint == make().fingerprint


def test_how_a_question_is_written_out_is_told_where_it_is_not_as_ever() -> None:
    assert "turn" not in make().as_dict()
    told = make(turn=records.Turn("So", is_inline=True)).as_dict()
    assert told["turn"] == {"answer_start": "So", "is_inline": True}


def test_fingerprint_of_drawn_text_knows_the_seed() -> None:
    drawn = dataclasses.replace(DECODING, temperature=1.0)
    seeds = {make(decoding=dataclasses.replace(drawn, seed=seed)).fingerprint for seed in (None, 1, 2)}
    assert len(seeds) == 3


def test_fingerprint_is_the_same_in_another_year() -> None:
    assert make().fingerprint == "2bc68923adbd1a7a01774c1bb147333e"


@pytest.mark.parametrize(
    "text",
    [
        "a\nb\r\n",
        "\u2028\u2029\x85\x0b\x0c",
        "\x00\x1b[2J\x7f\x9b",
        "🙂 世界",
        '"\\',
        os.fsdecode(b"\xff\xfe"),
    ],
)
def test_line_is_one_safe_line_that_reads_back(text: str) -> None:
    line = records.to_json_line(make(text=text, path=text))
    assert line.encode("utf-8").decode("utf-8") == line
    assert len(line.splitlines()) == 1
    assert not any(ord(letter) < 32 or 127 <= ord(letter) < 160 for letter in line)
    assert json.loads(line)["text"] == text


def test_text_stays_readable() -> None:
    assert "Grüße, 世界 🙂" in records.to_json_line(make(text="Grüße, 世界 🙂"))


def test_path_of_any_bytes_comes_back() -> None:
    name = b"a\xff \n.mp4"
    line = records.to_json_line(make(path=records.path_text(Path(os.fsdecode(name)))))
    assert os.fsencode(json.loads(line)["path"]) == name


def test_file_identity(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1234")
    os.utime(tmp_path / "a", (1.0, 1234567890.25))
    assert records.File.of(tmp_path / "a") == records.File(4, 1234567890.25)
    assert records.File.of(tmp_path / "b") is None


def test_a_folder_of_frames_is_another_when_one_of_them_is(tmp_path: Path) -> None:
    for name, content in (("00001.jpg", b"12"), ("00002.jpg", b"345")):
        (tmp_path / name).write_bytes(content)
        os.utime(tmp_path / name, (1.0, 1000.0))
    os.utime(tmp_path, (1.0, 2000.0))
    assert records.File.of(tmp_path) == records.File(5, 2000.0)
    (tmp_path / "00001.jpg").write_bytes(b"98")
    os.utime(tmp_path / "00001.jpg", (1.0, 3000.0))
    os.utime(tmp_path, (1.0, 2000.0))
    assert records.File.of(tmp_path) == records.File(5, 3000.0)
