"""What a record is about, as digests: which records tell of the same thing, and which are still true.

Two records have one subject if they answer the same question about the same part of the same clip; the
newer one then stands for both. A caption's instruction does not belong to its subject: a clip has one
caption, which another instruction makes out of date like any other setting. Digests, because a resumed
run holds the keys of every record that there is.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from pllava_cli.records import Record

SUBJECT_BYTES = 16
"""128 bits: no two of any number of records that a disk holds share one by chance."""
PART_BYTES = 8
"""64 bits: compared only with the few others of the same subject."""


@dataclass(frozen=True, slots=True)
class Key:
    """What decides whether a record is there, and whether it would come out the same again."""

    subject: bytes
    """Digest of the path as written, the segment, the task, and the question if one was asked."""
    file: bytes
    """Digest of the file's size and time of change; empty if it was not there."""
    fingerprint: bytes
    """Digest of the record's fingerprint."""

    @classmethod
    def of(cls, record: Record) -> "Key":
        """Return the key of a record made, or only to be made."""
        segment, file = record.segment, record.file
        return cls(
            subject_of(
                record.path,
                (segment.index, segment.start_s, segment.end_s),
                record.task,
                record.question,
            ),
            _file_digest(file.size_bytes, file.mtime_s) if file else b"",
            _digest(record.fingerprint, PART_BYTES),
        )

    @classmethod
    def read(cls, plain: Mapping[str, Any]) -> "Key":
        """Return the key of a record read from a file.

        Raises:
            KeyError, TypeError, ValueError: It lacks what a record has, or has something else there.
        """
        file = plain["file"]
        return cls(
            subject_read(plain),
            _file_digest(file["size_bytes"], file["mtime_s"]) if file is not None else b"",
            _digest(_text(plain["fingerprint"]), PART_BYTES),
        )


def subject_read(plain: Mapping[str, Any]) -> bytes:
    """Return the subject of a record read from a file.

    Raises:
        KeyError, TypeError, ValueError: It lacks what a record has, or has something else there.
    """
    segment = plain["segment"]
    return subject_of(
        _text(plain["path"]),
        (segment["index"], segment["start_s"], segment["end_s"]),
        _text(plain["task"]),
        _text(plain["question"]),
    )


def subject_of(path: str, segment: tuple[int, float | None, float | None], task: str, question: str) -> bytes:
    """Return the digest that records of one subject share.

    Args:
        path: As written.
        segment: Index, start and end in seconds.
        task: `caption` or `ask`.
        question: Counts only if one was asked.
    """
    index, start_s, end_s = segment
    parts = [path, int(index), _number(start_s), _number(end_s), task, question if task == "ask" else None]
    return _digest(json.dumps(parts), SUBJECT_BYTES)


def _number(value: float | None) -> float | None:
    """Read 10 and 10.0 as one: other tools rewrite numbers."""
    return None if value is None else float(value)


def _file_digest(size_bytes: int, mtime_s: float) -> bytes:
    return _digest(f"{int(size_bytes)} {float(mtime_s)!r}", PART_BYTES)


def _digest(text: str, size: int) -> bytes:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=size).digest()


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected text, found {type(value).__name__}")
    return value
