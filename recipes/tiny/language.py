"""Step (b), first half: a language model that reads the world's texts.

A scene is told in words, at once or as moments in order, and then asked about. So every word is met, what
is said is reasoned about, and "before" and "after" mean something, before the model sees anything.
"""

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, IterableDataset
from transformers import LlamaForCausalLM

from pllava_cli.shapes.captions import tell
from pllava_cli.shapes.casting import cast
from pllava_cli.training.tokens import IGNORED
from recipes.tiny.conversation import Row, collate, encode
from recipes.tiny.fit import fit
from recipes.tiny.sizes import language_model
from recipes.tiny.texts import about, storyboard, system
from recipes.tiny.tokens import IMAGE, PAD, id_of, special_ids


class Reading(IterableDataset[dict[str, Tensor]]):
    """Batches of scenes in words, without end."""

    def __init__(self, tokenizer: str, seed: int, batch: int) -> None:
        self.tokenizer, self.seed, self.batch = tokenizer, seed, batch

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        tokenizer = Tokenizer.from_str(self.tokenizer)
        image, pad = (id_of(tokenizer, token) for token in (IMAGE, PAD))
        seed = self.seed
        while True:
            rows: list[Row] = []
            for _ in range(self.batch * 4):
                rows.append(_row(tokenizer, seed, image))
                seed += 1
            rows.sort(key=lambda row: len(row.ids))
            batches = [rows[start : start + self.batch] for start in range(0, len(rows), self.batch)]
            Random(seed).shuffle(batches)
            yield from (collate(some, pad) for some in batches)


def _row(tokenizer: Tokenizer, seed: int, image: int) -> Row:
    rng = Random(f"text {seed}")
    scene = cast(seed)
    told = storyboard(scene, rng) if rng.random() < 0.4 else None
    return encode(tokenizer, system(rng), told or tell(scene, rng), about(scene, rng, 3, 2), image, 1)


def answer_loss(head: nn.Linear, hidden: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """Cross entropy of the answers' tokens, and the share that is right.

    Args:
        head: The language model's.
        hidden: What it reads [rows, length, width].
        labels: Ids [rows, length], `IGNORED` where nothing is to be said.
    """
    wanted = labels[:, 1:]
    is_said = wanted != IGNORED
    said, wanted = head(hidden[:, :-1][is_said]).float(), wanted[is_said]
    return {
        "loss": functional.cross_entropy(said, wanted),
        "right": (said.argmax(-1) == wanted).float().mean(),
    }


def train_language(tokenizer: Tokenizer, out: Path, *, steps: int, batch: int = 24) -> LlamaForCausalLM:
    """Train the language model and save it and its log in `out`."""
    torch.manual_seed(1)
    model = LlamaForCausalLM(language_model(tokenizer.get_vocab_size(), **special_ids(tokenizer)))
    loader: DataLoader[Any] = DataLoader(
        Reading(tokenizer.to_str(), 20_000_000, batch), batch_size=None, num_workers=1
    )

    def step(batch: dict[str, Tensor]) -> dict[str, Tensor]:
        labels = batch.pop("labels")
        return answer_loss(model.lm_head, model.model(**batch, use_cache=False).last_hidden_state, labels)

    hidden = [each for each in model.model.layers.parameters() if each.ndim == 2]
    fit(model, loader, step, steps=steps, learning_rate=1e-3, log=out / "language.jsonl", matrices=hidden)
    torch.save(model.state_dict(), out / "language.pt")
    return model
