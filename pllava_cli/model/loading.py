"""A checkpoint folder becomes a model.

The network is built without memory, the checkpoint's tensors are accounted for by name and shape,
device and precision are chosen by what fits; only then are weights read, one parameter at a time:
LoRA merged at alpha, cast, packed if asked, and put in place. Memory peaks near the final size.
"""

import json
import math
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights
from torch import nn

from pllava_cli.errors import CheckpointError, UsageError
from pllava_cli.model import device as devices
from pllava_cli.model import heap, layout, quantization
from pllava_cli.model.config import PllavaConfig, read_config
from pllava_cli.model.device import RuntimePlan
from pllava_cli.model.many_rows import WideLinear, put_layers
from pllava_cli.model.modeling import FRAMES_AT_ONCE_ON_CPU, PllavaForConditionalGeneration
from pllava_cli.model.plan import INT8
from pllava_cli.model.pooling import PoolingShape
from pllava_cli.model.spreading import connect
from pllava_cli.model.tensors import (
    REOPEN_BYTES,
    StoredTensor,
    TensorReader,
    check_readable,
    list_tensors,
)

TRIM_BYTES = 32 << 20
"""After reading this many bytes, what was freed meanwhile goes back to the system."""

BytesLoaded = Callable[[int, int], None]
"""Called with (bytes read so far, bytes in all)."""


@dataclass(frozen=True)
class Lighter:
    """A preset with which a clip takes less memory and time. None: as the checkpoint has it."""

    preset: str
    num_frames: int | None
    pooling_shape: tuple[int, int, int] | None


@dataclass(frozen=True)
class LoadOptions:
    """How a checkpoint is to be loaded; `None` and "auto" leave the choice to it and to the machine."""

    alpha: float | None = None
    """Strength of the LoRA weights; they are merged scaled by alpha / rank."""
    dtype: str = "auto"
    quantize: str = "auto"
    device: str = "auto"
    encode: str = "auto"
    """How a CPU multiplies the many rows of a clip: one of `device.ENCODINGS`."""
    base: Path | None = None
    """Folder of the checkpoint that an adapter lies over."""
    num_frames: int | None = None
    pooling_shape: PoolingShape | None = None
    keep_tokens: float = 1.0
    """The share of the visual tokens to leave."""
    lighter: tuple[Lighter, ...] = ()
    """What an error may offer where the memory does not suffice: other options, and then"""
    smaller: tuple[devices.Offer, ...] = ()
    """other checkpoints."""
    named: Collection[str] = devices.NAMED
    """The options that the user has: no error or warning names another."""
    must_fit: bool = True
    """Whether it is an error that the model does not fit, because it is to run here."""


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
    check_readable(file)
    try:
        parsed = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(
            f"{file.parent} has no {file.name}", "give a folder that holds a whole checkpoint"
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{file} cannot be read: {error}", "the file is damaged; get it again"
        ) from error
    if not isinstance(parsed, dict):
        raise CheckpointError(f"{file} is not a JSON object", "the file is damaged; get it again")
    return parsed


@dataclass(frozen=True)
class Prepared:
    """A checkpoint that has passed every check; not a weight of it has been read."""

    model: PllavaForConditionalGeneration
    """The network, its parameters still without memory."""
    plan: RuntimePlan
    recipes: dict[str, layout.Recipe]
    alpha: float | None
    is_merged: bool = False
    """Whether LoRA weights have been merged into what is read."""

    @property
    def has_lora(self) -> bool:
        """Whether there are LoRA weights, to be merged or merged already."""
        return self.is_merged or any(recipe.lora_A for recipe in self.recipes.values())

    def load(self, on_bytes: BytesLoaded | None = None) -> Loaded:
        """Read the weights; once only.

        Raises:
            CheckpointError: A file cannot be read after all.
        """
        packed: set[str] = set()
        if self.plan.quantize != "none":
            packed = quantization.replace_linears(
                self.model, self.plan.quantize, self.plan.torch_dtype, self.plan.torch_many_rows
            )
        if self.plan.many_rows == INT8:
            from pllava_cli.model.eight_bits import EightBitLinear

            # The projector is small, and all that the language model sees of a clip comes through it.
            put_layers(self.model, EightBitLinear, but={"multi_modal_projector"})
        elif self.plan.many_rows not in (None, self.plan.dtype):
            put_layers(self.model, WideLinear)
        if self.plan.device == "cpu":
            self.model.model.frames_at_once = FRAMES_AT_ONCE_ON_CPU
        _fill(self.model, self.recipes, packed, self.plan, self.alpha, on_bytes)
        language_model = self.model.model.language_model
        connect(self.model, language_model.layers, language_model.norm)
        if self.plan.device == "cpu":
            heap.keep_freed()
        return Loaded(self.model.eval(), self.plan, self.has_lora)

    def merge_again(self, alpha: float) -> bool:
        """Merge LoRA at another alpha into the model once it is loaded; only what that changes is read again.

        Returns:
            Whether it could be: not where there is no LoRA, or the weights are stored with it merged.

        Raises:
            CheckpointError: A file cannot be read after all; the model is of no use then.
            UsageError: Such an alpha does not exist.
        """
        _check_alpha(alpha)
        changed = {name: recipe for name, recipe in self.recipes.items() if recipe.lora_A}
        packed: set[str] = set()
        if self.plan.quantize != "none":
            packed = {f"{name}.weight" for name in quantization.quantizable(self.model)}
        _fill(self.model, changed, packed, self.plan, alpha, None)
        return bool(changed)


