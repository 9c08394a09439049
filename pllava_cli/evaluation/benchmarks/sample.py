"""A random part of a benchmark, for a first look: never to be compared with published figures."""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from pllava_cli.evaluation.items import Benchmark, Item
from pllava_cli.phrases import counted


@dataclass(frozen=True)
class Sample:
    """How much of a benchmark is drawn, and by which lot."""

    each: int
    """Entries of each group, at most."""
    seed: int = 0

    def draw(self, whole: Benchmark, entry: Callable[[Item], str] = lambda item: item.id) -> Benchmark:
        """Return a benchmark with some entries of each group, in their order, and a note that says so.

        The draw of one group does not depend on the others: with fewer tasks the same items come out.

        Args:
            whole: What is drawn from.
            entry: What an item belongs to; items of one entry are drawn together.
        """
        groups: dict[str, dict[str, None]] = {}
        for item in whole.items:
            groups.setdefault(item.group, {})[entry(item)] = None
        drawn = {
            (name, chosen)
            for name, entries in groups.items()
            for chosen in random.Random(f"{self.seed} {name}").sample(
                list(entries), min(self.each, len(entries))
            )
        }
        items = [item for item in whole.items if (item.group, entry(item)) in drawn]
        note = (
            f"A SAMPLE: {len(items)} of {counted(len(whole.items), 'question')}, {self.each} at most of each"
            f" group, drawn with seed {self.seed}; not to be compared with figures over the whole benchmark."
        )
        return replace(whole, items=items, notes=[*whole.notes, note])

    def described(self) -> str:
        """Say for people how it is drawn."""
        return f"{self.each} of each group at most, seed {self.seed}"
