"""A checkpoint as it is saved once it is packed: read in a moment, with nothing left to merge or pack.

A save is a folder of safetensors under the network's own parameter names, packed layers as
bitsandbytes names and orders them, and `quantized.json`, which says what it was made from and how.
What it holds is to the bit what loading the source in 4 or 8 bits puts into memory.
"""

import shlex
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import torch

from pllava_cli.errors import UsageError
from pllava_cli.model import layout, quantization
from pllava_cli.model.config import read_config
from pllava_cli.model.empty import empty_model, set_generation, shapes_of
from pllava_cli.model.filling import merged, reading_order
from pllava_cli.model.jsonfile import read_json
from pllava_cli.model.layout import Recipe
from pllava_cli.model.loading import Prepared
from pllava_cli.model.modeling import PllavaForConditionalGeneration
from pllava_cli.model.options import LoadOptions, runtime_of
from pllava_cli.model.overflow import in_precision
from pllava_cli.model.record import RECORD_FILE, Record, parsed
from pllava_cli.model.tensors import DTYPE_BYTES, StoredTensor, TensorReader, list_tensors

_DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
_LONGEST_DESCRIPTION = 1024
"""Bytes; bitsandbytes writes about 170."""


def read_record(folder: Path) -> Record:
    """What a save was made from, and how.

    Raises:
        CheckpointError: There is no record, or it is damaged.
    """
    file = folder / RECORD_FILE
    return parsed(read_json(file), file)


def prepare_save(folder: Path, options: LoadOptions) -> Prepared:
    """Check the save in `folder`, and decide where it will run; as `loading.prepare` does for others.

    Raises:
        CheckpointError: It is no complete save.
        DeviceError: The device is not there, or the model does not fit.
        UsageError: An option that asks for something else than what was saved.
    """
    record = read_record(folder)
    _check_asked(folder, record, options)
    raw = read_json(folder / "config.json")
    config = read_config(raw, options.num_frames, options.pooling_shape, options.keep_tokens)
    model = empty_model(config)
    recipes = recipes_of(folder, record, model)
    set_generation(model, folder)
    named = frozenset(options.named) - {"quantize"}  # packed as it is, whatever is asked
    options = replace(options, named=named, dtype=record.dtype, quantize=record.quantize)
    plan = runtime_of(model, options)
    return Prepared(model, plan, recipes, record.alpha, is_merged=record.alpha is not None)


def _check_asked(folder: Path, record: Record, options: LoadOptions) -> None:
    made = f"{folder} is a {record.quantize} save in {record.dtype}"
    again = f"make another: pllava models quantize {shlex.quote(record.source)}"
    if options.base is not None:
        raise UsageError(f"--base was given, but {folder} is a whole checkpoint", "leave --base out")
    if options.quantize not in ("auto", record.quantize):
        raise UsageError(f"{made}, not {options.quantize}", f"leave --quantize out, or {again}")
    if options.dtype not in ("auto", record.dtype):
        raise UsageError(f"{made}, not {options.dtype}", f"leave --dtype out, or {again}")
    if options.alpha is not None and record.alpha is not None and options.alpha != record.alpha:
        raise UsageError(
            f"{made} at alpha {record.alpha:g}, not {options.alpha:g}", f"leave --alpha out, or {again}"
        )


