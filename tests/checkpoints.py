"""Checkpoints for tests: random ones, damaged copies of them, and one that says what it is told to.

All are real folders that go through the real loader.
"""

import itertools
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

from benchmarks.random_checkpoint import SHAPES, plain_shapes, write

TINY = SHAPES["tiny"]
"""4 frames of 28 x 28 pixels, 16 visual tokens, two layers of width 64."""

Tensors = dict[str, torch.Tensor]


def write_plain(folder: Path, seed: int = 0) -> Path:
    return write(folder, TINY, released=False, seed=seed, dtype=torch.float32)


def copied(source: Path, target: Path) -> Path:
    """A copy of a checkpoint folder, to be changed."""
    return Path(shutil.copytree(source, target))


def edit_weights(folder: Path, change: Callable[[Tensors], Tensors | None]) -> Path:
    """Rewrite model.safetensors; `change` edits the tensors in place or returns others."""
    file = folder / "model.safetensors"
    kept = load_file(file)
    save_file({k: v.contiguous() for k, v in (change(kept) or kept).items()}, file)
    return folder


def edit_json(file: Path, **changes: Any) -> Path:
    """Set or, with None, remove keys; "text_config.x" reaches one level down. Returns the folder."""
    content = json.loads(file.read_text())
    for path, value in {key.replace("__", "."): value for key, value in changes.items()}.items():
        *parents, key = path.split(".")
        section = content
        for parent in parents:
            section = section[parent]
        if value is None:
            section.pop(key, None)
        else:
            section[key] = value
    file.write_text(json.dumps(content))
    return file.parent


def adapter_tensors(seed: int, *, projector: bool = True, rank: int = 8) -> Tensors:
    """LoRA pairs on q_proj and v_proj of the tiny shape, and perhaps a projector, in the released names."""
    random = torch.Generator().manual_seed(seed)

    def draw(*size: int) -> torch.Tensor:
        return torch.randn(size, generator=random) * 0.3

    made: Tensors = {}
    for layer in range(TINY.layers):
        for name in ("q_proj", "v_proj"):
            stem = f"language_model.base_model.model.model.layers.{layer}.self_attn.{name}"
            made[f"{stem}.lora_A.default.weight"] = draw(rank, TINY.hidden)
            made[f"{stem}.lora_B.default.weight"] = draw(TINY.hidden, rank)
    if projector:
        for name, size in plain_shapes(TINY).items():
            if name.startswith("multi_modal_projector"):
                made[name] = draw(*size)
    return made


def write_adapter(folder: Path, source: Path, weights: Tensors) -> Path:
    """A folder with the config of `source` and only these weights."""
    folder.mkdir()
    shutil.copy(source / "config.json", folder)
    save_file(weights, folder / "model.safetensors")
    return folder


def write_script(folder: Path, tokens: Sequence[str], start: str = ":") -> Path:
    """A checkpoint that answers any question with `tokens`, the end of text included if it is to stop.

    All layers add nothing, so that the head sees the last token alone; it names the token that comes
    next. No token may come twice, save as the last, which leads back into the script. `start` is the
    prompt's last token; vicuna's prompts end with "ASSISTANT:".
    """
    write_plain(folder)
    vocabulary = Tokenizer.from_file(str(folder / "tokenizer.json")).get_vocab()
    added = folder / "added_tokens.json"
    vocabulary |= json.loads(added.read_text()) if added.exists() else {}
    path = [vocabulary[token] for token in (start, *tokens)]

    def change(weights: Tensors) -> None:
        for name, weight in weights.items():
            if name.endswith(("o_proj.weight", "down_proj.weight", "lm_head.weight")):
                weight.zero_()
        embeddings = weights["language_model.model.embed_tokens.weight"]
        embeddings.copy_(torch.nn.functional.normalize(embeddings, dim=-1))
        for here, following in itertools.pairwise(path):
            weights["language_model.lm_head.weight"][following] += embeddings[here]

    return edit_weights(folder, change)
