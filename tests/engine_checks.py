"""What tests of the engine compare: the clip's memory, and what was said."""

from typing import Any

import torch

from pllava_cli import Answer, EncodedClip
from pllava_cli.engine import Decoding

EXACT: dict[str, Any] = {"dtype": "fp32", "quantize": "none", "device": "cpu"}
SHORT = Decoding(max_new_tokens=16)
QUESTIONS = [None, "What moves?", "Where is it, and which colour has it?"]


def state(encoded: EncodedClip) -> list[torch.Tensor]:
    """A copy of all keys and values of the clip."""
    length = len(encoded.prefix_ids)
    layers = encoded.cache.layers
    return [part[:, :, :length].clone() for layer in layers for part in (layer.keys, layer.values)]


def same(one: list[torch.Tensor], other: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def told(answer: Answer) -> tuple[str, str | None, str, int]:
    return answer.text, answer.question, answer.stopped, answer.new_tokens
