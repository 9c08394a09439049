"""Step (b), second half: image-language alignment on pictures, which makes an image LLaVA.

One picture is described and asked about; or eight of a scene, in order, as an image model may be given
several. The vision tower stays as it is; projector and language model are trained. While it learns to
talk about eight pictures, linear heads on one of its layers also learn to read from every visual token
what has happened so far to what it shows; they are dropped afterwards.
"""

import itertools
import math
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, IterableDataset
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

from pllava_cli.model.config import PllavaConfig
from pllava_cli.model.modeling import PllavaForConditionalGeneration
from pllava_cli.shapes.casting import cast
from pllava_cli.shapes.scene import COLOURS, SHAPES
from recipes.tiny.conversation import Row, collate, encode
from recipes.tiny.fit import MATRIX_RATE, fit
from recipes.tiny.happened import COUNTED, DOINGS, FLAGS, MEASURED, NUMBERS, happened
from recipes.tiny.language import answer_loss
from recipes.tiny.options import Reader
from recipes.tiny.seen import moments, seen, tower_weights
from recipes.tiny.sizes import FRAMES, POOLING_SHAPE, TOWER, VISION_FEATURE_LAYER, language_model
from recipes.tiny.start import start_from_heads
from recipes.tiny.texts import about, about_still, system
from recipes.tiny.tokens import IMAGE, PAD, id_of, special_ids
from recipes.tiny.tower import GRID

STILL_SHAPE = (1, *POOLING_SHAPE[1:])
"""A still is pooled as each frame of a clip will be: the more of them are seen in the same time."""
PER_STILL = STILL_SHAPE[1] * STILL_SHAPE[2]
"""Visual tokens of a still."""
HAPPENED_LAYER, WORDS_LAYER = 2, 3
"""Behind which of the language model's six layers, from 0 on, heads read what has happened, and what options
and answers say: late enough for the layers before to find it, early enough for those behind to use it."""
LOOKS_LAYER = 4
"""The layer one head of whose attention is led from a reply to the option that says what the answer says."""
HEADS_WEIGHT = 0.5
STILLS_EVERY = 4
"""Of so many batches one is of stills."""


class Looking(IterableDataset[dict[str, Tensor]]):
    """Batches of stills, or of all eight pictures of a scene each, without end.

    `seen` holds (scene, moment) of each picture.
    """

    def __init__(
        self, tokenizer: str, first: int, count: int, *, stills: int = 48, boards: int = 16, seed: int = 0
    ) -> None:
        self.tokenizer, self.first, self.count, self.seed = tokenizer, first, count, seed
        self.stills, self.boards = stills, boards

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        self._tokenizer = Tokenizer.from_str(self.tokenizer)
        self._read = Reader(self._tokenizer)
        self._image, pad = (id_of(self._tokenizer, token) for token in (IMAGE, PAD))
        rng = Random(f"look {self.seed}")
        for batch in itertools.count():
            is_board = batch % STILLS_EVERY > 0
            numbers = [rng.randrange(self.count) for _ in range(self.boards if is_board else self.stills)]
            yield self._boards(numbers, rng, pad) if is_board else self._stills(numbers, rng, pad)

    def _stills(self, numbers: list[int], rng: Random, pad: int) -> dict[str, Tensor]:
        rows, pictures = [], []
        for number in numbers:
            seed, moment = self.first + number, rng.randrange(FRAMES)
            turns = about_still(cast(seed), moments(seed)[moment], rng, 4)
            rows.append(self._row(turns, rng, 1))
            pictures.append((number, moment))
        return collate(rows, pad) | {"seen": torch.tensor(pictures)}

    def _boards(self, numbers: list[int], rng: Random, pad: int) -> dict[str, Tensor]:
        rows, truths = [], []
        for number in numbers:
            scene = cast(self.first + number)
            rows.append(self._row(about(scene, rng, 2, 3), rng, FRAMES))
            truths.append(happened(scene, moments(self.first + number)))
        return {
            **collate(rows, pad),
            **self._read.tensors(rows),
            "seen": torch.tensor([(number, moment) for number in numbers for moment in range(FRAMES)]),
            **{
                name: torch.from_numpy(np.stack([getattr(each, name) for each in truths]))
                for name in ("colour", "shape", "numbers", "doings", "gone")
            },
        }

    def _row(self, turns: list[tuple[str, str]], rng: Random, pictures: int) -> Row:
        context = IMAGE * pictures + "\n"
        return encode(self._tokenizer, system(rng), context, turns, self._image, PER_STILL)


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


