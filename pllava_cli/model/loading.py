"""A checkpoint folder becomes a model.

The network is built without memory, the checkpoint's tensors are accounted for by name and shape,
device and precision are chosen by what fits; only then are weights read, one parameter at a time:
LoRA merged at alpha, cast, packed if asked, and put in place. Memory peaks near the final size.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights
from torch import nn

from pllava_cli.errors import CheckpointError, UsageError
from pllava_cli.model import device as devices
from pllava_cli.model import layout, quantization
from pllava_cli.model.config import PllavaConfig, read_config
from pllava_cli.model.device import RuntimePlan
from pllava_cli.model.modeling import PllavaForConditionalGeneration
from pllava_cli.model.pooling import Shape
from pllava_cli.model.tensors import StoredTensor, TensorReader, list_tensors

BytesLoaded = Callable[[int, int], None]
"""Called with (bytes read so far, bytes in all)."""


@dataclass(frozen=True)
class LoadOptions:
    """How a checkpoint is to be loaded; `None` and "auto" leave the choice to it and to the machine."""

    alpha: float | None = None
    """Strength of the LoRA weights; they are merged scaled by alpha / rank."""
    dtype: str = "auto"
    quantize: str = "auto"
    device: str = "auto"
    base: Path | None = None
    """Folder of the checkpoint that an adapter lies over."""
    num_frames: int | None = None
    pooling_shape: Shape | None = None


@dataclass(frozen=True)
class Loaded:
    """A model ready for inference, and what was decided on the way."""

    model: PllavaForConditionalGeneration
    plan: RuntimePlan
    has_lora: bool


def read_json(file: Path) -> dict[str, Any]:
    """A checkpoint's JSON file.

    Raises:
        CheckpointError: It is missing or is no JSON object.
    """
    try:
        parsed = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(
            f"{file.parent} has no {file.name}", "give a folder that holds a whole checkpoint"
        ) from error
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{file} cannot be read: {error}", "the file is damaged; get it again"
        ) from error
    if not isinstance(parsed, dict):
        raise CheckpointError(f"{file} is not a JSON object", "the file is damaged; get it again")
    return parsed


def load(folder: Path, options: LoadOptions, on_bytes: BytesLoaded | None = None) -> Loaded:
    """Load the checkpoint in `folder`.

    Raises:
        CheckpointError: The folder is no complete PLLaVA checkpoint.
        DeviceError: The device is not there, or the model does not fit.
        UsageError: An option that does not apply to this checkpoint.
    """
    config = read_config(read_json(folder / "config.json"), options.num_frames, options.pooling_shape)
    model = empty_model(config)
    recipes = _recipes(folder, options, model)
    shapes = shapes_of(model)
    packable = {f"{name}.weight" for name in quantization.quantizable(model)}
    runtime = devices.choose(
        devices.footprint(config, shapes, packable), options.device, options.dtype, options.quantize
    )
    packed: set[str] = set()
    if runtime.quantize != "none":
        packed = quantization.replace_linears(model, runtime.quantize, runtime.torch_dtype)
    _fill(model, recipes, packed, runtime, options.alpha, on_bytes)
    _set_generation(model, folder)
    return Loaded(model.eval(), runtime, any(recipe.lora_A for recipe in recipes.values()))


def empty_model(config: PllavaConfig) -> PllavaForConditionalGeneration:
    """The network with parameters that have shapes but no memory; its buffers are real."""
    with init_empty_weights(include_buffers=False):
        model = PllavaForConditionalGeneration(config)
    model.requires_grad_(False)
    return model


def shapes_of(model: nn.Module) -> dict[str, tuple[int, ...]]:
    """The shape of every parameter, by name."""
    return {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}


def _recipes(
    folder: Path, options: LoadOptions, model: PllavaForConditionalGeneration
) -> dict[str, layout.Recipe]:
    tensors = list_tensors(folder)
    shapes, depth = shapes_of(model), model.config.vision_depth
    under: dict[str, layout.Recipe] | None = None
    if layout.is_adapter(tensors):
        if options.base is None:
            raise CheckpointError(
                f"{folder} holds only an adapter: LoRA and projector weights",
                "name the checkpoint it was trained from with --base",
            )
        under = layout.plan(shapes, list_tensors(options.base), depth)
    elif options.base is not None:
        raise UsageError(f"--base was given, but {folder} is a whole checkpoint", "leave --base out")
    recipes = layout.plan(shapes, tensors, depth, under)
    if options.alpha is None and any(recipe.lora_A for recipe in recipes.values()):
        raise UsageError(
            f"{folder} has LoRA weights, but no alpha says how strongly they count",
            "give --alpha, for example --alpha 4",
        )
    return recipes


def _fill(
    model: nn.Module,
    recipes: dict[str, layout.Recipe],
    packed: set[str],
    runtime: RuntimePlan,
    alpha: float | None,
    on_bytes: BytesLoaded | None,
) -> None:
    reader = TensorReader()
    device, dtype = torch.device(runtime.device), runtime.torch_dtype
    total, done = sum(part.bytes for recipe in recipes.values() for part in recipe.parts), 0
    for name, recipe in sorted(recipes.items(), key=lambda item: _place(item[1])):
        owner, _, attribute = name.rpartition(".")
        module = model.get_submodule(owner)
        weight = _merged(reader, recipe, alpha)
        if name in packed:
            quantization.pack(module, weight.to(dtype), device)
        else:
            placed = weight.to(device, dtype, copy=True)
            setattr(module, attribute, nn.Parameter(placed, requires_grad=False))
        done += sum(part.bytes for part in recipe.parts)
        if on_bytes:
            on_bytes(done, total)
    for module in model.modules():
        for key, buffer in module.named_buffers(recurse=False):
            setattr(module, key, buffer.to(device))


def _place(recipe: layout.Recipe) -> tuple[str, str]:
    first = recipe.parts[0]
    return str(first.file), first.key


def _merged(reader: TensorReader, recipe: layout.Recipe, alpha: float | None) -> torch.Tensor:
    """The parameter's value: W, or W + alpha / rank * B @ A in float32 (LoRA, arXiv 2106.09685)."""
    weight = reader.read(_of(recipe.weight))
    if recipe.lora_A is None or not alpha:
        return weight
    low, high = reader.read(recipe.lora_A).float(), reader.read(_of(recipe.lora_B)).float()
    return torch.addmm(weight.float(), high, low, alpha=alpha / low.shape[0])


def _of(tensor: StoredTensor | None) -> StoredTensor:
    assert tensor is not None, "the layout's plan fills every part"
    return tensor


def _set_generation(model: PllavaForConditionalGeneration, folder: Path) -> None:
    """Give `generate` the checkpoint's own special tokens, and greedy decoding."""
    text = model.config.text_config
    stored = (
        read_json(folder / "generation_config.json") if (folder / "generation_config.json").exists() else {}
    )
    generation = model.generation_config
    generation.do_sample = False
    generation.bos_token_id = stored.get("bos_token_id", text.bos_token_id)
    generation.eos_token_id = stored.get("eos_token_id", text.eos_token_id)
    pad = stored.get("pad_token_id", text.pad_token_id)
    generation.pad_token_id = pad if pad is not None else 0
