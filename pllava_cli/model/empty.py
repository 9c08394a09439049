"""The network of a checkpoint before its weights: shapes without memory, and what `generate` goes by."""

from pathlib import Path
from typing import Any

from accelerate import init_empty_weights
from torch import nn

from pllava_cli.errors import CheckpointError
from pllava_cli.model.config import PllavaConfig
from pllava_cli.model.jsonfile import read_json
from pllava_cli.model.modeling import PllavaForConditionalGeneration


def empty_model(config: PllavaConfig) -> PllavaForConditionalGeneration:
    """The network with parameters that have shapes but no memory; its buffers are real.

    Raises:
        CheckpointError: The configuration describes no network.
    """
    try:
        with init_empty_weights(include_buffers=False):
            model = PllavaForConditionalGeneration(config)
    except Exception as error:  # an unknown activation, heads that do not divide a width, and the like
        reason = f"{' '.join(f'{type(error).__name__}: {error}'.split()):.500}"
        raise CheckpointError(
            f"config.json describes a network that cannot be built ({reason})",
            "the file is damaged or belongs to another kind of model",
        ) from error
    model.requires_grad_(False)
    return model


def shapes_of(model: nn.Module) -> dict[str, tuple[int, ...]]:
    """The shape of every parameter, by name."""
    return {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}


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
                f"{name} is {value!r:.60} in generation_config.json or config.json, the model has "
                f"{text.vocab_size} embeddings",
                "the file is damaged or belongs to another checkpoint",
            )
        setattr(generation, name, value)
    if generation.pad_token_id is None:
        generation.pad_token_id = 0


def _are_ids(value: Any, vocabulary: int, *, several: bool) -> bool:
    ids = value if several and isinstance(value, list) else [value]
    return all(isinstance(i, int) and 0 <= i < vocabulary for i in ids)