class Aligning(nn.Module):
    """Projector, language model and heads, on what the tower saw.

    Args:
        model: An image model.
        patches: What the tower saw, as `seen` gives it.
        leads: Whether the attention of replies is led to the right option. It is of use once the answer's
            and the options' words are found.
    """

    def __init__(
        self, model: PllavaForConditionalGeneration, patches: NDArray[np.float16], *, leads: bool = False
    ) -> None:
        super().__init__()
        self.model, self._patches, self._leads = model, patches, leads
        width = model.config.text_config.hidden_size
        vocabulary = model.config.text_config.vocab_size
        sizes = {"colour": len(COLOURS), "shape": len(SHAPES), "numbers": NUMBERS, "gone": 1 + len(COLOURS)}
        sizes |= {"doing": len(DOINGS), "before": len(DOINGS), "words": vocabulary, "letter": vocabulary}
        self.heads = nn.ModuleDict({name: nn.Linear(width, size) for name, size in sizes.items()})
        self._hidden: dict[int, Tensor] = {}
        for layer in (HAPPENED_LAYER, WORDS_LAYER):
            model.model.language_model.layers[layer].register_forward_hook(partial(self._keep, layer))
        layer = model.model.language_model.layers[LOOKS_LAYER]
        layer.input_layernorm.register_forward_hook(self._keep_looking)

    def _keep(self, layer: int, _layer: nn.Module, _given: object, hidden: Tensor) -> None:
        self._hidden[layer] = functional.rms_norm(hidden, hidden.shape[-1:])

    def _keep_looking(self, _norm: nn.Module, _given: object, hidden: Tensor) -> None:
        self._looking = hidden

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Losses and accuracies of a batch."""
        model = self.model.model
        patches = torch.from_numpy(self._patches[tuple(batch["seen"].T.numpy())].astype(np.float32))
        visual = model.multi_modal_projector(patches.view(-1, 1, GRID, GRID, TOWER.hidden_size)).flatten(0, 1)
        embeddings = self.model.embed(batch["input_ids"], visual)
        hidden = model.language_model(inputs_embeds=embeddings, use_cache=False).last_hidden_state
        figures = answer_loss(self.model.lm_head, hidden, batch["labels"])
        if "numbers" not in batch:
            return figures | {"loss_stills": figures["loss"].detach(), "right_stills": figures["right"]}
        happened, options = self._happened(batch), self._options(batch, hidden)
        heads = happened["happened"] + options["words"] + options["letter"] + options["reply"]
        if self._leads:
            options |= {"looks": self._looks(batch)}
            heads = heads + options["looks"]
        told = {"loss_boards": figures["loss"], "right_boards": figures["right"], **happened, **options}
        return {"loss": figures["loss"] + HEADS_WEIGHT * heads} | {
            name: each.detach() for name, each in told.items()
        }

    def _happened(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        is_visual = batch["input_ids"] == self.model.config.image_token_id
        colour, numbers = batch["colour"].flatten(), batch["numbers"].flatten(0, -2)
        there = colour >= 0
        all_cells = self._hidden[HAPPENED_LAYER][is_visual]
        cells = all_cells[there]
        said, wanted = self.heads["numbers"](cells), numbers[there]
        measured = functional.smooth_l1_loss(said[:, MEASURED], wanted[:, MEASURED], beta=0.1)
        counted = functional.mse_loss(said[:, COUNTED], wanted[:, COUNTED])
        flags = functional.binary_cross_entropy_with_logits(said[:, FLAGS], wanted[:, FLAGS])
        first = functional.cross_entropy(self.heads["colour"](cells), colour[there])
        shape = functional.cross_entropy(self.heads["shape"](cells), batch["shape"].flatten()[there])
        doing, before = (
            functional.cross_entropy(self.heads[name](cells), batch["doings"].flatten(0, -2)[there, which])
            for which, name in enumerate(("doing", "before"))
        )
        gone = functional.cross_entropy(
            self.heads["gone"](all_cells[~there]), batch["gone"].flatten()[~there]
        )
        way = (said - wanted)[:, :2].abs().mean() / 3
        return {
            "happened": 3 * measured + counted + 3 * flags + 0.3 * first + shape + doing + before + 3 * gone,
            "way": way,
            "counted": counted,
            "flags": flags,
            "shape": shape,
            "doing": doing,
            "before": before,
            "gone": gone,
        }

    def _options(self, batch: dict[str, Tensor], hidden: Tensor) -> dict[str, Tensor]:
        row, at = batch["said_at"].unbind(1)
        is_option, letters = batch["is_option"], batch["said_letter"]
        inner = self._hidden[WORDS_LAYER][row, at]
        words = self.heads["words"](inner)
        replies = self.model.lm_head(hidden[row[~is_option], at[~is_option]])
        return {
            "words": functional.cross_entropy(words, batch["said_words"]),
            "words_replies": functional.cross_entropy(words[~is_option], batch["said_words"][~is_option]),
            "letter": functional.cross_entropy(self.heads["letter"](inner[is_option]), letters[is_option]),
            "reply": functional.cross_entropy(replies, letters[~is_option]),
            "right_letters": (replies.argmax(-1) == letters[~is_option]).float().mean(),
        }

    def _looks(self, batch: dict[str, Tensor]) -> Tensor:
        """How far the attention of replies, in the first head of a layer, is from the right option."""
        text = self.model.model.language_model
        attention = text.layers[LOOKS_LAYER].self_attn
        size, length = attention.head_dim, self._looking.shape[1]
        queries, keys = (
            functional.linear(self._looking, each.weight[:size])[:, None]
            for each in (attention.q_proj, attention.k_proj)
        )
        turns = text.rotary_emb(self._looking, torch.arange(length)[None])
        queries, keys = (each[:, 0] for each in apply_rotary_pos_emb(queries, keys, *turns))
        is_reply = ~batch["is_option"]
        row, at = batch["said_at"][is_reply].unbind(1)
        scores = (queries[row, at][:, None] * keys[row]).sum(-1) * attention.scaling
        is_later = torch.arange(length) > at[:, None]
        return functional.cross_entropy(scores.masked_fill(is_later, -math.inf), batch["looks_at"][is_reply])


def train_alignment(tokenizer: Tokenizer, out: Path, *, first: int, count: int, steps: int) -> None:
    """Train projector and language model over what the tower saw, and save them and the log in `out`."""
    torch.manual_seed(2)
    model = image_model(tokenizer)
    described = torch.load(out / "tower.pt")
    model.model.vision_tower.load_state_dict(tower_weights(described))
    words = torch.load(out / "language.pt")
    model.model.language_model.load_state_dict(
        {name.removeprefix("model."): each for name, each in words.items() if name.startswith("model.")}
    )
    model.lm_head.weight.data.copy_(words["lm_head.weight"])
    start_from_heads(
        model.model.multi_modal_projector, described, words["model.embed_tokens.weight"], tokenizer
    )
    looking = Looking(tokenizer.to_str(), first, count)
    _fit(Aligning(model, seen(out)), looking, out / "align.jsonl", steps)
    torch.save(model.state_dict(), out / "aligned.pt")


def train_choosing(tokenizer: Tokenizer, out: Path, *, first: int, count: int, steps: int) -> None:
    """Go on with the attention of replies led to the right option; save the outcome and the log in `out`."""
    torch.manual_seed(3)
    model = image_model(tokenizer)
    model.load_state_dict(torch.load(out / "aligned.pt"))
    looking = Looking(tokenizer.to_str(), first, count, seed=1)
    _fit(Aligning(model, seen(out), leads=True), looking, out / "choose.jsonl", steps)
    torch.save(model.state_dict(), out / "image.pt")


def _fit(aligning: Aligning, looking: Looking, log: Path, steps: int) -> None:
    model = aligning.model.model
    model.vision_tower.requires_grad_(False)
    loader: DataLoader[Any] = DataLoader(looking, batch_size=None, num_workers=1)
    matrices = [each for each in model.language_model.layers.parameters() if each.ndim == 2]
    fit(
        aligning,
        loader,
        aligning,
        steps=steps,
        learning_rate=MATRIX_RATE / 3,
        log=log,
        matrices=matrices,
        heads=list(aligning.heads.parameters()),
    )
