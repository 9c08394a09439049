"""Step (b), second half: image-language alignment on stills, which makes an image LLaVA.

One still is described and asked about; or four stills of a clip, in order, as an image model may be
given several pictures. The vision tower stays as it is; projector and language model are trained.
"""

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from pllava_cli.model.config import PllavaConfig
from pllava_cli.model.modeling import PllavaForConditionalGeneration
from pllava_cli.shapes.casting import cast
from pllava_cli.shapes.render import Picture
from recipes.tiny.conversation import Row, collate, encode
from recipes.tiny.fit import fit
from recipes.tiny.language import answer_loss
from recipes.tiny.sizes import POOLING_SHAPE, TOWER, VISION_FEATURE_LAYER, language_model
from recipes.tiny.start import start_from_heads
from recipes.tiny.texts import about_still, is_ordered, moments, one_of, system
from recipes.tiny.tokens import IMAGE, PAD, id_of, special_ids
from recipes.tiny.tower import GRID, normalise, picture_of

STILL_SHAPE = (1, *POOLING_SHAPE[1:])
"""A still is pooled as each frame of a clip will be: the more of them are seen in the same time."""
PER_STILL = STILL_SHAPE[1] * STILL_SHAPE[2]
"""Visual tokens of a still."""


class Looking(IterableDataset[dict[str, Tensor]]):
    """Batches of stills, or of four stills of a clip each, without end."""

    def __init__(self, tokenizer: str, seed: int, stills: int, boards: int) -> None:
        self.tokenizer, self.seed, self.stills, self.boards = tokenizer, seed, stills, boards

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        self._tokenizer = Tokenizer.from_str(self.tokenizer)
        image, pad = (id_of(self._tokenizer, token) for token in (IMAGE, PAD))
        seed = self.seed
        while True:
            is_board = bool(self.boards) and seed // 1000 % 4 == 3
            rows: list[Row] = []
            pictures: list[Picture] = []
            while len(rows) < (self.boards if is_board else self.stills):
                row, some = self._row(seed, image, is_board)
                seed += 1
                if row:
                    rows.append(row)
                    pictures += some
            seed += 1000 - seed % 1000  # the next thousand seeds are of the other sort
            yield collate(rows, pad) | {"pictures": torch.from_numpy(np.stack(pictures))}

    def _row(self, seed: int, image: int, is_board: bool) -> tuple[Row | None, list[Picture]]:
        rng = Random(f"look {seed}")
        scene = cast(seed)
        if is_board and not is_ordered(scene):
            return None, []
        times = moments(rng) if is_board else [rng.random()]
        turns = one_of(scene, rng) if is_board else about_still(scene, times[0], rng, 4)
        row = encode(self._tokenizer, system(rng), IMAGE * len(times) + "\n", turns, image, PER_STILL)
        return row, [picture_of(scene, seed, time, rng) for time in times]


def image_model(tokenizer: Tokenizer) -> PllavaForConditionalGeneration:
    """The network with one frame to a picture."""
    ids = special_ids(tokenizer)
    config = PllavaConfig(
        text_config=language_model(tokenizer.get_vocab_size(), **ids),
        vision_config=TOWER,
        image_token_index=id_of(tokenizer, IMAGE),
        vision_feature_layer=VISION_FEATURE_LAYER,
        num_frames=1,
        pooling_shape=STILL_SHAPE,
        pad_token_id=ids["pad_token_id"],
    )
    return PllavaForConditionalGeneration(config)


def train_alignment(
    tokenizer: Tokenizer, out: Path, *, steps: int, stills: int = 32, boards: int = 16
) -> PllavaForConditionalGeneration:
    """Train projector and language model over the tower of step (a), and save them and the log in `out`."""
    torch.manual_seed(2)
    model = image_model(tokenizer)
    described = torch.load(out / "tower.pt")
    tower = {
        name.removeprefix("tower."): each for name, each in described.items() if name.startswith("tower.")
    }
    model.model.vision_tower.load_state_dict(tower)
    words = torch.load(out / "language.pt")
    model.model.language_model.load_state_dict(
        {name.removeprefix("model."): each for name, each in words.items() if name.startswith("model.")}
    )
    model.lm_head.weight.data.copy_(words["lm_head.weight"])
    start_from_heads(
        model.model.multi_modal_projector, described, words["model.embed_tokens.weight"], tokenizer
    )
    model.model.vision_tower.requires_grad_(False)
    loader: DataLoader[Any] = DataLoader(
        Looking(tokenizer.to_str(), 30_000_000, stills, boards), batch_size=None, num_workers=1
    )

    def step(batch: dict[str, Tensor]) -> dict[str, Tensor]:
        labels, pixels = batch.pop("labels"), normalise(batch.pop("pictures"))
        with torch.no_grad():
            patches = model.model.vision_tower(pixels).last_hidden_state[:, 1:]
        visual = model.model.multi_modal_projector(patches.unflatten(1, (1, GRID, GRID)))
        embeddings = model.embed(batch["input_ids"], visual.flatten(0, 1))
        hidden = model.model.language_model(inputs_embeds=embeddings, use_cache=False).last_hidden_state
        kind = "boards" if len(pixels) > len(labels) else "stills"
        figures = answer_loss(model.lm_head(hidden), labels)
        return figures | {f"right_{kind}": figures["right"]}

    hidden = [each for each in model.model.language_model.layers.parameters() if each.ndim == 2]
    fit(model, loader, step, steps=steps, learning_rate=1e-3, log=out / "align.jsonl", matrices=hidden)
    torch.save(model.state_dict(), out / "image.pt")
    return model
