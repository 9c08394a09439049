"""From the names in a checkpoint to the parameters of the network.

Four layouts are known, and all are brought to the names of transformers 5:

- released: LLaVA names, the language model wrapped by PEFT (`language_model.base_model.model.…`,
  `…q_proj.base_layer.weight`, `…lora_A.default.weight`);
- plain LLaVA in its old names (`language_model.model.…`, `vision_tower.vision_model.…`);
- plain LLaVA in its new names (`model.language_model.…`, `lm_head.weight`);
- adapters: only LoRA and projector tensors, laid over one of the above.

The accounting is strict: each tensor of the file is used or known to be of no use, each parameter
of the network is filled, shapes agree; otherwise nothing is loaded and the names are told.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pllava_cli.errors import CheckpointError
from pllava_cli.model.tensors import StoredTensor
from pllava_cli.phrases import counted

_LORA = re.compile(r"^(?P<module>.+)\.lora_(?P<side>[AB])(?:\.\w+)?\.weight$")
_PREFIXES = (
    ("base_model.model.", ""),
    ("language_model.base_model.model.", "language_model."),
    ("language_model.lm_head.", "lm_head."),
    ("language_model.model.", "model.language_model."),
    ("vision_tower.", "model.vision_tower."),
    ("multi_modal_projector.", "model.multi_modal_projector."),
    ("model.vision_tower.vision_model.", "model.vision_tower."),
)
"""Old start of a name -> new start, applied once each, in this order."""

# Never used: LLaVA-NeXT's row separator, and buffers that older libraries saved.
_USELESS = re.compile(r"(^|\.)image_newline$|\.rotary_emb\.inv_freq$|\.embeddings\.position_ids$")
_VISION_LAYER = re.compile(r"^model\.vision_tower\.encoder\.layers\.(\d+)\.")
# Anything else was quantised by another tool and means nothing without that tool's scales.
_FLOATS = frozenset({"F64", "F32", "F16", "BF16"})
_POST_NORM = "model.vision_tower.post_layernorm."


@dataclass(frozen=True)
class Recipe:
    """What one parameter is made of: a weight, and perhaps a LoRA pair to be merged into it."""

    weight: StoredTensor | None = None
    lora_A: StoredTensor | None = None
    lora_B: StoredTensor | None = None
    scales: tuple[StoredTensor, ...] = ()
    """What a weight that is stored packed is unpacked with; none if it is stored plainly."""

    @property
    def parts(self) -> list[StoredTensor]:
        """The tensors to be read."""
        return [part for part in (self.weight, self.lora_A, self.lora_B, *self.scales) if part]

    @property
    def bytes(self) -> int:
        """Bytes to be read."""
        return sum(part.bytes for part in self.parts)


def canonical(key: str) -> tuple[str, str]:
    """The parameter a checkpoint's tensor belongs to, and its role: "weight", "lora_A" or "lora_B"."""
    role = "weight"
    if found := _LORA.match(key):
        key, role = f"{found['module']}.weight", f"lora_{found['side']}"
    for old, new in _PREFIXES:
        if key.startswith(old):
            key = new + key.removeprefix(old)
    return key.replace(".base_layer.", "."), role


def is_adapter(tensors: Iterable[StoredTensor]) -> bool:
    """Whether a checkpoint holds nothing but LoRA and projector tensors."""
    named = [canonical(tensor.key) for tensor in tensors]
    return bool(named) and all(
        role != "weight" or name.startswith("model.multi_modal_projector.") for name, role in named
    )


def plan(
    shapes: Mapping[str, tuple[int, ...]],
    tensors: Iterable[StoredTensor],
    vision_depth: int,
    over: Mapping[str, Recipe] | None = None,
) -> dict[str, Recipe]:
    """Decide which tensors make which parameter.

    Args:
        shapes: Parameter name -> shape, of the network to be filled.
        tensors: The checkpoint's tensors.
        vision_depth: Number of vision layers that are run; the tensors above are left unread.
        over: Recipes of a base checkpoint, which these tensors are laid over: in the place of its own LoRA
            pairs, of which none may be left.

    Returns:
        Parameter name -> recipe, for every parameter.

    Raises:
        CheckpointError: Tensors are missing, not understood, given twice or of a wrong shape, or the base
            has LoRA pairs where these tensors have nothing.
    """
    tensors = list(tensors)
    recipes: dict[str, Recipe] = {}
    strange: list[StoredTensor] = []
    for tensor in tensors:
        name, role = canonical(tensor.key)
        if name in shapes:
            recipe = recipes.get(name, Recipe())
            if (other := getattr(recipe, role)) is not None:
                raise CheckpointError(
                    f"{name} is given twice: {other.key} in {other.file}, {tensor.key} in {tensor.file.name}",
                    "two checkpoints are mixed in this folder",
                )
            part: dict[str, Any] = {role: tensor}
            recipes[name] = replace(recipe, **part)
        elif not _is_useless(name, vision_depth):
            strange.append(tensor)
    _check_base(over or {}, recipes)
    for name, base in (over or {}).items():
        recipe = recipes.get(name, Recipe())
        recipes[name] = replace(recipe, weight=recipe.weight or base.weight)
    missing = [name for name in shapes if name not in recipes or recipes[name].weight is None]
    check_names(missing, strange, where(tensors))
    _check_shapes(shapes, recipes)
    return recipes


