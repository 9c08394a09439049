"""What the form of a file says of its being whole, where no hash of it is known."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pllava_cli import hubcache
from pllava_cli.errors import CheckpointError

_LENGTH_BYTES = 8
_MOST_HEADER_BYTES = 100_000_000
"""Of a safetensors file. Source: https://huggingface.co/docs/safetensors (format)."""


def fault(path: Path) -> str | None:
    """Say what is wrong with the form of a file, or return None.

    Raises:
        OSError: It cannot be read.
    """
    if path.suffix == ".safetensors":
        return _safetensors_fault(path)
    if path.suffix == ".json":
        try:
            hubcache.read_json(path)
        except CheckpointError:
            return "holds no JSON object"
    return None


def header(path: Path) -> Mapping[str, Any]:
    """Return what a safetensors file says of each of its tensors.

    Raises:
        ValueError: It has no header, or not a whole one.
        OSError: It cannot be read.
    """
    return _header(path)[1]


def _safetensors_fault(path: Path) -> str | None:
    size = path.stat().st_size
    try:
        length, tensors = _header(path)
        ends = [each["data_offsets"][1] for each in tensors.values()]
        expected = _LENGTH_BYTES + length + max(ends, default=0)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
        return "has no whole safetensors header"
    if size < expected:
        return f"is cut short: {size} of {expected} bytes"
    return f"has {size - expected} bytes behind its last tensor" if size > expected else None


def _header(path: Path) -> tuple[int, dict[str, Any]]:
    """Return how many bytes a safetensors header has, and what it says of each tensor; raises as `header`."""
    with path.open("rb") as file:
        start = file.read(_LENGTH_BYTES)
        length = int.from_bytes(start, "little")
        if len(start) < _LENGTH_BYTES or length > _MOST_HEADER_BYTES:
            raise ValueError("no header")
        text = file.read(length)
    found = json.loads(text)
    if len(text) < length or not isinstance(found, dict):
        raise ValueError("no header")
    return length, {name: each for name, each in found.items() if name != "__metadata__"}
