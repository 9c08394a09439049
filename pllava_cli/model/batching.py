"""Several clips in one cache, and the tokens of their answers in one forward pass per step.

Nothing is padded: all prompts of a batch are equal but for the visual tokens, so that all rows have
one length at every step. A row whose answer has ended changes places with the last row that still
goes on, and the batch becomes one row shorter; what its clip left in the cache stays for the next
question.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pllava_cli.model.cache import PrefixCache
from pllava_cli.model.generation import (
    Decoding,
    Stopped,
    generator_of,
    is_greedy,
    is_looping,
    prefill,
    warpers_of,
)
from pllava_cli.model.modeling import FramesSeen, PllavaForConditionalGeneration
from pllava_cli.model.preprocessing import ClipPreprocessor, Frames

POSITIONS_AT_ONCE = 8192
"""Positions put through the language model in one pass over several clips. A pass of so many keeps any
device at its arithmetic; more would only take memory, about 100 KB of activations each at 7B."""
FRAMES_AT_ONCE = 64
"""Frames whose patches are projected in one pass over several clips, for the same reason."""


def clips_per_pass(prefix_length: int, num_frames: int) -> int:
    """How many clips are encoded in one pass: at least one, and no more than the two bounds allow."""
    return max(1, min(POSITIONS_AT_ONCE // prefix_length, FRAMES_AT_ONCE // num_frames))


def remember(
    model: PllavaForConditionalGeneration,
    preprocess: ClipPreprocessor,
    prefix_ids: list[int],
    pictures: Sequence[Frames],
    behind: int,
    on_frames: FramesSeen | None = None,
    on_layer: Callable[[int], None] | None = None,
) -> PrefixCache:
    """Encode B clips: vision tower, projector, and prefill of a cache with B rows.

    Args:
        model: The model.
        preprocess: Its `normalise` makes the pixels.
        prefix_ids: System text and placeholders, the same for all clips.
        pictures: Of each clip, uint8 [num_frames, S, S, 3].
        behind: Positions reserved after the clips.
        on_frames: Told the frames seen, and how many there are, in each pass.
        on_layer: Told the number of layers done, in each pass.
    """
    cache = _allocated(model, len(pictures), len(prefix_ids) + behind)
    at_once = clips_per_pass(len(prefix_ids), model.config.num_frames)
    for first in range(0, len(pictures), at_once):
        some = pictures[first : first + at_once]
        with torch.inference_mode():
            pixels = preprocess.normalise(np.concatenate(some))
            visual, widths = model.model.encode_clips(pixels, on_frames)
            ids = torch.tensor([prefix_ids] * len(some), device=model.device)
            embeddings = model.embed(ids, visual.flatten(0, 1))
            positions = None if widths is None else model.positions(ids, widths)
        cache.rewind(0)
        cache.work_on(slice(first, first + len(some)))
        prefill(model, cache, embeddings, on_layer, positions)
    cache.work_on(slice(None))
    if model.device.type == "cuda":
        torch.cuda.synchronize(model.device)  # so that the time told is the time taken
    return cache


def _allocated(model: PllavaForConditionalGeneration, clips: int, positions: int) -> PrefixCache:
    text = model.config.text_config
    cache = PrefixCache(text.num_hidden_layers)
    cache.reserve(positions)
    dtype, layers = model.get_input_embeddings().weight.dtype, model.model.language_model.layers
    places = [next(layer.parameters()).device for layer in layers]
    cache.allocate(clips, text.num_key_value_heads, head_width(text), dtype, places)
    return cache


def head_width(text_config: Any) -> int:
    """Width of one head of the language model."""
    width: int = text_config.head_dim or text_config.hidden_size // text_config.num_attention_heads
    return width


class TokenRow:
    """The tokens of one answer among several; ends as a `TokenRun` does."""

    def __init__(self, decoding: Decoding, stop_ids: frozenset[int], device: torch.device) -> None:
        self.ids: list[int] = []
        self.stopped: Stopped = "length"
        self.first_token_s = 0.0
        self.generate_s = 0.0
        """Seconds from the batch's start to this answer's first token, and to its end."""
        self.random = generator_of(decoding, device)
        """Its own, so that what is drawn for a clip does not depend on the clips beside it."""
        self._most, self._stop_ids = decoding.max_new_tokens, stop_ids

    def take(self, token: int) -> bool:
        """Add a token; whether the answer goes on."""
        if token in self._stop_ids:
            self.stopped = "eos"
            return False
        self.ids.append(token)
        if is_looping(self.ids):
            self.stopped = "repetition"
            return False
        return len(self.ids) < self._most


@torch.inference_mode()
def run_together(
    model: PllavaForConditionalGeneration,
    cache: PrefixCache,
    order: list[int],
    ids: Sequence[int],
    decoding: Decoding,
    stop_ids: frozenset[int],
) -> list[TokenRow]:
    """The answers to one prompt about all clips of a cache, in the clips' own order.

    Args:
        model: The model whose cache it is.
        cache: Filled with everything before `ids`; the answers are appended to it.
        order: Which clip lies in each row; kept true as rows change places.
        ids: The rest of the prompt, at least one token.
        decoding: How tokens are chosen.
        stop_ids: Tokens that end an answer and do not belong to it.
    """
    began = time.perf_counter()
    said = [TokenRow(decoding, stop_ids, model.device) for _ in order]
    warpers = warpers_of(decoding)
    cache.reserve(cache.length + len(ids) + decoding.max_new_tokens)
    going = len(order)
    inputs = torch.tensor([list(ids)] * going, device=model.device)
    while going:
        cache.work_on(slice(going))
        rows = [said[clip] for clip in order[:going]]
        tokens = _choose(_logits(model, cache, inputs), rows, decoding, warpers)
        now = time.perf_counter() - began
        for row in reversed(range(going)):
            rows[row].first_token_s = rows[row].first_token_s or now
            if rows[row].take(tokens[row]):
                continue
            rows[row].generate_s = now
            going -= 1
            _exchange(cache, order, tokens, row, going)
        inputs = torch.tensor(tokens[:going], device=model.device)[:, None]
    cache.work_on(slice(None))
    return said


def _logits(model: PllavaForConditionalGeneration, cache: PrefixCache, ids_BS: Tensor) -> Tensor:
    """Logits [B, V] after the last of ids [B, S]."""
    output = model(input_ids=ids_BS, past_key_values=cache, use_cache=True, logits_to_keep=1)
    logits_BV: Tensor = output.logits[:, -1]
    return logits_BV


def _choose(logits_BV: Tensor, rows: Sequence[TokenRow], decoding: Decoding, warpers: Any) -> list[int]:
    if is_greedy(decoding):
        greedy: list[int] = logits_BV.argmax(-1).tolist()
        return greedy
    likely_BV = warpers(None, logits_BV.float()).softmax(-1)
    drawn = [
        torch.multinomial(likely_V[None], 1, generator=row.random)
        for likely_V, row in zip(likely_BV, rows, strict=True)
    ]
    tokens: list[int] = torch.cat(drawn).flatten().tolist()  # one wait for the device, not one a row
    return tokens


def _exchange(cache: PrefixCache, order: list[int], tokens: list[int], one: int, other: int) -> None:
    if one == other:
        return
    cache.swap(one, other)
    for each in (order, tokens):
        each[one], each[other] = each[other], each[one]
