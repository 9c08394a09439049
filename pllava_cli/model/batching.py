"""Several clips in one cache, and the tokens of their answers in one forward pass per step.

Where all clips are asked the same, nothing is padded: all prompts of a batch are equal but for the visual
tokens, so that all rows have one length at every step. Questions that differ in length begin after as many
positions that nobody looks at. A row whose answer has ended changes places with the last row that still
goes on, and the batch becomes one row shorter; what its clip left in the cache stays for the next
question.
"""

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from pllava_cli.model.cache import PrefixCache
from pllava_cli.model.generation import (
    LOST,
    Decoding,
    Stopped,
    choose,
    generator_of,
    is_looping,
    prefill,
    step,
    warpers_of,
)
from pllava_cli.model.modeling import PllavaForConditionalGeneration
from pllava_cli.model.visual import VisualTokens

POSITIONS_AT_ONCE = 8192
"""Positions put through the language model in one pass over several clips. A pass of so many keeps any
device at its arithmetic; more would only take memory, about 100 KB of activations each at 7B."""


def clips_per_pass(prefix_length: int) -> int:
    """How many clips are put through the language model in one pass: at least one."""
    return max(1, POSITIONS_AT_ONCE // prefix_length)


def remember(
    model: PllavaForConditionalGeneration,
    prefix_ids: list[int],
    clips: int,
    visual: Iterable[VisualTokens],
    behind: int,
    on_layer: Callable[[int], None] | None = None,
    copies: Sequence[int] = (),
) -> PrefixCache:
    """Prefill a cache with a row for each clip, and rows behind these that are copies.

    Args:
        model: The model.
        prefix_ids: System text and placeholders, the same for all clips.
        clips: How many.
        visual: Their visual tokens, on the model's device; those of a pass are asked for as it begins.
        behind: Positions reserved after the clips.
        on_layer: Told the number of layers done, in each pass.
        copies: Of which row each further one is a copy.
    """
    cache = _allocated(model, clips + len(copies), len(prefix_ids) + behind)
    at_once, coming = clips_per_pass(len(prefix_ids)), iter(visual)
    for first in range(0, clips, at_once):
        some = list(islice(coming, min(at_once, clips - first)))
        with torch.inference_mode():
            ids = torch.tensor([prefix_ids] * len(some), device=model.device)
            embeddings = model.embed(ids, torch.cat([each.tokens_SD for each in some]))
            widths = [each.widths_S for each in some if each.widths_S is not None]
            positions = model.positions(ids, torch.cat(widths)) if widths else None
        cache.rewind(0)
        cache.work_on(slice(first, first + len(some)))
        prefill(model, cache, embeddings, on_layer, positions)
    cache.work_on(slice(None))
    for row, source in enumerate(copies, clips):
        cache.copy_row(source, row)
    if model.device.type == "cuda":
        # So that the time told is the time taken; the whole device may not be waited for while another thread
        # records a graph.
        torch.cuda.current_stream(model.device).synchronize()
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
        self.is_lost = False
        """Whether the model's numbers have overflowed, so that there is no answer."""
        self.first_token_s = 0.0
        self.generate_s = 0.0
        """Seconds from the batch's start to this answer's first token, and to its end."""
        self.random = generator_of(decoding, device)
        """Its own, so that what is drawn for a clip does not depend on the clips beside it."""
        self._most, self._stop_ids = decoding.max_new_tokens, stop_ids

    def take(self, token: int) -> bool:
        """Add a token, or `LOST`; whether the answer goes on."""
        if token == LOST:
            self.is_lost = True
            return False
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
    prompts: Mapping[int, Sequence[int]],
    decoding: Decoding,
    stop_ids: frozenset[int],
) -> dict[int, TokenRow]:
    """The answers to a prompt about each of some clips of a cache.

    Args:
        model: The model whose cache it is.
        cache: Filled with everything before the prompts; the answers are appended to it.
        order: Which clip lies in each row; kept true as rows change places.
        prompts: By clip the ids of the rest of its prompt, at least one.
        decoding: How tokens are chosen.
        stop_ids: Tokens that end an answer and do not belong to it.
    """
    began = time.perf_counter()
    said = {clip: TokenRow(decoding, stop_ids, model.device) for clip in prompts}
    warpers = warpers_of(decoding)
    going = _bring_forward(cache, order, prompts)
    stagger = Stagger(cache.length, prompts, decoding.max_new_tokens, model.device)
    cache.reserve(stagger.positions)
    inputs = [stagger.padded(clip) for clip in order[:going]]
    while going:
        cache.work_on(slice(going))
        rows = [said[clip] for clip in order[:going]]
        places = stagger.places(order[:going], cache.length, len(inputs[0]))
        logits_BV = step(model, cache, inputs, **places)
        tokens = choose(logits_BV, [row.random for row in rows], decoding, warpers)
        now = time.perf_counter() - began
        for row in reversed(range(going)):
            rows[row].first_token_s = rows[row].first_token_s or now
            if rows[row].take(tokens[row]):
                continue
            rows[row].generate_s = now
            going -= 1
            _exchange(cache, row, going, order, tokens)
        inputs = [[token] for token in tokens[:going]]
    cache.work_on(slice(None))
    return said


