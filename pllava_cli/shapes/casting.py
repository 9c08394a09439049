"""A scene from a seed: what is in it is drawn at random, and drawn again until nothing overlaps.

Python's own generator is used, whose numbers are the same on every machine and version.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import pairwise
from random import Random

from pllava_cli.shapes.scene import (
    BACKGROUNDS,
    BLINK,
    COLOURS,
    DIRECTIONS,
    SHAPES,
    SIZES,
    STILL,
    SYMMETRY,
    Action,
    Kind,
    Scene,
    Thing,
)

RADII = {"small": (0.078, 0.098), "large": (0.145, 0.18)}
"""Smallest and largest radius by size, as a share of the picture's side; none in between."""
GAP = 0.03
"""Least distance between the outlines of two things, as a share of the side."""
EDGE = 0.01
"""Least distance from the picture's edge."""
MOMENTS = tuple(index / 24 for index in range(25))
"""When overlaps are looked for."""
SAMPLED = tuple((index + 0.5) / 8 for index in range(8))
"""Where eight evenly sampled frames lie; blinks are put there, that they can be seen."""

SHORTEST, LONGEST = 0.28, 0.65
"""How far a thing moves, as a share of the side."""
FIRST, SECOND = (0.0, 0.45), (0.5, 0.97)
"""When things happen in scenes where one follows another."""

_COUNTS = {1: 0.25, 2: 0.33, 3: 0.29, 4: 0.13}
_LONE: dict[Kind, float] = {
    "still": 0.09,
    "move": 0.55,
    "grow": 0.11,
    "shrink": 0.07,
    "spin": 0.09,
    "blink": 0.09,
    "appear": 0.045,
    "disappear": 0.045,
    "recolour": 0.05,
}
"""How often each action is drawn for a thing by itself."""


def cast(seed: int, count: int | None = None) -> Scene:
    """Draw a scene.

    Args:
        seed: The same seed gives the same scene.
        count: How many things, 1 to 4; None draws that too.
    """
    rng = Random(f"scene {seed}")
    count = count or rng.choices(list(_COUNTS), list(_COUNTS.values()))[0]
    _plot(rng, count)  # of no use, but a draw: without it every seed would give another scene
    while True:
        plot = _plot(rng, count)
        for _ in range(60):
            things = plot(rng, _strangers(rng, count))
            if _fits(things):
                return _set(rng, things, staged=plot is _in_turn)


Plot = Callable[[Random, list[Thing]], tuple[Thing, ...]]
"""Gives things something to do; called anew, with other things, until they have the room for it."""


def _plot(rng: Random, count: int) -> Plot:
    """Draw what happens: to each by itself, to two together, or to one or two in turn."""
    chance = rng.random()
    if count >= 2 and chance < 0.20:
        return partial(_pair, kind="swap" if rng.random() < 0.5 else "collide")
    return _in_turn if chance < 0.42 else _each_by_itself


def _each_by_itself(rng: Random, things: list[Thing]) -> tuple[Thing, ...]:
    return tuple(replace(thing, actions=(_action(rng, thing, _kind(rng), 0.0, 1.0),)) for thing in things)


def _strangers(rng: Random, count: int) -> list[Thing]:
    """Things of different colour and shape, anywhere."""
    names = rng.sample([(colour, shape) for colour in COLOURS for shape in SHAPES], count)
    things = []
    for colour, shape in names:
        size = rng.choice(SIZES)
        radius = rng.uniform(*RADII[size])
        edge = radius + EDGE
        x, y = (rng.uniform(edge, 1 - edge) for _ in "xy")
        things.append(Thing(colour, shape, size, x, y, radius, rng.uniform(-0.1, 0.1)))
    return things


def _kind(rng: Random, *, still: bool = True) -> Kind:
    chances = {kind: chance for kind, chance in _LONE.items() if still or kind != "still"}
    return rng.choices(list(chances), list(chances.values()))[0]


def _action(rng: Random, thing: Thing, kind: Kind, start: float, end: float) -> Action:
    """An action of a kind that suits the thing, within a span of time."""
    long = end - start
    match kind:
        case "move":
            begin, finish = start + rng.uniform(0, 0.1) * long, end - rng.uniform(0, 0.15) * long
            direction, distance = _way(rng, thing)
            return Action(kind, begin, finish, direction, distance)
        case "grow" | "shrink":
            # A large thing can only shrink and a small one only grow.
            kind = "grow" if thing.size == "small" else "shrink"
            factor = rng.uniform(1.8, 2.1)
            factor = factor if kind == "grow" else 1 / factor
            return Action(
                kind, start + rng.uniform(0, 0.15) * long, end - rng.uniform(0, 0.2) * long, factor=factor
            )
        case "spin":
            if not SYMMETRY[thing.shape]:
                return _action(rng, thing, _kind(rng), start, end)
            # From one sampled frame to the next by less than half of what the shape repeats after.
            per_frame = rng.uniform(0.28, 0.45) * 2 * math.pi / SYMMETRY[thing.shape]
            return Action(kind, start, end, turn=rng.choice((-1, 1)) * per_frame * 8 * long)
        case "blink":
            times = rng.choice((1, 2, 3)) if long > 0.9 else 1
            return Action(kind, start, end, gone=_gone(rng, times, start, end))
        case "appear":
            return Action(kind, start + rng.uniform(0.3, 0.6) * long, end)
        case "disappear":
            return Action(kind, start, start + rng.uniform(0.4, 0.7) * long)
        case "recolour":
            moment = start + rng.uniform(0.35, 0.6) * long
            colour = rng.choice([colour for colour in COLOURS if colour != thing.colour])
            return Action(kind, moment, moment + 0.02, colour=colour)
    return STILL


