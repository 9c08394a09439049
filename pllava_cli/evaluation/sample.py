"""A random part of a benchmark, for a first look: never to be compared with published figures."""

import random
from collections.abc import Callable
from dataclasses import replace

from pllava_cli.evaluation.items import Benchmark, Item


def draw(
    benchmark: Benchmark, each: int, seed: int, entry: Callable[[Item], str] = lambda item: item.id
) -> Benchmark:
    """Return a benchmark with at most so many entries of each group, drawn at random, in their order.

    The draw of one group does not depend on the others: with fewer tasks the same items come out.

    Args:
        benchmark: The whole.
        each: Entries of each group.
        seed: Of the draw.
        entry: What an item belongs to; items of one entry are drawn together.
    """
    groups: dict[str, dict[str, None]] = {}
    for item in benchmark.items:
        groups.setdefault(item.group, {})[entry(item)] = None
    drawn = {
        (name, chosen)
        for name, entries in groups.items()
        for chosen in random.Random(f"{seed} {name}").sample(list(entries), min(each, len(entries)))
    }
    return replace(benchmark, items=[item for item in benchmark.items if (item.group, entry(item)) in drawn])


def note(each: int, seed: int, whole: Benchmark, part: Benchmark) -> str:
    """Say that only a part was asked."""
    return (
        f"A SAMPLE: {len(part.items)} of {len(whole.items)} questions, {each} at most of each group, drawn"
        f" with seed {seed}; not to be compared with figures over the whole benchmark."
    )
