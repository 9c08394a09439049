"""Weights are read and put in place, one parameter at a time: LoRA merged, cast, packed if asked.

Memory peaks near the final size.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from pllava_cli.errors import CheckpointError
from pllava_cli.model import heap, quantization
from pllava_cli.model.layout import Recipe
from pllava_cli.model.plan import RuntimePlan
from pllava_cli.model.tensors import REOPEN_BYTES, StoredTensor, TensorReader

TRIM_BYTES = 32 << 20
"""After reading this many bytes, what was freed meanwhile goes back to the system."""

BytesLoaded = Callable[[int, int], None]
"""Called with (bytes read so far, bytes in all)."""


def fill(
    model: nn.Module,
    recipes: dict[str, Recipe],
    runtime: RuntimePlan,
    alpha: float | None,
    on_bytes: BytesLoaded | None,
) -> None:
    """Read parameters and put them into a network; its buffers go to the device with them.

    Args:
        model: The network, its packed layers in place.
        recipes: What to read, by the parameters' names.
        runtime: Where they go, and in which precision.
        alpha: Strength of LoRA.
        on_bytes: Told the bytes read so far and in all.

    Raises:
        CheckpointError: A file cannot be read after all.
    """
    reader = TensorReader()
    dtype = runtime.torch_dtype
    packed = quantization.packable(model) if runtime.quantize != "none" else set()
    total, done = sum(recipe.bytes for recipe in recipes.values()), 0
    for name, recipe in sorted(recipes.items(), key=lambda item: reading_order(item[1])):
        owner, _, attribute = name.rpartition(".")
        module = model.get_submodule(owner)
        device = torch.device(runtime.device_of(name))
        if recipe.scales:
            _restore(module, reader, recipe, runtime, device)
        elif name in packed:
            quantization.pack(module, merged(reader, recipe, alpha).to(dtype), device)
        else:
            placed = merged(reader, recipe, alpha).to(device, dtype, copy=True)
            setattr(module, attribute, nn.Parameter(placed, requires_grad=False))
        before, done = done, done + recipe.bytes
        if before // TRIM_BYTES != done // TRIM_BYTES:
            heap.give_back()
        if on_bytes:
            on_bytes(done, total)
    for module in model.modules():
        for key, buffer in module.named_buffers(recurse=False):
            setattr(module, key, buffer.to(runtime.device))


def _restore(
    module: Any, reader: TensorReader, recipe: Recipe, runtime: RuntimePlan, device: torch.device
) -> None:
    stored = _of(recipe.weight)
    names = quantization.parts_of((module.out_features, module.in_features), runtime.quantize)
    parts = dict(zip(names, map(reader.read, recipe.parts), strict=True))
    try:
        quantization.restore(module, parts, runtime.torch_dtype, device)
    except ValueError as error:
        raise CheckpointError(
            f"{stored.file}: {stored.key} cannot be used: {error}",
            "the file is damaged; make it again with `pllava models quantize`",
        ) from error


def reading_order(recipe: Recipe) -> tuple[bool, str, str]:
    """Sorts the large tensors first, while little else is in memory; the others as they lie in the files."""
    first = recipe.parts[0]
    return first.bytes < REOPEN_BYTES, str(first.file), first.key


def merged(reader: TensorReader, recipe: Recipe, alpha: float | None) -> torch.Tensor:
    """The parameter's value: W, or W + alpha / rank * B @ A in float32 (LoRA, arXiv 2106.09685)."""
    weight = reader.read(_of(recipe.weight))
    if recipe.lora_A is None or not alpha:
        return weight
    low, high = reader.read(recipe.lora_A).float(), reader.read(_of(recipe.lora_B)).float()
    return torch.addmm(weight.float(), high, low, alpha=alpha / low.shape[0])


def _of(tensor: StoredTensor | None) -> StoredTensor:
    assert tensor is not None, "the layout's plan fills every part"
    return tensor