def _way(rng: Random, thing: Thing) -> tuple[str, float]:
    """A direction with room to move into, and how far to go."""
    reach = thing.radius + EDGE
    ways = list(DIRECTIONS.items())
    rng.shuffle(ways)
    for name, (dx, dy) in ways:
        rooms = [
            ((1 - reach if step > 0 else reach) - place) / step
            for place, step in ((thing.x, dx), (thing.y, dy))
            if step
        ]
        if min(rooms) >= SHORTEST:
            return name, rng.uniform(SHORTEST, min(min(rooms), LONGEST))
    return name, SHORTEST  # will not fit, and be drawn again


def _gone(rng: Random, times: int, start: float, end: float) -> tuple[float, ...]:
    """Moments apart by at least two sampled frames, the first and last of the span left out."""
    inner = [moment for moment in SAMPLED if start + BLINK <= moment <= end - BLINK]
    while True:
        chosen = sorted(rng.sample(inner, times))
        if all(after - before > 1.5 * BLINK for before, after in pairwise(chosen)):
            return tuple(moment + rng.uniform(-0.02, 0.02) for moment in chosen)


def _pair(rng: Random, things: list[Thing], kind: Kind) -> tuple[Thing, ...]:
    """The first two swap or collide, the others do something by themselves, mostly nothing."""
    one, other = things[:2]
    start, end = rng.uniform(0, 0.1), rng.uniform(0.88, 1.0)
    meetings = ((other.x, other.y), (one.x, one.y)) if kind == "swap" else _touching(one, other)
    pair = [
        replace(thing, actions=(Action(kind, start, end, partner=1 - index, to=meetings[index]),))
        for index, thing in enumerate((one, other))
    ]
    rest = (
        replace(
            thing, actions=(_action(rng, thing, rng.choice(("still", "still", "spin", "blink")), 0.0, 1.0),)
        )
        for thing in things[2:]
    )
    return (*pair, *rest)


def _touching(one: Thing, other: Thing) -> tuple[tuple[float, float], tuple[float, float]]:
    """Where two things are when they meet half-way on the straight line between them."""
    dx, dy = other.x - one.x, other.y - one.y
    distance = math.hypot(dx, dy) or 1e-9
    reach = max(0.0, (distance - 0.8 * (one.radius + other.radius)) / 2 / distance)
    return (one.x + dx * reach, one.y + dy * reach), (other.x - dx * reach, other.y - dy * reach)


def _in_turn(rng: Random, things: list[Thing]) -> tuple[Thing, ...]:
    """One thing does two things, or two do one each, one after the other; the others stay still."""
    first = _action(rng, things[0], _kind(rng, still=False), *FIRST)
    if len(things) == 1 or rng.random() < 0.3:
        return replace(things[0], actions=_two_actions(rng, things[0])), *things[1:]
    second = _action(rng, things[1], _kind(rng, still=False), *SECOND)
    return replace(things[0], actions=(first,)), replace(things[1], actions=(second,)), *things[2:]


def _two_actions(rng: Random, thing: Thing) -> tuple[Action, Action]:
    """Two different actions in turn; one that is not there at the time can do nothing."""
    while True:
        first = _action(rng, thing, _kind(rng, still=False), *FIRST)
        second = _action(rng, thing, _kind(rng, still=False), *SECOND)
        both = first.kind, second.kind
        seen = "disappear" not in both[:1] and "appear" not in both[1:]
        if both[0] != both[1] and seen and "still" not in both and set(both) != {"grow", "shrink"}:
            return first, second


def _fits(things: tuple[Thing, ...]) -> bool:
    """Whether all stay inside, none covers another, and swaps and collisions go a way that can be seen."""
    for index, thing in enumerate(things):
        names = {(thing.colour, thing.shape)}
        names |= {(action.colour, thing.shape) for action in thing.actions if action.colour}
        if any((other.colour, other.shape) in names for other in things[:index] + things[index + 1 :]):
            return False
        for action in thing.actions:
            if action.partner is not None and math.dist((thing.x, thing.y), action.to) < (
                0.35 if action.kind == "swap" else 0.15
            ):
                return False
    return all(_fit_at(things, moment) for moment in MOMENTS)


def _fit_at(things: tuple[Thing, ...], moment: float) -> bool:
    states = [thing.at(moment) for thing in things]
    for index, state in enumerate(states):
        reach = state.radius + EDGE
        if not (reach <= state.x <= 1 - reach and reach <= state.y <= 1 - reach):
            return False
        for other, thing in zip(states[:index], things, strict=False):
            touching = things[index].actions[0].kind == thing.actions[0].kind == "collide"
            gap = -0.3 * (state.radius + other.radius) if touching else GAP
            if math.dist((state.x, state.y), (other.x, other.y)) < state.radius + other.radius + gap:
                return False
    return True


def _set(rng: Random, things: tuple[Thing, ...], *, staged: bool) -> Scene:
    """Put the things on a background."""
    background = rng.choice(BACKGROUNDS)
    later = rng.choice([each for each in BACKGROUNDS if each != background]) if rng.random() < 0.2 else None
    return Scene(things, background, later, rng.uniform(0.35, 0.65), staged)
