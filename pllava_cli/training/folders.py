"""A checkpoint's folder, whole or not there: written under another name, it takes its own at the end.

So a kill leaves nothing that looks whole, and a second run that would write the same is told to wait.
"""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import save_file

from pllava_cli.errors import MemoryFullError, UsageError
from pllava_cli.loader import Checked
from pllava_cli.locks import held, is_in_place
from pllava_cli.model.memory import within_memory
from pllava_cli.training.output import CONFIG, taken_over, write_description, write_whole

SHARD_BYTES = 1_000_000_000
"""Largest weight file: as much is in memory while it is written."""
MARGIN_BYTES = 32 << 20
"""Beside the weights: the tokenizer, the index, and the file system's own."""


@contextmanager
def appearing(target: Path) -> Iterator[Path]:
    """An empty folder, ours alone, that is called `target` once the work in it has ended well.

    Its name until then is `.NAME.partial`, beside the target; what a kill left in it is deleted.

    Args:
        target: It must not exist, or be an empty folder, when the work has ended.

    Raises:
        UsageError: Another run is writing it, or has just written it.
        OSError: The folder cannot be made or renamed.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.partial")
    partial.mkdir(exist_ok=True)
    busy = UsageError(f"another run is writing {target}", "wait for it to end")
    gone = UsageError(f"another run has just written {target}", "look at it")
    with held(partial, busy, gone) as descriptor:
        for left in partial.iterdir():  # by a kill
            left.unlink()
        try:
            yield partial
            _sync(partial)
            partial.rename(target)
        finally:  # there only if something, an interruption perhaps, came between
            if is_in_place(descriptor, partial):
                shutil.rmtree(partial, ignore_errors=True)


def _sync(folder: Path) -> None:
    """Have all files on the disk before the folder gets its name."""
    for file in folder.iterdir():
        with file.open("rb") as stream, suppress(OSError):  # file systems that cannot sync
            os.fsync(stream.fileno())


def check_room(target: Path, weight_bytes: int) -> None:
    """See that a checkpoint fits the disk of the folder it is to be in, which is there.

    Args:
        target: What the checkpoint will be called.
        weight_bytes: Of its weights.

    Raises:
        UsageError: It does not.
    """
    needed, free = weight_bytes + MARGIN_BYTES, shutil.disk_usage(target.parent).free
    if free < needed:
        raise UsageError(
            f"{target} needs {needed / 1e9:.2f} GB of disk, and {free / 1e9:.2f} GB are free there",
            "free some space, or name a folder on another disk with -o",
        )


def write_checkpoint(
    folder: Path, checked: Checked, tensors: Iterator[tuple[str, torch.Tensor]], shard_bytes: int
) -> tuple[int, int]:
    """Write a checkpoint's weights, and what it has beside them.

    Args:
        folder: It is there.
        checked: What it is made from.
        tensors: Names and values.
        shard_bytes: Largest weight file.

    Returns:
        How many tensors and bytes.

    Raises:
        CheckpointError: What it is made from cannot be read.
        MemoryFullError: The memory does not suffice to make them.
    """
    plan = checked.prepared.plan
    taken_over(checked)  # what hinders that is told before hours of work
    try:
        written = within_memory(plan, 0, partial(_write_shards, folder, tensors, shard_bytes))
    except MemoryFullError:  # none of the options that make loading lighter would do so here
        raise MemoryFullError(
            f"the memory of {plan.device} does not suffice to make the checkpoint", "free memory"
        ) from None
    write_description(folder, checked)
    for file in folder.glob("*.safetensors"):
        shutil.copymode(folder / CONFIG, file)  # the library makes it the owner's alone
    return written


def _write_shards(
    folder: Path, tensors: Iterator[tuple[str, torch.Tensor]], shard_bytes: int
) -> tuple[int, int]:
    """Write weight files of limited size, and their index; returns how many tensors and bytes."""
    shards: list[list[str]] = []
    shard: dict[str, torch.Tensor] = {}
    size = total = 0

    def flush() -> None:
        save_file(shard, folder / f"shard-{len(shards)}", metadata={"format": "pt"})
        shards.append(list(shard))
        shard.clear()

    for name, tensor in tensors:
        if shard and size + tensor.nbytes > shard_bytes:
            flush()
            size = 0
        shard[name] = tensor
        size, total = size + tensor.nbytes, total + tensor.nbytes
    flush()
    weight_map: dict[str, str] = {}
    for number, names in enumerate(shards):
        file = f"model-{number + 1:05d}-of-{len(shards):05d}.safetensors"
        (folder / f"shard-{number}").rename(folder / file)
        weight_map |= dict.fromkeys(names, file)
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    write_whole(folder / "model.safetensors.index.json", json.dumps(index, indent=1))
    return len(weight_map), total
