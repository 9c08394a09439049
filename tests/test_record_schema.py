"""The schema of records in docs/: what is written keeps to it, and it names all that is written."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pllava_cli import records
from tests.batch.made import failed, record

jsonschema = pytest.importorskip("jsonschema")

ROOT = Path(__file__).parents[1]
SCHEMA = json.loads((ROOT / "docs" / "record.schema.json").read_text(encoding="utf-8"))
FULL = record(
    0,
    frames=records.Frames([0, 5], [0.0, 0.5]),
    media=records.Media(2.0, None, 64, 48, 90, "h264", 20, None, ["odd"]),
    elapsed_s={"decode": 0.1, "first_token": 0.2},
    turn=records.Turn("Best option:(", is_inline=True),
)
NOT_ALWAYS = {"turn"}
"""Fields that records lack where they would say nothing."""


def plain(made: records.Record) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(records.to_json_line(made))
    return read


def validate(instance: Any) -> None:
    jsonschema.Draft202012Validator(SCHEMA).validate(instance)


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["properties"]["schema"]["const"] == records.SCHEMA


@pytest.mark.parametrize(
    "made",
    [
        record(),
        FULL,
        failed(),
        failed(file=None),
        record(task="ask", question="Who?", segment=records.Segment(2, 1.5, None)),
        failed(task="ask", question=""),
        record(path=os.fsdecode(b"\xff\n.mp4"), text=""),
    ],
)
def test_records_keep_to_it(made: records.Record) -> None:
    validate(plain(made))


def test_what_the_commands_write_keeps_to_it(tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint"
    checkpoint.mkdir()
    (checkpoint / "config.json").write_text("{}")
    (checkpoint / "model.safetensors").touch()
    (tmp_path / "a.mp4").touch()
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PLLAVA_MODEL": str(checkpoint)}
    for words in (["caption", "--json", "a.mp4"], ["ask", "--json", "--start", "1", "a.mp4", "Who?"]):
        command = [sys.executable, "-m", "tests.commands.entry", *words]
        done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, check=True)
        (line,) = done.stdout.splitlines()
        validate(json.loads(line))


@pytest.mark.parametrize(
    "changes",
    [
        {"schema": "pllava.record/2"},
        {"status": "good"},
        {"status": "error"},  # without saying which
        {"text": None},
        {"error": {"code": "clip", "message": "m", "hint": "h"}},
        {"task": "describe"},
        {"path": ""},
        {"segment": {"index": 0, "start_s": -1, "end_s": None}},
        {"segment": None},
        {"file": {"size_bytes": 1.5, "mtime_s": 0}},
        {"frames": {"indices": [0.5], "timestamps_s": [], "policy": "uniform"}},
        {"fingerprint": "abc"},
        {"created": "yesterday"},
        {"elapsed_s": {"decode": "long"}},
        {"turn": {"answer_start": "("}},
        {"turn": {"answer_start": None, "is_inline": False}},
    ],
)
def test_what_is_no_record_does_not(changes: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        validate(plain(FULL) | changes)


@pytest.mark.parametrize("name", sorted(plain(FULL).keys() - NOT_ALWAYS))
def test_no_field_may_be_missing(name: str) -> None:
    instance = plain(FULL)
    del instance[name]
    with pytest.raises(jsonschema.ValidationError):
        validate(instance)


def test_unknown_fields_are_no_harm() -> None:
    validate(plain(FULL) | {"later": 1, "media": plain(FULL)["media"] | {"later": 1}})


def fields(value: Any, path: str = "") -> Iterator[str]:
    if isinstance(value, dict) and path != "/elapsed_s":
        for name, inner in value.items():
            yield f"{path}/{name}"
            yield from fields(inner, f"{path}/{name}")


def named(schema: dict[str, Any], path: str = "") -> Iterator[str]:
    for name, inner in schema.get("properties", {}).items():
        yield f"{path}/{name}"
        yield from named(inner, f"{path}/{name}")


def test_every_field_is_described_and_no_other() -> None:
    written = {*fields(plain(FULL)), *fields(plain(failed()))}
    assert written == set(named(SCHEMA))
