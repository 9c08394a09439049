"""Which answers a report shows: a few of each kind, spread over the groups, the same ones in every report."""

from collections import defaultdict
from collections.abc import Sequence
from hashlib import blake2b
from typing import TypeVar

from pllava_cli.evaluation.items import Kind, Verdict

SHOWN: dict[Kind, int] = {
    "right": 4,
    "wrong": 4,
    "measured": 4,
    "unparsed": 2,
    "empty": 1,
    "failed": 1,
    "unjudged": 4,
}
"""How many answers of each kind: a dozen can be looked at. Where some are not judged, few others are."""

Thing = TypeVar("Thing")


def choose(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """Choose the answers that are shown, kind by kind.

    The choice hangs on the items' names alone, so that runs show the same items where they can.
    """
    chosen: list[Verdict] = []
    for kind, most in SHOWN.items():
        taken = {verdict.said.item.id for verdict in chosen}
        fitting = [each for each in verdicts if each.kind == kind and each.said.item.id not in taken]
        chosen += _spread(fitting)[:most]
    return chosen


def evenly(things: Sequence[Thing], most: int) -> list[Thing]:
    """Choose at most so many, from the first to the last at even distances."""
    if len(things) <= most:
        return list(things)
    if most == 1:
        return [things[len(things) // 2]]
    return [things[round(number * (len(things) - 1) / (most - 1))] for number in range(most)]


def _spread(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """Order answers so that each group has had its turn before one comes twice, and no item comes twice."""
    once = {verdict.said.item.id: verdict for verdict in reversed(verdicts)}
    by_group: defaultdict[str, list[Verdict]] = defaultdict(list)
    for verdict in sorted(once.values(), key=lambda each: _lot(each.said.item.id)):
        by_group[verdict.said.item.group].append(verdict)
    turns = [(turn, _lot(group), each) for group, mine in by_group.items() for turn, each in enumerate(mine)]
    return [verdict for _, _, verdict in sorted(turns, key=lambda each: each[:2])]


def _lot(text: str) -> bytes:
    """Draw a lot that is the same in every run."""
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