def _check_base(over: Mapping[str, Recipe], recipes: Mapping[str, Recipe]) -> None:
    """Refuse a base whose own LoRA would be lost, or would count at an alpha that is another's."""
    left = [base.lora_A for name, base in over.items() if base.lora_A and name not in recipes]
    if left:
        raise CheckpointError(
            f"{where(left)} has LoRA weights of its own where the adapter has none: "
            f"{_names([each.key for each in left])}",
            "fold them in first: pllava models merge BASE -o FOLDER, then --base FOLDER",
        )


def _is_useless(name: str, vision_depth: int) -> bool:
    layer = _VISION_LAYER.match(name)
    return bool(
        _USELESS.search(name)
        or name.startswith(_POST_NORM)
        or (layer and int(layer.group(1)) >= vision_depth)
    )


def where(tensors: list[StoredTensor]) -> str:
    """What to call the place of some tensors: their file, or the folder of their files."""
    files = {tensor.file for tensor in tensors}
    if not files:
        return "the checkpoint"
    return str(files.pop() if len(files) == 1 else next(iter(files)).parent)


def check_names(missing: list[str], strange: list[StoredTensor], place: str) -> None:
    """Refuse a checkpoint that lacks parameters or has tensors that are none.

    Raises:
        CheckpointError: It names the tensors and where they are, or should be.
    """
    if missing and strange:
        raise CheckpointError(
            f"{place} lacks {_names(missing)} and has {_strange(strange)}",
            "its layout is not known, or its config.json belongs to another checkpoint",
        )
    if missing:
        raise CheckpointError(
            f"{place} lacks {_names(missing)}",
            "the download is incomplete, or the wrong --base was given",
        )
    if strange:
        raise CheckpointError(f"{place} has {_strange(strange)}", "its layout is not known")


def _check_shapes(shapes: Mapping[str, tuple[int, ...]], recipes: Mapping[str, Recipe]) -> None:
    wrong = []
    for name, recipe in recipes.items():
        shape = shapes[name]
        wrong += [f"{held(part)} numbers" for part in recipe.parts if part.dtype not in _FLOATS]
        if recipe.weight and recipe.weight.shape != shape:
            wrong.append(misshaped(recipe.weight, shape))
        first, second = recipe.lora_A, recipe.lora_B
        half = first or second
        if half and not (first and second):
            wrong.append(f"{name} has only one half of its LoRA pair, {half.key} in {half.file.name}")
        elif first and second and not _is_pair(first.shape, second.shape, shape):
            sizes = f"{_size(second.shape)} by {_size(first.shape)}"
            wrong.append(f"the LoRA pair of {name} in {second.file.name} is {sizes}")
    refuse(wrong, "config.json or --base belongs to another checkpoint")


def held(tensor: StoredTensor) -> str:
    """What kind of numbers a tensor holds, in words."""
    return f"{tensor.file.name}: {tensor.key} holds {tensor.dtype}"


def misshaped(tensor: StoredTensor, shape: tuple[int, ...]) -> str:
    """That a tensor has another shape than it should, in words."""
    return f"{tensor.file.name}: {tensor.key} is {_size(tensor.shape)} instead of {_size(shape)}"


def refuse(wrong: list[str], hint: str) -> None:
    """Refuse a checkpoint for what is wrong with it, if anything is.

    Raises:
        CheckpointError: It tells the first three things.
    """
    if wrong:
        more = f" (and {len(wrong) - 3} more)" if len(wrong) > 3 else ""
        raise CheckpointError("; ".join(wrong[:3]) + more, hint)


def _is_pair(first: tuple[int, ...], second: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    """Whether `second` @ `first` has `shape`, over a rank of at least one."""
    if len(first) != 2 or len(second) != 2:
        return False
    return (second[0], first[1]) == shape and first[0] == second[1] > 0


def _size(shape: tuple[int, ...]) -> str:
    return f"{'x'.join(map(str, shape[:20])):.100}" or "a single number"


def _names(names: list[str]) -> str:
    count = counted(len(names), "tensor")
    more = ", …" if len(names) > 3 else ""
    return f"{count} ({', '.join(f'{name:.200}' for name in names[:3])}{more})"


def _strange(tensors: list[StoredTensor]) -> str:
    return f"{_names([each.key for each in tensors])}, which no PLLaVA has, in {tensors[0].file.name}"