class Stagger:
    """Where the rest of prompts of different lengths stands, so that all end at one position of the cache.

    A shorter one begins after positions that hold nothing and that none of its tokens looks at; its tokens
    are numbered as if these were not there.

    Args:
        before: Positions filled, the same for all.
        prompts: By clip the ids that follow.
        most: Tokens of the longest answer.
        device: The model's.
    """

    def __init__(
        self, before: int, prompts: Mapping[int, Sequence[int]], most: int, device: torch.device
    ) -> None:
        longest = max(map(len, prompts.values()), default=0)
        self.positions = before + longest + most
        """Positions that the longest prompt and answer come to."""
        self._prompts, self._longest, self._device = prompts, longest, device
        self._missing = {clip: longest - len(ids) for clip, ids in prompts.items()}
        self._seen: dict[int, Tensor] = {}
        if any(self._missing.values()):
            for clip, missing in self._missing.items():
                seen_S = torch.ones(self.positions, dtype=torch.int64, device=device)
                seen_S[before : before + missing] = 0
                self._seen[clip] = seen_S

    def padded(self, clip: int) -> list[int]:
        """The ids of a clip's prompt, as many as the longest has."""
        ids = list(self._prompts[clip])
        return ids[:1] * (self._longest - len(ids)) + ids

    def places(self, clips: Sequence[int], filled: int, new: int) -> dict[str, Tensor]:
        """What the network must be told of the rows of some clips; nothing where all are equally long.

        Args:
            clips: One a row.
            filled: Positions of the cache that are.
            new: Tokens to come.
        """
        if not self._seen:
            return {}
        numbers_S = torch.arange(filled, filled + new, device=self._device)
        missing_B1 = torch.tensor([[self._missing[clip]] for clip in clips], device=self._device)
        seen_BS = torch.stack([self._seen[clip][: filled + new] for clip in clips])
        return {"attention_mask": seen_BS, "position_ids": (numbers_S - missing_B1).clamp(min=0)}


def _bring_forward(cache: PrefixCache, order: list[int], wanted: Collection[int]) -> int:
    """Let some clips have the first rows; returns how many they are. No row is moved that need not be."""
    rows = len(wanted)
    idle = [row for row in range(rows) if order[row] not in wanted]
    for row in range(rows, len(order)):
        if order[row] in wanted:
            _exchange(cache, idle.pop(), row, order)
    return rows


def _exchange(cache: PrefixCache, one: int, other: int, *lists: list[int]) -> None:
    if one == other:
        return
    cache.swap(one, other)
    for each in lists:
        each[one], each[other] = each[other], each[one]
