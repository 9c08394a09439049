"""LoRA folded into the weights: any checkpoint becomes one plain folder that needs no adapter.

The folder has the names of LLaVA's own checkpoints, so that other tools read it too.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from pllava_cli.errors import UsageError
from pllava_cli.loader import Checked
from pllava_cli.model.filling import merged, reading_order
from pllava_cli.model.layout import Recipe, canonical
from pllava_cli.model.overflow import in_precision
from pllava_cli.model.precision import TORCH_DTYPES
from pllava_cli.model.record import is_save
from pllava_cli.model.tensors import StoredTensor, TensorReader, list_tensors
from pllava_cli.source import Source
from pllava_cli.training.folders import SHARD_BYTES, appearing, check_room, write_checkpoint
from pllava_cli.training.output import writing

_STORED = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
_OLD_NAMES = (
    ("lm_head.", "language_model.lm_head."),
    ("model.language_model.", "language_model.model."),
    ("model.vision_tower.", "vision_tower.vision_model."),
    ("model.multi_modal_projector.", "multi_modal_projector."),
)
"""Start of a parameter's name -> start of its name in a LLaVA checkpoint."""


@dataclass(frozen=True)
class Merged:
    """What was written."""

    out: Path
    alpha: float
    tensors: int
    bytes: int


def merge(
    source: Source,
    out: Path,
    *,
    dtype: str = "auto",
    on_bytes: Callable[[int, int], None] = lambda done, total: None,
    shard_bytes: int = SHARD_BYTES,
) -> Merged:
    """Write a checkpoint with its LoRA folded in.

    Args:
        source: The checkpoint.
        out: The folder to write; it must not exist.
        dtype: Precision of what is written; "auto": each tensor as it is stored now.
        on_bytes: Told the bytes read so far and in all.
        shard_bytes: Largest weight file.

    Raises:
        PllavaError: The checkpoint cannot be read, has no LoRA, or `out` is there or does not fit the disk.
    """
    if os.path.lexists(out):
        raise UsageError(f"{out} is already there", "name a folder that is not")
    checked = source.check(device="cpu")
    recipes = checked.prepared.recipes
    if is_save(checked.folder):
        raise UsageError(f"{source.model} is packed, with its LoRA merged", "merge what it was made from")
    if checked.alpha is None:
        raise UsageError(f"{source.model} has no LoRA weights to merge", "use it as it is")
    cure = "name another folder, or free some space"
    with writing(out.parent, cure, named=out), appearing(out) as folder:
        whole = {**recipes, **_unused(checked)}
        # Only now: what a kill had left there is gone.
        check_room(out, sum(_written_bytes(recipe, dtype) for recipe in whole.values()))
        tensors = _tensors(whole, checked.alpha, dtype, on_bytes)
        count, size = write_checkpoint(folder, checked, tensors, shard_bytes)
    return Merged(out, checked.alpha, count, size)


def _tensors(
    recipes: Mapping[str, Recipe], alpha: float, dtype: str, on_bytes: Callable[[int, int], None]
) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield name and value of everything that is to be written."""
    total, done = sum(recipe.bytes for recipe in recipes.values()), 0
    reader = TensorReader()
    for name, recipe in sorted(recipes.items(), key=lambda item: reading_order(item[1])):
        value = in_precision(merged(reader, recipe, alpha), _written(recipe, dtype), name)
        yield _old_name(name), value.contiguous()
        done += recipe.bytes
        on_bytes(done, total)


def _written(recipe: Recipe, dtype: str) -> torch.dtype:
    """The precision in which a tensor is written."""
    assert recipe.weight is not None, "the layout's plan fills every weight"
    return TORCH_DTYPES.get(dtype, _STORED[recipe.weight.dtype])


def _written_bytes(recipe: Recipe, dtype: str) -> int:
    assert recipe.weight is not None, "the layout's plan fills every weight"
    return torch.Size(recipe.weight.shape).numel() * _written(recipe, dtype).itemsize


def _unused(checked: Checked) -> dict[str, Recipe]:
    """What PLLaVA does not run but other tools' LLaVA does: the top of the vision tower."""
    stored: list[StoredTensor] = list_tensors(checked.base or checked.folder)
    named = ((canonical(tensor.key), tensor) for tensor in stored)
    return {
        name: Recipe(weight=tensor)
        for (name, role), tensor in named
        if role == "weight"
        and name.startswith("model.vision_tower.")
        and name not in checked.prepared.recipes
        and tensor.dtype in _STORED
    }


def _old_name(name: str) -> str:
    return next((old + name.removeprefix(new) for new, old in _OLD_NAMES if name.startswith(new)), name)
