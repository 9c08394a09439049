"""Which checkpoint a folder holds, told without reading all of its weights.

A folder of a user's own has no commit that names its state: training writes another checkpoint into it, or
its owner corrects a template or a tokenizer, and what the one before has said must not pass for what this one
says. Times of files would tell that, but a copy has others and is the same checkpoint.
"""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from pllava_cli.errors import CheckpointError
from pllava_cli.model.adapter import CONFIG_FILE
from pllava_cli.model.jsonfile import check_small
from pllava_cli.model.layout import Recipe
from pllava_cli.model.tensors import TensorReader

FILES = (
    CONFIG_FILE,
    "added_tokens.json",
    "config.json",
    "generation_config.json",
    "preprocessor_config.json",
    "tokenizer.json",
)
"""All that is read of a checkpoint besides its weights and what says in which files those are."""

_DIGITS = 16
"""64 bits: told apart are the few states of one folder."""


def weights_revision(recipes: Mapping[str, Recipe], folders: Iterable[Path], template: str | None) -> str:
    """Return what stands for a commit: `weights-0123456789abcdef`, the same wherever the files lie.

    Args:
        recipes: What each parameter is made of.
        folders: Of the checkpoint, and of that which it lies over, in this order; of each the contents of
            all `FILES` that are there count.
        template: Name of the prompt template, which a user's weights.toml may give; None: the files tell.

    Raises:
        CheckpointError: A file has changed meanwhile, cannot be read, or is too large.
    """
    reader = TensorReader()
    parts = {part for recipe in recipes.values() for part in recipe.parts}
    samples = {part: reader.sample(part) for part in sorted(parts, key=lambda each: (each.file, each.key))}
    digest = hashlib.sha256(f"{template}\n".encode())
    for name, recipe in sorted(recipes.items()):
        for part in recipe.parts:
            digest.update(f"{name} {part.key} {part.dtype} {list(part.shape)}\n".encode())
            digest.update(samples[part])
    for place, folder in enumerate(folders):
        for name in FILES:
            digest.update(f"{place} {name} {_content(folder / name)}\n".encode())
    return f"weights-{digest.hexdigest()[:_DIGITS]}"


def _content(file: Path) -> str | None:
    """Return what tells a file's content from others; None: there is no such file.

    Raises:
        CheckpointError: It cannot be read, or is too large.
    """
    if not file.is_file():  # what should be one is told by whoever needs it
        return None
    check_small(file)
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise CheckpointError(
            f"{file} cannot be read: {error.strerror or error}", "the file is damaged; get it again"
        ) from error
