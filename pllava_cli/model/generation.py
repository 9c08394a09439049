"""From a filled cache to token ids, one at a time: token ids in, token ids out, no text."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import LogitsProcessorList, TemperatureLogitsWarper, TopPLogitsWarper

from pllava_cli.errors import UsageError
from pllava_cli.model.cache import PrefixCache
from pllava_cli.model.modeling import PllavaForConditionalGeneration
from pllava_cli.model.overflow import overflowed

Stopped = Literal["eos", "length", "repetition"]

COLDEST = 1e-5
"""Temperature below which the likeliest token is taken: to divide by less leaves float32's range."""
LOOP_TOKENS = 32
"""Length of a tail that counts as a loop; chosen so that lists and songs' refrains pass."""
LOOP_REPEATS = 4
"""Times a phrase must have come in a row to count as a loop."""
LONGEST_PHRASE = 64
"""Longest phrase looked for, in tokens."""
STEP_KERNELS = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]
"""Kernels of attention for few tokens. cuDNN's, which torch prefers on Hopper and Blackwell, prepares for
each length anew, which took 0.4 s on a B200 (https://github.com/modelscope/FunASR/issues/3704)."""
LOST = -1
"""Stands for the token where none can be chosen, because the logits are no finite numbers."""


@dataclass(frozen=True)
class Decoding:
    """How tokens are chosen."""

    max_new_tokens: int = 256
    """Most tokens of one answer."""
    temperature: float = 0.0
    """0 takes the likeliest token (greedy); above, tokens are drawn."""
    top_p: float = 1.0
    """When drawing: the likeliest tokens that together have this probability."""
    seed: int | None = None
    """When drawing: the same seed gives the same answer."""

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1:
            raise UsageError(
                f"{self.max_new_tokens} new tokens cannot be generated", "give --max-new-tokens 1 or more"
            )
        if not 0 <= self.temperature < math.inf:
            raise UsageError(
                f"a temperature of {self.temperature} does not exist", "give --temperature 0 or more"
            )
        if not 0 < self.top_p <= 1:
            raise UsageError(f"a top-p of {self.top_p} does not exist", "give --top-p above 0 and at most 1")
        if self.seed is not None and not 0 <= self.seed < 1 << 64:
            raise UsageError(f"a seed of {self.seed} does not fit", "give --seed from 0 to 2^64 - 1")


class TokenRun:
    """The tokens of one answer, to be iterated over once; `stopped` says why it ended.

    Args:
        model: The model whose cache it is.
        cache: Filled with everything before `ids`; the answer is appended to it.
        ids: The rest of the prompt, at least one token.
        decoding: How tokens are chosen.
        stop_ids: Tokens that end an answer and do not belong to it.

    Raises:
        PllavaError: While it is iterated over: the model's numbers overflow (`overflow.overflowed`).
    """

    def __init__(
        self,
        model: PllavaForConditionalGeneration,
        cache: PrefixCache,
        ids: Sequence[int],
        decoding: Decoding,
        stop_ids: frozenset[int],
    ) -> None:
        self.stopped: Stopped = "length"
        self.ids: list[int] = []
        self.first_token_s = 0.0
        """Seconds from the start to the first token."""
        self._model, self._cache, self._decoding, self._stop_ids = model, cache, decoding, stop_ids
        self._prompt = list(ids)
        self._warpers = warpers_of(decoding)
        self._random = generator_of(decoding, model.device)

    def __iter__(self) -> Iterator[int]:
        self._cache.reserve(self._cache.length + len(self._prompt) + self._decoding.max_new_tokens)
        ids, began = self._prompt, time.perf_counter()
        for _ in range(self._decoding.max_new_tokens):
            logits_BV = step(self._model, self._cache, [ids])
            (token,) = choose(logits_BV, [self._random], self._decoding, self._warpers)
            self.first_token_s = self.first_token_s or time.perf_counter() - began
            if token == LOST:
                raise overflowed(self._model)
            if token in self._stop_ids:
                self.stopped = "eos"
                return
            self.ids.append(token)
            yield token
            if is_looping(self.ids):
                self.stopped = "repetition"
                return
            ids = [token]


