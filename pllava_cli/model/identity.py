"""Which weights a folder holds, told without reading all of them.

A folder of a user's own has no commit that names its state: training writes another checkpoint into it, and
what the one before has said must not pass for what this one says. Times of files would tell that, but a copy
has others and is the same checkpoint.
"""

import hashlib
from collections.abc import Mapping

from pllava_cli.model.layout import Recipe
from pllava_cli.model.tensors import TensorReader

_DIGITS = 16
"""64 bits: told apart are the few states of one folder."""


def weights_revision(recipes: Mapping[str, Recipe]) -> str:
    """Return what stands for a commit: `weights-0123456789abcdef`, the same wherever the files lie.

    Args:
        recipes: What each parameter is made of.

    Raises:
        CheckpointError: A file has changed meanwhile, or cannot be read.
    """
    reader = TensorReader()
    parts = {part for recipe in recipes.values() for part in recipe.parts}
    samples = {part: reader.sample(part) for part in sorted(parts, key=lambda each: (each.file, each.key))}
    digest = hashlib.sha256()
    for name, recipe in sorted(recipes.items()):
        for part in recipe.parts:
            digest.update(f"{name} {part.key} {part.dtype} {list(part.shape)}\n".encode())
            digest.update(samples[part])
    return f"weights-{digest.hexdigest()[:_DIGITS]}"