def prepare(folder: Path, options: LoadOptions) -> Prepared:
    """Check the checkpoint in `folder`, and decide where and how it will run.

    Raises:
        CheckpointError: The folder is no complete PLLaVA checkpoint.
        DeviceError: The device is not there, or the model does not fit.
        UsageError: An option that does not apply to this checkpoint.
    """
    raw = read_json(folder / "config.json")
    config = read_config(raw, options.num_frames, options.pooling_shape, options.keep_tokens)
    model = empty_model(config)
    recipes = _recipes(folder, options, model)
    set_generation(model, folder)
    runtime = runtime_of(model, options, options.dtype, options.quantize)
    return Prepared(model, runtime, recipes, options.alpha)


def runtime_of(
    model: PllavaForConditionalGeneration, options: LoadOptions, dtype: str, quantize: str
) -> RuntimePlan:
    """Decide where and how a network will run; raises as `devices.choose` does."""
    shapes = shapes_of(model)
    packable = {f"{name}.weight" for name in quantization.quantizable(model)}
    smaller = options.smaller if "model" in options.named else ()
    return devices.choose(
        devices.footprint(model.config, shapes, packable),
        options.device,
        dtype,
        quantize,
        encode=options.encode,
        offers=(*_lighter(model.config, shapes, packable, options), *smaller),
        named=options.named,
        must_fit=options.must_fit,
    )


def _lighter(
    config: PllavaConfig, shapes: dict[str, tuple[int, ...]], packable: set[str], options: LoadOptions
) -> Iterator[devices.Offer]:
    """What presets would take, by the options with which the user can have them; never more than now."""
    for each in options.lighter:
        frames = min(each.num_frames or config.num_frames, config.num_frames)
        shape = tuple(map(min, each.pooling_shape or config.pooling_shape, config.pooling_shape))
        if "preset" in options.named:
            option = f"--preset {each.preset}"
        elif {"frames", "pooling_shape"} <= set(options.named):
            option = f"--frames {frames} --pooling-shape {','.join(map(str, shape))}"
        else:
            continue
        tokens = round(config.keep_tokens * math.prod(shape))
        need = devices.footprint(config, shapes, packable, num_frames=frames, visual_tokens=tokens)
        yield devices.Offer(option, need.bytes, need.products)


def load(folder: Path, options: LoadOptions, on_bytes: BytesLoaded | None = None) -> Loaded:
    """Load the checkpoint in `folder`; raises as `prepare` and `Prepared.load` do."""
    return prepare(folder, options).load(on_bytes)


def empty_model(config: PllavaConfig) -> PllavaForConditionalGeneration:
    """The network with parameters that have shapes but no memory; its buffers are real.

    Raises:
        CheckpointError: The configuration describes no network.
    """
    try:
        with init_empty_weights(include_buffers=False):
            model = PllavaForConditionalGeneration(config)
    except Exception as error:  # an unknown activation, heads that do not divide a width, and the like
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise CheckpointError(
            f"config.json describes a network that cannot be built ({reason})",
            "the file is damaged or belongs to another kind of model",
        ) from error
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
    _check_alpha(options.alpha)
    if options.alpha is None and any(recipe.lora_A for recipe in recipes.values()):
        raise UsageError(
            f"{folder} has LoRA weights, but no alpha says how strongly they count",
            "give --alpha, for example --alpha 4",
        )
    return recipes


def _check_alpha(alpha: float | None) -> None:
    if alpha is not None and not math.isfinite(alpha):
        raise UsageError(f"an alpha of {alpha} does not exist", "give --alpha a number, such as 4")


def _fill(
    model: nn.Module,
    recipes: dict[str, layout.Recipe],
    packed: set[str],
    runtime: RuntimePlan,
    alpha: float | None,
    on_bytes: BytesLoaded | None,
) -> None:
    reader = TensorReader()
    dtype = runtime.torch_dtype
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
    module: Any, reader: TensorReader, recipe: layout.Recipe, runtime: RuntimePlan, device: torch.device
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


def reading_order(recipe: layout.Recipe) -> tuple[bool, str, str]:
    """Sorts the large tensors first, while little else is in memory; the others as they lie in the files."""
    first = recipe.parts[0]
    return first.bytes < REOPEN_BYTES, str(first.file), first.key


def merged(reader: TensorReader, recipe: layout.Recipe, alpha: float | None) -> torch.Tensor:
    """The parameter's value: W, or W + alpha / rank * B @ A in float32 (LoRA, arXiv 2106.09685)."""
    weight = reader.read(_of(recipe.weight))
    if recipe.lora_A is None or not alpha:
        return weight
    low, high = reader.read(recipe.lora_A).float(), reader.read(_of(recipe.lora_B)).float()
    return torch.addmm(weight.float(), high, low, alpha=alpha / low.shape[0])


def _of(tensor: StoredTensor | None) -> StoredTensor:
    assert tensor is not None, "the layout's plan fills every part"
    return tensor


def set_generation(model: PllavaForConditionalGeneration, folder: Path) -> None:
    """Give `generate` the checkpoint's own special tokens, and greedy decoding."""
    text = model.config.text_config
    stored = (
        read_json(folder / "generation_config.json") if (folder / "generation_config.json").exists() else {}
    )
    generation = model.generation_config
    generation.do_sample = False
    for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
        value = stored.get(name, getattr(text, name))
        if value is not None and not _are_ids(value, text.vocab_size, several=name == "eos_token_id"):
            raise CheckpointError(
                f"{name} is {value!r} in generation_config.json or config.json, the model has "
                f"{text.vocab_size} embeddings",
                "the file is damaged or belongs to another checkpoint",
            )
        setattr(generation, name, value)
    if generation.pad_token_id is None:
        generation.pad_token_id = 0


def _are_ids(value: Any, vocabulary: int, *, several: bool) -> bool:
    ids = value if several and isinstance(value, list) else [value]
    return all(isinstance(i, int) and 0 <= i < vocabulary for i in ids)
