"""What a packed save says of itself: what it was made from, and how.

The record lies in the save's folder, which by it is known for one of ours.
"""

import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pllava_cli.errors import CheckpointError
from pllava_cli.model.footprint import PRECISION_BYTES, QUANTIZED_BYTES

RECORD_FILE, SCHEMA = "quantized.json", "pllava.quantized/1"
"""The file by which a save is known, and what stands in it under `schema`."""


@dataclass(frozen=True)
class SourceFile:
    """A weight file that a save was made from, as it was then."""

    path: str
    bytes: int
    mtime_ns: int
    """Last change, in nanoseconds since 1970."""


@dataclass(frozen=True)
class Record:
    """What a save was made from, and how."""

    model: str
    """By which name the checkpoint was called."""
    source: str
    """Its folder; in the hub's cache the last part is the commit."""
    base: str | None
    """Folder of the checkpoint that it lies over, if it is an adapter."""
    files: tuple[SourceFile, ...]
    quantize: str
    dtype: str
    """Precision of what was packed, and in which it is to be computed."""
    alpha: float | None
    """Strength at which LoRA was merged; None: it has none."""
    device: str
    """Where it was packed: the last bit of a scale may differ from another's."""
    made_by: str
    """Our version and bitsandbytes'."""

    def text(self) -> str:
        """What RECORD_FILE holds."""
        return json.dumps({"schema": SCHEMA, **asdict(self)}, indent=1) + "\n"


def is_save(folder: Path) -> bool:
    """Whether a folder is a save."""
    return (folder / RECORD_FILE).exists()


def parsed(raw: dict[str, Any], file: Path) -> Record:
    """The record that a JSON object holds.

    Args:
        raw: The object.
        file: Where it stands, for messages.

    Raises:
        CheckpointError: It is none, or damaged.
    """
    if raw.get("schema") != SCHEMA:
        raise CheckpointError(f"{file} does not say {SCHEMA!r}", "another version of pllava has written it")
    try:
        files = tuple(SourceFile(**each) for each in raw["files"])
        record = Record(**{key: value for key, value in raw.items() if key != "schema"} | {"files": files})
    except (KeyError, TypeError) as error:
        raise _damaged(file) from error
    if not _is_sound(record):
        raise _damaged(file)
    return record


def _is_sound(record: Record) -> bool:
    texts = (record.model, record.source, record.quantize, record.dtype, record.device)
    return (
        all(isinstance(each, str) for each in texts)
        and (record.base is None or isinstance(record.base, str))
        and record.quantize in QUANTIZED_BYTES
        and record.dtype in PRECISION_BYTES
        and (record.alpha is None or _is_number(record.alpha))
        and all(_is_path(each.path) for each in record.files)
    )


def _is_path(value: Any) -> bool:
    """Whether JSON, which knows any character, gives one that a system can look for."""
    try:
        return isinstance(value, str) and b"\0" not in os.fsencode(value)
    except UnicodeEncodeError:
        return False


def _is_number(value: Any) -> bool:
    """Whether JSON, which knows NaN and whole numbers of any length, gives one to reckon with."""
    right_type = isinstance(value, int | float) and not isinstance(value, bool)
    return right_type and abs(value) <= sys.float_info.max


def _damaged(file: Path) -> CheckpointError:
    return CheckpointError(f"{file} is damaged", "make the save again with `pllava models quantize`")