def recipes_of(folder: Path, record: Record, model: PllavaForConditionalGeneration) -> dict[str, Recipe]:
    """Decide which tensors of a save make which parameter; as strict as `layout.plan`.

    Raises:
        CheckpointError: Tensors are missing, too many, or of another kind or shape than they must be: a
            packed layer's are handed to native code, which looks no further.
    """
    tensors = list_tensors(folder)
    stored = {tensor.key: tensor for tensor in tensors}
    packable, wrong = quantization.packable(model), list[str]()
    missing, known = list[str](), set[str]()
    recipes: dict[str, Recipe] = {}
    for name, shape in shapes_of(model).items():
        owner = name.rpartition(".")[0]
        wanted: dict[str, tuple[str, tuple[int, ...] | None]] = {name: ("", shape)}
        if name in packable:
            parts = quantization.parts_of(shape, record.quantize)
            wanted = {f"{owner}.{part}": of for part, of in parts.items()}
        known |= wanted.keys()
        found = [stored[key] for key in wanted if key in stored]
        missing += [key for key in wanted if key not in stored]
        wrong += [said for each in found if (said := _wrong(each, *wanted[each.key])) is not None]
        if len(found) == len(wanted):
            recipes[name] = Recipe(weight=found[0], scales=tuple(found[1:]))
    strange = [tensor for tensor in tensors if tensor.key not in known]
    layout.check_names(missing, strange, layout.where(tensors))
    layout.refuse(wrong, "the save is damaged, or its config.json belongs to another checkpoint")
    return recipes


def _wrong(tensor: StoredTensor, kind: str, shape: tuple[int, ...] | None) -> str | None:
    """What is wrong with a tensor that should hold numbers of a kind ("": plain ones) in a shape."""
    if tensor.dtype != kind if kind else tensor.dtype not in _DTYPES:
        return f"{layout.held(tensor)} numbers"
    if shape is None:
        is_row = len(tensor.shape) == 1 and tensor.shape[0] <= _LONGEST_DESCRIPTION
        return None if is_row else layout.misshaped(tensor, (_LONGEST_DESCRIPTION,))
    return None if tensor.shape == shape else layout.misshaped(tensor, shape)


def bytes_needed(prepared: Prepared) -> int:
    """Bytes of the weights of a save, near enough."""
    packable, total = quantization.packable(prepared.model), 0
    for name, shape in shapes_of(prepared.model).items():
        if name in packable:
            for kind, size in quantization.parts_of(shape, prepared.plan.quantize).values():
                numbers = _LONGEST_DESCRIPTION if size is None else torch.Size(size).numel()
                total += DTYPE_BYTES[kind] * numbers
        else:
            total += torch.Size(shape).numel() * _kept(prepared, prepared.recipes[name]).itemsize
    return total


def packed_tensors(
    prepared: Prepared, on_bytes: Callable[[int, int], None]
) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield name and value of every tensor of a save; once only, and one layer in memory at a time.

    Args:
        prepared: The checkpoint, with the quantisation and precision to save in its plan.
        on_bytes: Told the bytes read so far and in all.

    Raises:
        CheckpointError: A file cannot be read after all.
        UsageError: A weight is beyond the range of the precision.
    """
    plan, model, reader = prepared.plan, prepared.model, TensorReader()
    quantization.replace_linears(model, plan.quantize, plan.torch_dtype)
    packed = quantization.packable(model)
    total, done = sum(recipe.bytes for recipe in prepared.recipes.values()), 0
    for name, recipe in sorted(prepared.recipes.items(), key=lambda item: reading_order(item[1])):
        weight = merged(reader, recipe, prepared.alpha)
        if name in packed:
            owner = name.rpartition(".")[0]
            module = model.get_submodule(owner)
            empty = module.weight
            weight = in_precision(weight, plan.torch_dtype, name)
            quantization.pack(module, weight, torch.device(plan.device))
            for part, value in quantization.packed_parts(module).items():
                yield f"{owner}.{part}", value
            quantization.clear(module, empty)
        else:
            yield name, in_precision(weight, _kept(prepared, recipe), name).contiguous()
        done += recipe.bytes
        on_bytes(done, total)


def _kept(prepared: Prepared, recipe: Recipe) -> torch.dtype:
    """The precision of a weight that is not packed: as it is stored, where that is no less exact."""
    assert recipe.weight is not None, "the layout's plan fills every weight"
    stored, target = _DTYPES.get(recipe.weight.dtype), prepared.plan.torch_dtype
    is_smaller = stored is not None and stored.itemsize < target.itemsize
    return stored if stored is not None and is_smaller and recipe.lora_A is None else target