@torch.inference_mode()
@sdpa_kernel(STEP_KERNELS)
def step(
    model: PllavaForConditionalGeneration,
    cache: PrefixCache,
    ids: Sequence[Sequence[int]],
    attention_mask: Tensor | None = None,
    position_ids: Tensor | None = None,
) -> Tensor:
    """Run ids through the model, appending to the cache.

    Args:
        model: The model.
        cache: Its rows that are worked on are as many as there are rows of ids.
        ids: As many in each row.
        attention_mask: What each row may look at [B, filled + new]; None: all of it.
        position_ids: How the ids are numbered [B, new]; None: as they stand in the cache.

    Returns:
        The logits [B, V] after the last of each row, which the next step may write over.
    """
    input_ids = torch.tensor(ids, device=model.device)
    places = {"attention_mask": attention_mask, "position_ids": position_ids}
    if input_ids.shape[1] == 1 and model.recorder is not None:
        recording = model.recorder.recording(model, cache, len(input_ids))
        if recording is not None:
            return recording.play(cache, input_ids, **places)
    output = model(input_ids=input_ids, cache=cache, use_cache=True, logits_to_keep=1, **places)
    logits_BV: Tensor = output.logits[:, -1]
    return logits_BV


@torch.inference_mode()
def prefill(
    model: PllavaForConditionalGeneration,
    cache: PrefixCache,
    embeddings_BSD: Tensor,
    on_layer: Callable[[int], None] | None = None,
    positions_BS: Tensor | None = None,
) -> None:
    """Fill the cache with embeddings [B, S, D]; no logits are computed.

    Args:
        model: The model.
        cache: What it holds comes before the embeddings.
        embeddings_BSD: Of text and visual tokens, in order.
        on_layer: Told the number of layers done, as each is: on a CPU this takes minutes.
        positions_BS: Where they stand; `None`: one after another behind what the cache holds.
    """
    language_model = model.model.language_model
    hooks = []
    if on_layer:
        for number, layer in enumerate(language_model.layers, 1):
            hooks.append(layer.register_forward_hook(partial(_tell_layer, on_layer, number)))
    try:
        cache.reserve(cache.length + embeddings_BSD.shape[1])
        language_model(inputs_embeds=embeddings_BSD, position_ids=positions_BS, cache=cache, use_cache=True)
    finally:
        for hook in hooks:
            hook.remove()


def _tell_layer(on_layer: Callable[[int], object], number: int, *_: object) -> None:
    """Tell of a layer; whatever comes back, torch would take for the layer's output."""
    on_layer(number)


@torch.inference_mode()
def choose(
    logits_BV: Tensor,
    randoms: Sequence[torch.Generator],
    decoding: Decoding,
    warpers: LogitsProcessorList,
) -> list[int]:
    """The next token of each row, or `LOST`; one wait for the device, however many rows there are.

    Args:
        logits_BV: After the last token of each row.
        randoms: The random numbers of each row.
        decoding: How tokens are chosen.
        warpers: Those of `decoding`.
    """
    if is_greedy(decoding):
        tokens_B = logits_BV.argmax(-1)  # which takes NaN for the highest
        is_known_B = logits_BV.gather(-1, tokens_B[:, None])[:, 0].isfinite()
    else:
        likely_BV = warpers(None, logits_BV.float()).softmax(-1)  # which one NaN or infinity makes all NaN
        is_known_B = likely_BV[:, 0].isfinite()
        likely_BV = likely_BV.where(is_known_B[:, None], 1.0)  # of NaN nothing can be drawn
        drawn = [
            torch.multinomial(likely_V[None], 1, generator=random)
            for likely_V, random in zip(likely_BV, randoms, strict=True)
        ]
        tokens_B = torch.cat(drawn).flatten()
    tokens: list[int] = tokens_B.where(is_known_B, LOST).tolist()
    return tokens


def is_looping(ids: Sequence[int]) -> bool:
    """Whether the tail of `ids` is one phrase said again and again."""
    for period in range(1, min(LONGEST_PHRASE, len(ids) // LOOP_REPEATS) + 1):
        if ids[-1] != ids[-1 - period]:
            continue
        span = max(period * LOOP_REPEATS, LOOP_TOKENS)
        if len(ids) >= span and all(ids[-i] == ids[-i - period] for i in range(1, span - period + 1)):
            return True
    return False


def is_greedy(decoding: Decoding) -> bool:
    """Whether the likeliest token is taken, and nothing drawn."""
    return decoding.temperature < COLDEST


def generator_of(decoding: Decoding, device: torch.device) -> torch.Generator:
    """The random numbers of one answer."""
    random = torch.Generator(device=device)
    if decoding.seed is None:
        random.seed()
    else:
        random.manual_seed(decoding.seed)
    return random


def warpers_of(decoding: Decoding) -> LogitsProcessorList:
    """What temperature and top-p do to logits."""
    warpers = LogitsProcessorList()
    if decoding.temperature > 0:
        warpers.append(TemperatureLogitsWarper(float(decoding.temperature)))
        if decoding.top_p < 1:
            warpers.append(TopPLogitsWarper(decoding.top_p))
    return warpers
