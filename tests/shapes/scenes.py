"""Scenes by seed, drawn once for all tests of a run."""

from functools import cache

from pllava_cli.shapes import casting
from pllava_cli.shapes.scene import Scene


@cache
def scene(seed: int) -> Scene:
    return casting.cast(seed)
