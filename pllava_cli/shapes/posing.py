"""What multiple-choice questions are made of: wrong candidates, and how often an answer may be asked for.

The shares below were counted over 12,000 scenes; a test holds that no answer is told by the text alone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from pllava_cli.shapes.captions import DIRECTION_WORDS
from pllava_cli.shapes.naming import does, names_ever
from pllava_cli.shapes.scene import COLOURS, SHAPES, Action, Kind, Scene, Thing

CANDIDATES = 4
"""How many are offered where there are as many."""

DOINGS: dict[Kind, float] = {
    "move": 0.37,
    "grow": 0.06,
    "shrink": 0.13,
    "spin": 0.11,
    "blink": 0.16,
    "appear": 0.09,
    "disappear": 0.08,
    "recolour": 0.1,
}
"""How often things do what in scenes where one thing follows another."""
LASTING: dict[Kind, float] = {"move": 0.62, "grow": 0.09, "shrink": 0.15, "spin": 0.19}
"""How often what takes time is done; spinning by shapes on which it can be seen."""

_STRAIGHT, _SLANTING = 0.15, 0.1
AXES = {
    ("left", "right"): _STRAIGHT,
    ("up", "down"): _STRAIGHT,
    ("upper left", "lower right"): _SLANTING,
    ("upper right", "lower left"): _SLANTING,
}
"""Opposite directions, and how often things move in either."""
OPPOSITES = {
    tuple(f"moves {DIRECTION_WORDS[way][0]}" for way in axis): 1.24 * often for axis, often in AXES.items()
} | {("grows", "shrinks"): 0.16, ("appears", "disappears"): 0.17}
"""Opposite doings, and how often they are all that a thing does."""


@dataclass(frozen=True)
class Posed:
    """A question that a scene answers without doubt."""

    question: str
    answer: str
    wrong: Sequence[str]
    kept: float = 1.0
    """What share of such questions to ask."""


Posing = Iterator[Posed]


def of_fixed(question: str, answers: dict[str, float], right: int) -> Posed:
    """Pose a question that always has the same candidates.

    Args:
        question: The question.
        answers: The candidates, and in which share of scenes each is right.
        right: Which one is right here.
    """
    known = list(answers)
    answer = known.pop(right)
    return Posed(question, answer, known, kept=min(answers.values()) / answers[answer])


def of_opposites(question: str, answer: str, pairs: dict[tuple[str, ...], float], rng: Random) -> Posed:
    """Pose a question whose candidates are two pairs of opposites.

    With a single pair among the candidates, the answer would be known to be one of its two.
    """
    own = next(pair for pair in pairs if answer in pair)
    others = {pair: often for pair, often in pairs.items() if pair != own}
    other = rng.choices(list(others), list(others.values()))[0]
    return Posed(question, answer, [each for each in (*own, *other) if each != answer])


def other_words(right: str, shown: Sequence[str], known: Sequence[str], rng: Random) -> list[str]:
    """Wrong candidates beside a word: what the clip shows first, then what else is known."""
    near = [each for each in dict.fromkeys(shown) if each != right]
    far = [each for each in known if each != right and each not in near]
    rng.shuffle(near)
    rng.shuffle(far)
    return (near + far)[: CANDIDATES - 1]


def other_things(scene: Scene, but: Sequence[Thing], rng: Random) -> list[str]:
    """Names of wrong things: others of the scene first, then some that are not in it."""
    near = [thing.name for thing in scene.things if thing not in but]
    rng.shuffle(near)
    return (near + strangers(scene, rng, CANDIDATES))[: CANDIDATES - 1]


def strangers(scene: Scene, rng: Random, number: int) -> list[str]:
    """Names of things that are not in the scene, half of them like one that is in colour or shape."""
    names = names_ever(scene)
    found: list[str] = []
    while len(found) < number:
        near = rng.choice(scene.things)
        colour = near.colour if rng.random() < 0.3 else rng.choice(COLOURS)
        shape = near.shape if rng.random() < 0.3 else rng.choice(SHAPES)
        name = f"{colour} {shape}"
        if name not in names:
            names.add(name)
            found.append(name)
    return found


def imagined(rng: Random, number: int, real: Sequence[Action], never: Kind | None = None) -> list[str]:
    """Other doings than the real ones, each as often as things do it; `never`: not of this kind."""
    known = [does(action) for action in real]
    kinds = [kind for kind in DOINGS if kind != never]
    while len(known) < number + len(real):
        kind = rng.choices(kinds, [DOINGS[kind] for kind in kinds])[0]
        way = rng.choice(rng.choices(list(AXES), list(AXES.values()))[0])
        doing = does(Action(kind, direction=way, gone=(0.5,), colour=rng.choice(COLOURS)))
        if doing not in known:
            known.append(doing)
    return known[len(real) :]
