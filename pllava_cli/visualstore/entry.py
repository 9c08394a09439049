"""An entry of the store: a clip's visual tokens and how it was decoded, as one safetensors file.

What is read may be torn, damaged or another's: it is taken only if it is to the bit what was written.
"""

import json
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from pllava_cli.model.visual import VisualTokens
from pllava_cli.video.report import DecodeReport

SCHEMA = "pllava.visual/1"
"""Belongs to every key as well: a change of what an entry holds, or of how it is made, is a new schema."""
TOKENS, WIDTHS = "tokens", "widths"
_LENGTH_BYTES = 8
"""A safetensors file begins with its header's length (https://github.com/huggingface/safetensors#format)."""


@dataclass(frozen=True)
class Entry:
    """What is kept of a clip."""

    visual: VisualTokens
    """In main memory."""
    report: DecodeReport


def to_bytes(entry: Entry, key: str) -> bytes:
    """Write an entry that is found under a key."""
    tensors = {TOKENS: entry.visual.tokens_SD.cpu().contiguous()}
    if entry.visual.widths_S is not None:
        tensors[WIDTHS] = entry.visual.widths_S.cpu().contiguous()
    report = json.dumps(asdict(entry.report))
    about = {"schema": SCHEMA, "key": key, "report": report, "checksum": _checksum(tensors, report)}
    return save(tensors, about)


def from_bytes(content: bytes, key: str) -> Entry:
    """Read an entry.

    Raises:
        ValueError: It is not whole, not as it was written, or not the key's.
    """
    try:
        length = int.from_bytes(content[:_LENGTH_BYTES], "little")
        about = json.loads(content[_LENGTH_BYTES : _LENGTH_BYTES + length])["__metadata__"]
        tensors = load(content)
        if (about["schema"], about["key"]) != (SCHEMA, key):
            raise ValueError("it is another's")
        if about["checksum"] != _checksum(tensors, about["report"]):
            raise ValueError("it is damaged")
        raw = json.loads(about["report"])
        report = DecodeReport(**raw | {"warnings": tuple(raw["warnings"])})
        return Entry(VisualTokens(tensors[TOKENS], tensors.get(WIDTHS)), report)
    except (SafetensorError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise ValueError(f"it is damaged: {error}") from error


def _checksum(tensors: Mapping[str, Any], report: str) -> str:
    total = zlib.crc32(report.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        total = zlib.crc32(f"{name} {tensor.dtype} {list(tensor.shape)}".encode(), total)
        total = zlib.crc32(tensor.reshape(-1).view(torch.uint8).numpy(), total)
    return f"{total:08x}"
