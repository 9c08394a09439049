"""Decoding steps that are recorded once and replayed for every further token.

A replay (on a GPU that of a CUDA graph, `pllava_cli.model.cuda_graph`) repeats the very same work at the very
same addresses. So all that differs from token to token lies in tensors that are written before it, and
attention goes over the whole buffer of the cache, what is not filled yet being masked.
"""

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from pllava_cli.model.cache import PrefixCache

if TYPE_CHECKING:
    from pllava_cli.model.modeling import PllavaForConditionalGeneration

Step = Callable[[], Tensor]
"""Runs the model on tensors that stay where they are; returns its logits."""
Record = Callable[[Step], tuple[Callable[[], object], Tensor]]
"""Makes a step repeatable; returns what repeats it, and the tensor that then holds its logits."""

STEPS_BEFORE = 8
"""Steps taken as they come before one is recorded, which takes as long as a few of them: many answers are no
longer than a letter."""
ALIGNED = 8
"""Numbers from one row of a mask to the next are a multiple of this, or torch copies the mask in each layer
(`preprocess_mask` of aten/src/ATen/native/transformers/attention.cpp)."""


class Recording:
    """The step of one token for the first rows of a cache.

    Args:
        model: The model whose cache it is.
        cache: Its buffers, as they are now, are what the step reads and writes.
        rows: How many.
        record: Makes the step repeatable.
    """

    def __init__(
        self, model: "PllavaForConditionalGeneration", cache: PrefixCache, rows: int, record: Record
    ) -> None:
        self._buffer, device = cache.buffer, model.device
        positions = self._buffer.shape[2]
        width = -(-positions // ALIGNED) * ALIGNED
        self._ids_B1 = torch.zeros((rows, 1), dtype=torch.int64, device=device)
        self._numbers_B1 = torch.full_like(self._ids_B1, cache.length)
        self._place = torch.full((1,), cache.length, dtype=torch.int64, device=device)
        self._is_seen_BP = torch.ones((rows, width), dtype=torch.bool, device=device)
        every_P = torch.arange(width, device=device)

        def step() -> Tensor:
            is_hidden_BP = ~self._is_seen_BP | (every_P > self._place)
            mask_BP = torch.zeros_like(is_hidden_BP, dtype=self._buffer.dtype).masked_fill(
                is_hidden_BP, -torch.inf
            )
            output = model(
                input_ids=self._ids_B1,
                position_ids=self._numbers_B1,
                attention_mask=mask_BP[:, None, None, :positions],
                cache=cache,
                use_cache=True,
                logits_to_keep=1,
            )
            logits_BV: Tensor = output.logits[:, -1]
            return logits_BV

        cache.clear_unfilled()
        with cache.writing_at(self._place, slice(rows)):
            self._replay, self._logits_BV = record(step)

    def belongs_to(self, cache: PrefixCache) -> bool:
        """Whether these are the buffers that a cache has now."""
        return self._buffer is cache.buffer

    def play(
        self,
        cache: PrefixCache,
        ids_B1: Tensor,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
    ) -> Tensor:
        """Append a token to as many rows as ids [B, 1] has; what further rows were given nobody reads.

        Args:
            cache: The one whose buffers these are.
            ids_B1: The tokens.
            attention_mask: What each row may look at [B, positions filled + 1]; None: all of it.
            position_ids: How the tokens are numbered [B, 1]; None: as they stand in the cache.

        Returns:
            Logits [B, V], until the next step.
        """
        rows, place = len(ids_B1), cache.length
        cache.clear_unfilled()
        self._ids_B1[:rows] = ids_B1
        self._place.fill_(place)
        self._numbers_B1.fill_(place)
        self._is_seen_BP.fill_(True)
        if position_ids is not None:
            self._numbers_B1[:rows] = position_ids
        if attention_mask is not None:
            self._is_seen_BP[:rows, : place + 1] = attention_mask.bool()
        self._replay()
        cache.advance()
        return self._logits_BV[:rows]


class StepRecorder:
    """Records steps on the caches of a model once they have come a few times.

    Args:
        record: Makes a step repeatable.
        steps_before: How many come first, for each cache and number of rows.
    """

    def __init__(self, record: Record, steps_before: int = STEPS_BEFORE) -> None:
        self._record, self._steps_before = record, steps_before
        self._kept: WeakKeyDictionary[PrefixCache, dict[int, Recording]] = WeakKeyDictionary()
        self._taken: WeakKeyDictionary[PrefixCache, Counter[int]] = WeakKeyDictionary()

    def recording(
        self, model: "PllavaForConditionalGeneration", cache: PrefixCache, rows: int
    ) -> Recording | None:
        """What takes the next step of so many rows; None: it is taken as it comes."""
        rows = rows_recorded(rows, len(cache.buffer))
        kept = self._kept.setdefault(cache, {})
        if rows in kept and kept[rows].belongs_to(cache):
            return kept[rows]
        taken = self._taken.setdefault(cache, Counter())
        taken[rows] += 1
        if taken[rows] <= self._steps_before:
            return None
        kept.pop(rows, None)  # of buffers that are no more
        try:
            kept[rows] = Recording(model, cache, rows, self._record)
        except RuntimeError:  # memory, most likely: an answer needs no recording
            model.recorder = None
        return kept.get(rows)

    def forget(self) -> None:
        """Drop what has been recorded, because the weights it reads are no longer the model's."""
        self._kept.clear()


def rows_recorded(rows: int, most: int) -> int:
    """For how many rows to record a step that so many need: a batch becomes shorter row by row.

    >>> [rows_recorded(rows, 20) for rows in (1, 3, 8, 9, 17)]
    [1, 4, 8, 16, 20]
    """
    rounded = 1 << (rows - 1).bit_length() if rows <= 8 else -(-rows // 8) * 8
    return min(rounded, most)
