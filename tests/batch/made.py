"""Records for tests that need some."""

from pathlib import Path
from typing import Any

from pllava_cli import inputs, records
from pllava_cli.batch.pipeline import Outcome
from pllava_cli.batch.planning import Job
from pllava_cli.batch.work import Work

MODEL = records.Model("pllava-7b", None, None, 4.0, "bf16", "none", 16, (16, 12, 12))
DECODING = records.Decoding(256, 0.0, 1.0, None, "eos", 3)


def record(number: int = 0, **changes: Any) -> records.Record:
    """A caption of clip `number`, or what `changes` make of it."""
    fields: dict[str, Any] = {
        "id": f"clip{number}-1",
        "path": f"clips/clip{number}.mp4",
        "task": "caption",
        "question": "Describe it.",
        "system": "",
        "segment": records.Segment(),
        "model": MODEL,
        "decoding": DECODING,
        "file": records.File(1000 + number, 1234567890.123 + number),
        "text": f"Bird number {number} flies.",
    }
    return records.Record(**(fields | changes))


def failed(number: int = 0, **changes: Any) -> records.Record:
    """An error in place of the caption."""
    error = records.Error("clip", "it cannot be decoded", "convert it")
    return record(number, text=None, error=error, **changes)


def line(made: records.Record) -> bytes:
    return records.to_json_line(made).encode() + b"\n"


def outcome(made: records.Record) -> Outcome:
    """What came of a clip with one question."""
    job = Job(Work(inputs.Clip(Path(made.path), made.id)), (None,), made.file)
    return Outcome(job, made, True, made.error is not None)
