"""What is trained: LoRA on the language model's linear layers, by PEFT, and the whole projector.

The projector goes through PEFT too, so that what a run leaves behind is PEFT's own two files and
nothing that only this project could read.
"""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn

from pllava_cli.errors import UsageError
from pllava_cli.model.adapter import CONFIG_FILE, WEIGHTS_FILE
from pllava_cli.model.modeling import PllavaForConditionalGeneration
from pllava_cli.model.quantization import quantizable
from pllava_cli.training.settings import Recipe

ALL_TARGETS = "all"
"""Stands for every linear layer of the language model."""
FRAMES_AT_ONCE = 64
"""Frames in one pass of the vision tower, whose activations are not kept."""
_PROJECTOR = "multi_modal_projector"


def resolved_targets(model: nn.Module, targets: Sequence[str]) -> tuple[str, ...]:
    """The layers that LoRA is put on, by the last part of their names.

    Raises:
        UsageError: The language model has none of such a name.
    """
    known = tuple(dict.fromkeys(name.rpartition(".")[2] for name in quantizable(model)))
    if tuple(targets) == (ALL_TARGETS,):
        return known
    unknown = [name for name in targets if name not in known]
    if unknown or not targets:
        raise UsageError(
            f"the language model has no linear layer named {', '.join(unknown) or 'so'}",
            f"choose among {', '.join(known)} with --targets, or {ALL_TARGETS}",
        )
    return tuple(targets)


def add_lora(model: PllavaForConditionalGeneration, recipe: Recipe, base: str, quantize: str) -> PeftModel:
    """Put LoRA on the language model, and make it and the projector trainable, in float32.

    Args:
        model: The base, frozen.
        recipe: Rank, alpha, dropout and targets are taken.
        base: What adapter_config.json is to name as the base.
        quantize: How the language model is packed.
    """
    names = "|".join(map(re.escape, recipe.targets))
    config = LoraConfig(
        r=recipe.rank,
        lora_alpha=recipe.alpha,  # type: ignore[arg-type]  # PEFT only divides by the rank
        lora_dropout=recipe.dropout,
        # As a pattern over whole names: the vision tower has a q_proj and a v_proj too.
        target_modules=rf"model\.language_model\.layers\.\d+\.(?:self_attn|mlp)\.(?:{names})",
        modules_to_save=[_PROJECTOR],
    )
    flag = {"4bit": "is_loaded_in_4bit", "8bit": "is_loaded_in_8bit"}.get(quantize)
    if flag:
        setattr(model, flag, True)  # tells PEFT which kind of layer it meets
    wrapped: PeftModel = get_peft_model(model, config)
    config.base_model_name_or_path = base
    if flag:
        delattr(model, flag)  # else taken for a model that the libraries themselves have packed
    for parameter in wrapped.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    for module in wrapped.modules():
        # A packed layer that an evaluation brings into bitsandbytes' own order passes no gradient on.
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False  # type: ignore[assignment]
    model.model.frames_at_once = FRAMES_AT_ONCE
    if recipe.gradient_checkpointing:
        model.model.language_model.activation_checkpointing_enable({"use_reentrant": False})
    return wrapped


def trainable(model: nn.Module) -> tuple[int, int]:
    """How many numbers are trained, and how many there are, packed ones counted as they lie."""
    sizes = [(parameter.requires_grad, parameter.numel()) for parameter in model.parameters()]
    return sum(size for is_trained, size in sizes if is_trained), sum(size for _, size in sizes)


def save_adapter(model: PeftModel, folder: Path, state: dict[str, torch.Tensor] | None = None) -> None:
    """Write PEFT's two files into `folder`; the weights come last, and whole."""
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / "adapter.partial"
    shutil.rmtree(partial, ignore_errors=True)
    # The embeddings are never trained; left to decide, PEFT would ask the hub for the base's own.
    model.save_pretrained(str(partial), state_dict=state, save_embedding_layers=False)
    shutil.copymode(partial / CONFIG_FILE, partial / WEIGHTS_FILE)  # the library makes it the owner's alone
    for name in (CONFIG_FILE, WEIGHTS_FILE):
        (partial / name).replace(folder / name)
    shutil.rmtree(partial)
