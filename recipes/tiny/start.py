"""Where the projector starts: tokens that say in the words' own embeddings what the tower's heads read.

A linear head that tells a patch's colour is a direction in which the colour lies; put before the
activation, its score lets through what is there, and behind it the embedding of the colour's word is
the token. Alignment then begins with tokens that mean something, instead of finding them.
"""

import torch
from tokenizers import Tokenizer
from torch import Tensor

from pllava_cli.model.pooling import PooledProjector
from pllava_cli.shapes.scene import BACKGROUNDS, COLOURS, SHAPES
from recipes.tiny.tokens import id_of

LOUD = 0.35
"""Size of a word in a token beside the word itself, per unit of score."""
QUIET = 0.1
"""What is left of the random start of all other units."""
SIGNED = (("right", "left"), ("lower", "upper"), ("large", "small"))
"""Words for more and for less of a place to the right, a place below, and a radius."""


@torch.no_grad()
def start_from_heads(
    projector: PooledProjector, heads: dict[str, Tensor], words: Tensor, tokenizer: Tokenizer
) -> None:
    """Set the projector from the heads of step (a) and the word embeddings [vocabulary, width] of (b)."""
    rows = _Rows(projector, words, tokenizer)
    projector.linear_1.weight.mul_(QUIET)
    projector.linear_2.weight.mul_(QUIET)
    projector.linear_2.bias.zero_()
    for head, names in (("colour", COLOURS), ("shape", SHAPES)):
        weight, bias = heads[f"{head}.weight"], heads[f"{head}.bias"]
        middle, middle_bias = weight.mean(0), bias.mean()
        for number, name in enumerate(names, start=1):
            rows.add((weight[number] - middle) / 4, (bias[number] - middle_bias) / 4 - 0.7, name)
    for number, name in enumerate(BACKGROUNDS):
        weight, bias = heads["background.weight"], heads["background.bias"]
        rows.add((weight[number] - weight.mean(0)) / 8, (bias[number] - bias.mean()) / 8 - 0.5, name)
    # Numbers count where a thing is: where there is none, its score shuts them off.
    shut, shut_bias = heads["colour.weight"][0] / 2, heads["colour.bias"][0] / 2 + 1
    numbers, offsets = heads["numbers.weight"], heads["numbers.bias"]
    for number in range(7):
        said: tuple[str | None, str | None] = SIGNED[number - 2] if 2 <= number < 5 else (None, None)
        for sign, word in zip((1, -1), said, strict=True):
            rows.add(2 * sign * numbers[number] - shut, 2 * sign * offsets[number] - shut_bias + 0.5, word)


class _Rows:
    """Sets the projector's units one after the other."""

    def __init__(self, projector: PooledProjector, words: Tensor, tokenizer: Tokenizer) -> None:
        self._projector, self._words, self._tokenizer = projector, words, tokenizer
        self._next = 0

    def add(self, weight: Tensor, bias: Tensor, name: str | None) -> None:
        """One unit: a direction in the patches, and the word that it says; None: a direction of its own."""
        self._projector.linear_1.weight[self._next] = weight
        self._projector.linear_1.bias[self._next] = bias
        word = id_of(self._tokenizer, f"▁{name}") if name else None
        said = self._words[word] if word is not None else torch.randn_like(self._words[0]) * self._words.std()
        self._projector.linear_2.weight[:, self._next] = said * LOUD
        self._next += 1
