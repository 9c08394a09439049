"""`pllava models quantize`: a checkpoint packed once and saved, so that it is never packed again."""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pllava_cli import __version__, saves
from pllava_cli.errors import CheckpointError, UsageError
from pllava_cli.loader import Checked
from pllava_cli.model import saving
from pllava_cli.model.device import quantization_backend
from pllava_cli.model.record import RECORD_FILE, is_save
from pllava_cli.source import Source
from pllava_cli.training.folders import SHARD_BYTES, appearing, check_room, write_checkpoint
from pllava_cli.training.output import write_whole, writing


@dataclass(frozen=True)
class Quantized:
    """What was written, or was there already."""

    out: Path
    quantize: str
    dtype: str
    alpha: float | None
    bytes: int
    is_new: bool


def quantize(
    source: Source,
    quantize: str,
    out: Path | None = None,
    *,
    dtype: str = "auto",
    device: str = "auto",
    on_bytes: Callable[[int, int], None] = lambda done, total: None,
    shard_bytes: int = SHARD_BYTES,
) -> Quantized:
    """Write a checkpoint packed.

    Args:
        source: The checkpoint.
        quantize: "4bit" or "8bit".
        out: The folder to write, which must not exist; None: where loading looks for it.
        dtype: Precision of what is not packed, and of the arithmetic; "auto": what fits here.
        device: Where to pack.
        on_bytes: Told the bytes read so far and in all.
        shard_bytes: Largest weight file.

    Raises:
        PllavaError: The checkpoint cannot be read, `out` is there, or cannot be written.
    """
    if out is not None and os.path.lexists(out):
        raise UsageError(f"{out} is already there", "name a folder that is not")
    checked = source.check(device=device, dtype=dtype, quantize=quantize)
    if is_save(checked.folder):
        raise UsageError(f"{source.model} is a save already", "use it as it is")
    origin = checked.origin
    target = out or saves.place(origin)
    if out is None and saves.found(origin)[0] is not None:
        return _told(target, origin, is_new=False)
    with writing(target.parent, "name another folder with -o, or free some space", named=target):
        _write(checked, target, shard_bytes, on_bytes)
    return _told(target, origin, is_new=True)


def _told(folder: Path, origin: saves.Origin, *, is_new: bool) -> Quantized:
    plan = origin.prepared.plan
    size = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    return Quantized(folder, plan.quantize, plan.dtype, origin.alpha, size, is_new)


def _write(checked: Checked, target: Path, shard_bytes: int, on_bytes: Callable[[int, int], None]) -> None:
    origin = checked.origin
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"cannot make {target.parent}: {error.strerror}", "name another folder with -o"
        ) from None
    with appearing(target) as folder:
        # Only now: what a kill had left there is gone.
        check_room(target, saving.bytes_needed(checked.prepared))
        record = saves.record_of(origin, f"pllava {__version__}, {quantization_backend()[1]}")
        write_whole(folder / RECORD_FILE, record.text())  # first: by it a broken-off one is known
        write_checkpoint(folder, checked, saving.packed_tensors(checked.prepared, on_bytes), shard_bytes)
        if saves.files_of(origin) != record.files:
            raise CheckpointError(
                f"the files of {origin.folder} have changed while they were read", "start again"
            )
        if target == saves.place(origin) and target.exists():  # of another state of the source
            shutil.rmtree(target)
