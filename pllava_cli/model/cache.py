"""A key-value cache that is filled once with a clip and then answers any number of questions.

The library's growing cache copies everything for every token. This one writes into a buffer with
room at the end; going back to the clip is setting a number. The clip's part is never written again.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicLayer

ROOM = 512
"""Positions a buffer is given beyond what is asked for when it has to grow."""


class PrefixLayer(DynamicLayer):  # type: ignore[misc]
    """Keys and values [B, heads, length, width] of one layer, at the start of a larger buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.length = 0
        self.rows = slice(None)
        """Rows that are worked on; the others keep what they hold."""
        self.place: Tensor | None = None
        """Where the next position lies [1], where only the device knows it (`PrefixCache.writing_at`)."""
        self._reserved = 0

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Take type, place and sizes from the first keys."""
        self.dtype, self.device = key_states.dtype, key_states.device
        batch, heads, _, width = key_states.shape
        self.keys = key_states.new_empty((batch, heads, self._reserved, width))
        self.values = value_states.new_empty((batch, heads, self._reserved, value_states.shape[-1]))
        self.is_initialized = True

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: object, **kwargs: object
    ) -> tuple[Tensor, Tensor]:
        """Append keys and values; returns views of all so far, with `place` those of the whole buffers."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        if self.place is not None:
            keys = self.keys[self.rows].index_copy_(2, self.place, key_states)
            return keys, self.values[self.rows].index_copy_(2, self.place, value_states)
        start, end = self.length, self.length + key_states.shape[-2]
        if end > self.keys.shape[-2]:
            self.reserve(end + ROOM)
        self.keys[self.rows, :, start:end] = key_states
        self.values[self.rows, :, start:end] = value_states
        self.length = end
        return self.keys[self.rows, :, :end], self.values[self.rows, :, :end]

    def reserve(self, positions: int) -> None:
        """Make room for `positions` in all."""
        if not self.is_initialized:
            self._reserved = max(self._reserved, positions)
            return
        if positions <= self.keys.shape[-2]:
            return
        self.keys = _grown(self.keys, self.length, positions)
        self.values = _grown(self.values, self.length, positions)

    def get_seq_length(self) -> int:
        """Positions filled."""
        return self.length

    def clear_unfilled(self) -> None:
        """Set to zero what lies behind the positions filled."""
        for buffer in (self.keys, self.values):
            buffer[:, :, self.length :].zero_()

    def swap(self, one: int, other: int) -> None:
        """Exchange two rows."""
        for buffer in (self.keys, self.values):
            kept = buffer[one, :, : self.length].clone()
            buffer[one, :, : self.length] = buffer[other, :, : self.length]
            buffer[other, :, : self.length] = kept

    def copy_row(self, source: int, target: int) -> None:
        """Let a row hold what another does."""
        for buffer in (self.keys, self.values):
            buffer[target, :, : self.length] = buffer[source, :, : self.length]

    def copy(self, length: int) -> "PrefixLayer":
        """A layer of its own, with the first `length` positions."""
        twin = PrefixLayer()
        twin.dtype, twin.device, twin.is_initialized, twin.length = self.dtype, self.device, True, length
        twin.keys = _grown(self.keys, length, length + ROOM)
        twin.values = _grown(self.values, length, length + ROOM)
        return twin


def _grown(buffer: Tensor, length: int, positions: int) -> Tensor:
    larger = buffer.new_empty((*buffer.shape[:2], positions, buffer.shape[3]))
    larger[:, :, :length] = buffer[:, :, :length]
    larger[:, :, length:] = 0  # so that what was clear stays clear
    return larger


class PrefixCache(Cache):  # type: ignore[misc]
    """All layers' keys and values, with a prefix that is kept."""

    def __init__(self, layers: int) -> None:
        super().__init__(layers=[PrefixLayer() for _ in range(layers)])
        self._is_clear = False

    @property
    def length(self) -> int:
        """Positions filled."""
        return int(self.layers[0].length)

    @property
    def nbytes(self) -> int:
        """Bytes of all buffers."""
        return sum(layer.keys.nbytes + layer.values.nbytes for layer in self.layers if layer.is_initialized)

    @property
    def buffer(self) -> Tensor:
        """The first layer's keys [rows, heads, positions reserved, width], whether filled or not."""
        keys: Tensor = self.layers[0].keys
        return keys

    def rewind(self, length: int) -> None:
        """Forget all positions from `length` on."""
        self._is_clear = False
        for layer in self.layers:
            layer.length = length

    @contextmanager
    def writing_at(self, place: Tensor, rows: slice) -> Iterator[None]:
        """Let one more position of some rows be written, again and again, where a tensor [1] says.

        Attention is then given the whole buffers, so that it must be masked. No length changes.
        """
        worked_on = self.layers[0].rows
        try:
            for layer in self.layers:
                layer.place, layer.rows = place, rows
            yield
        finally:
            for layer in self.layers:
                layer.place, layer.rows = None, worked_on

    def advance(self) -> None:
        """Count the position that was written last among those filled."""
        for layer in self.layers:
            layer.length += 1

    def clear_unfilled(self) -> None:
        """Set to zero what lies behind the positions filled: masked or not, attention makes NaN of NaN."""
        if self._is_clear:
            return
        for layer in self.layers:
            layer.clear_unfilled()
        self._is_clear = True

    def reserve(self, positions: int) -> None:
        """Make room for `positions` in all, so that no token has to grow the buffers."""
        for layer in self.layers:
            layer.reserve(positions)

    def work_on(self, rows: slice) -> None:
        """Let what follows read and append to these rows only; the positions filled are those of all."""
        for layer in self.layers:
            layer.rows = rows

    @torch.inference_mode()
    def swap(self, one: int, other: int) -> None:
        """Exchange two rows."""
        for layer in self.layers:
            layer.swap(one, other)

    @torch.inference_mode()
    def copy_row(self, source: int, target: int) -> None:
        """Let a row hold what another does."""
        for layer in self.layers:
            layer.copy_row(source, target)

    @torch.inference_mode()
    def allocate(
        self, rows: int, heads: int, width: int, dtype: torch.dtype, places: Sequence[torch.device]
    ) -> None:
        """Take the memory reserved at once, for keys and values [rows, heads, reserved, width].

        Args:
            rows: Clips.
            heads: Key-value heads.
            width: Of a head.
            dtype: Of the keys and values.
            places: Of each layer's.
        """
        for layer, place in zip(self.layers, places, strict=True):
            nothing = torch.empty((rows, heads, 0, width), dtype=dtype, device=place)
            layer.lazy_initialization(nothing, nothing)

    @torch.inference_mode()
    def copy(self, length: int) -> "PrefixCache":
        """A cache of its own, with the first `length` positions."""
        twin = PrefixCache(0)
        twin.layers = [layer.copy(length) for layer in self.layers]
        return twin
