"""The tensors of a checkpoint folder: which there are, and their bytes when they are wanted.

Only safetensors are read, never pickle. Names and shapes come from the files' headers, so that a
checkpoint is judged before a single weight is read.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from pllava_cli.errors import CheckpointError
from pllava_cli.model.jsonfile import check_readable, read_json

REOPEN_BYTES = 32 << 20
"""A shard is mapped into memory and what was read stays resident until it is closed, so it is closed
and opened again after this many bytes: the peak stays near the size of the finished model."""

SAMPLE_BYTES = 4096
"""Of a tensor: an optimiser's step moves nearly all numbers of what it trains."""
INDEX = "model.safetensors.index.json"
ADAPTER_FILE = "adapter_model.safetensors"
_SHARD_NAME = re.compile(r"[\w.-]{1,200}\.safetensors")
"""No separator: what an index names lies in its own folder."""
DTYPE_BYTES = {
    "F64": 8,
    "F32": 4,
    "F16": 2,
    "BF16": 2,
    "I64": 8,
    "I32": 4,
    "I16": 2,
    "I8": 1,
    "U8": 1,
    "BOOL": 1,
}


@dataclass(frozen=True)
class StoredTensor:
    """One tensor in one file."""

    file: Path
    key: str
    shape: tuple[int, ...]
    bytes: int
    dtype: str = "F32"
    """As safetensors names it."""


@dataclass
class TensorReader:
    """Reads tensors one by one; hand them over sorted by file to open each only a few times."""

    _file: Path | None = None
    _handle: Any = None
    _read_bytes: int = field(default=0)

    def read(self, stored: StoredTensor) -> torch.Tensor:
        """The tensor, in main memory; it may map the file, so copy what is to be kept.

        Raises:
            CheckpointError: The file has changed or cannot be read.
        """
        handle = self._opened(stored, stored.bytes)
        try:
            tensor: torch.Tensor = handle.get_tensor(stored.key)
        except (SafetensorError, OSError, RuntimeError) as error:
            raise _unreadable(stored.file, error) from error
        _check_unchanged(stored, tensor.shape)
        if tensor.is_floating_point() and not is_finite(tensor):
            raise CheckpointError(
                f"{stored.file}: {stored.key} holds a number that is none (NaN) or infinite",
                "the file is damaged; get it again",
            )
        return tensor

    def sample(self, stored: StoredTensor) -> bytes:
        """Bytes from a tensor's middle, about `SAMPLE_BYTES` of them in whole rows; all of a short one.

        Raises:
            CheckpointError: The file has changed or cannot be read.
        """
        handle = self._opened(stored, SAMPLE_BYTES)
        rows = stored.shape[0] if stored.shape else 1
        count = min(rows, max(1, SAMPLE_BYTES * rows // max(stored.bytes, 1)))
        first = (rows - count) // 2
        try:
            whole = handle.get_slice(stored.key)
            _check_unchanged(stored, whole.get_shape())
            some: torch.Tensor = (
                whole[first : first + count] if stored.shape else handle.get_tensor(stored.key)
            )
        except (SafetensorError, OSError, RuntimeError) as error:
            raise _unreadable(stored.file, error) from error
        return some.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()

    def _opened(self, stored: StoredTensor, wanted: int) -> Any:
        """The handle of a tensor's file, of which so many bytes are to be read."""
        if self._file != stored.file or self._read_bytes > REOPEN_BYTES:
            self._handle = None
            self._handle = _open(stored.file)
            self._file, self._read_bytes = stored.file, 0
        self._read_bytes += wanted
        return self._handle


def _check_unchanged(stored: StoredTensor, shape: Iterable[int]) -> None:
    if tuple(shape) != stored.shape:
        raise CheckpointError(f"{stored.file} has changed while it was read", "start again")


def is_finite(tensor: torch.Tensor) -> bool:
    """Whether no number is NaN or infinite, in float32: either makes the sum so, which is quick to tell."""
    return bool(tensor.sum(dtype=torch.float32).isfinite()) or bool(tensor.float().isfinite().all())


def list_tensors(folder: Path) -> list[StoredTensor]:
    """Every tensor of a checkpoint folder, by file and name.

    Raises:
        CheckpointError: There are no safetensors, shards are missing, or a file is damaged.
    """
    files, promised = _weight_files(folder)
    tensors = [tensor for file in files for tensor in _tensors_of(file)]
    there = {(tensor.file.name, tensor.key) for tensor in tensors}
    for key, name in promised.items():
        if (name, key) not in there:
            raise CheckpointError(
                f"{folder / name} lacks {key:.200}, which {INDEX} says is in it",
                "the index and the files are not of one checkpoint; get them again",
            )
    return tensors


def _weight_files(folder: Path) -> tuple[list[Path], dict[str, str]]:
    """The files, and what an index says lies where."""
    single, index, adapter = (folder / name for name in ("model.safetensors", INDEX, ADAPTER_FILE))
    found = [file for file in (single, index, adapter) if file.exists()]
    if len(found) > 1:
        first, second = ("shards with an index" if file == index else file.name for file in found[:2])
        raise CheckpointError(
            f"{folder} holds both {first} and {second}",
            "these are two checkpoints in one folder; keep the files of one",
        )
    if found:
        return _shards(folder, index) if found == [index] else (found, {})
    if any(folder.glob("*.bin")) or any(folder.glob("*.pt")) or any(folder.glob("*.pth")):
        raise CheckpointError(
            f"{folder} has its weights only as pickle files (.bin, .pt), which can run code and are not read",
            "get the safetensors of this checkpoint, or convert them with safetensors' own tools",
        )
    raise CheckpointError(
        f"{folder} has no model.safetensors and no model.safetensors.index.json",
        "give a folder that holds a whole checkpoint",
    )


def _shards(folder: Path, index: Path) -> tuple[list[Path], dict[str, str]]:
    try:
        promised = read_json(index)["weight_map"]
        names = sorted(set(promised.values()))
    except (KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{index} is damaged", "get the checkpoint's files again") from error
    strange = [name for name in names if not (isinstance(name, str) and _SHARD_NAME.fullmatch(name))]
    if strange:
        raise CheckpointError(
            f"{index} names a file that is no weight file of its folder: {strange[0]!r:.200}",
            "do not use this checkpoint",
        )
    missing = [name for name in names if not (folder / name).exists()]
    if missing:
        raise CheckpointError(
            f"{folder} lacks {len(missing)} of {len(names)} weight files: {', '.join(missing[:3])}",
            "the download is incomplete; get the checkpoint's files again",
        )
    return [folder / name for name in names], promised


def _tensors_of(file: Path) -> Iterator[StoredTensor]:
    with _open(file) as handle:
        for key in sorted(handle.keys()):
            part = handle.get_slice(key)
            shape, dtype = tuple(part.get_shape()), part.get_dtype()
            yield StoredTensor(file, key, shape, prod(shape) * DTYPE_BYTES.get(dtype, 1), dtype)


def _open(file: Path) -> Any:
    check_readable(file)
    try:
        return safe_open(file, framework="pt", device="cpu")
    except (SafetensorError, OSError) as error:
        raise _unreadable(file, error) from error


def _unreadable(file: Path, error: Exception) -> CheckpointError:
    reason = f"{' '.join(str(error).split()):.500}" or type(error).__name__
    return CheckpointError(
        f"{file} cannot be read as safetensors: {reason}", "the file is damaged or cut short; get it again"
    )
