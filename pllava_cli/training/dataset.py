"""Examples, their order, and batches of them.

Rows are padded on the right, where no position that counts can see the padding: attention is causal.
So no mask is needed, and attention takes its fast way.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler, get_worker_info

from pllava_cli.model.preprocessing import Frames
from pllava_cli.model.processing import Processor
from pllava_cli.training import sockets
from pllava_cli.training.clips import ClipStore
from pllava_cli.training.data import ClipRef
from pllava_cli.training.patches import Patches
from pllava_cli.training.tokens import IGNORED, Ids, Tokens, expanded

ROUND = 64
"""Rows are filled up to a multiple of so many tokens: the libraries compile their matrix products for each
length that they meet, which on a CPU costs more than the padding."""


@dataclass(frozen=True)
class Example:
    """What is trained on: a clip, and a conversation as ids."""

    clip: ClipRef
    tokens: Tokens


@dataclass(frozen=True)
class Item:
    """An example ready to be put into a batch."""

    frames: Frames | torch.Tensor
    """Pictures [T, S, S, 3], or, of a clip that the vision tower has seen, patches [T, P, width]."""
    ids: Ids
    labels: Ids


class Examples(Dataset[Item]):
    """Examples by number.

    Args:
        examples: The examples.
        store: Their clips.
        patches: What the vision tower has seen in the clips, if it has.
        processor: Of the base.
    """

    def __init__(
        self, examples: Sequence[Example], store: ClipStore, patches: Patches | None, processor: Processor
    ) -> None:
        self._examples, self._store, self._patches = examples, store, patches
        self._placeholder = processor.tokenizer.placeholder_id
        self._visual_tokens = processor.visual_tokens

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, index: int) -> Item:
        if get_worker_info() is not None:
            sockets.make_room()
        example = self._examples[index]
        ids, labels = expanded(example.tokens, self._placeholder, self._visual_tokens)
        frames = self._patches.of(example.clip) if self._patches else self._store.pictures(example.clip)
        return Item(frames, ids, labels)


class Order(Sampler[int]):
    """Every example once an epoch, in an order that follows from seed and epoch alone.

    So a run that goes on from a checkpoint meets the examples that it would have met.
    """

    def __init__(self, count: int, seed: int) -> None:
        self._count, self._seed = count, seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch begins."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[int]:
        return iter(np.random.default_rng((self._seed, self.epoch)).permutation(self._count).tolist())


class Collator:
    """Makes batches.

    Args:
        processor: Of the base.
    """

    def __init__(self, processor: Processor) -> None:
        self._normalise = processor.preprocess.normalise
        self._pad = processor.pad_id

    def __call__(self, items: Sequence[Item]) -> dict[str, torch.Tensor]:
        """Tensors of a batch.

        Returns:
            `input_ids` and `labels` [B, S]; `pixel_values` [B * T, 3, S, S], or patches [B * T, P, width].
        """
        length = -(-max(len(item.ids) for item in items) // ROUND) * ROUND
        return {
            "input_ids": torch.from_numpy(_padded([item.ids for item in items], length, self._pad)),
            "labels": torch.from_numpy(_padded([item.labels for item in items], length, IGNORED)),
            "pixel_values": self._frames([item.frames for item in items]),
        }

    def _frames(self, frames: Sequence[Frames | torch.Tensor]) -> torch.Tensor:
        seen = [each for each in frames if isinstance(each, torch.Tensor)]
        if seen:
            return torch.cat(seen)
        return self._normalise(np.concatenate([each for each in frames if isinstance(each, np.ndarray)]))


def _padded(rows: Sequence[Ids], length: int, value: int) -> np.ndarray:
    padded = np.full((len(rows), length), value, np.int64)
    for row, filled in zip(rows, padded, strict=True):
        filled[: len(row)] = row
    return padded
