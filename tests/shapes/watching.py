"""What a watcher of a scene sees: how each thing looks at many moments, and nothing of its actions.

`is_true` then judges any statement that a question and a candidate make together.
"""

import math
import re
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby

from pllava_cli.shapes.scene import Scene, State, Thing

MOMENTS = [index / 192 for index in range(193)]
WAYS = ("right", "lower right", "down", "lower left", "left", "upper left", "up", "upper right")
NUMBERS = ("None", "One", "Two", "Three", "Four")
TIMES = ("Never", "Once", "Twice", "Three times")


@dataclass(frozen=True)
class Event:
    """Something seen to happen, when it began and when it was over."""

    text: str
    start: float
    end: float


@lru_cache(4096)
def looks(thing: Thing) -> list[State]:
    return [thing.at(moment) for moment in MOMENTS]


def changing(values: list[object]) -> tuple[float, float]:
    """First and last moment at which a value changes."""
    at = [moment for moment, one, other in zip(MOMENTS[1:], values, values[1:], strict=False) if one != other]
    return at[0], at[-1]


def way(thing: Thing) -> str | None:
    """The direction from where it stands first to where it stands last; None if that is the same place."""
    first, last = thing.at(0), thing.at(1)
    dx, dy = last.x - first.x, last.y - first.y
    if math.hypot(dx, dy) < 0.1:
        return None
    return WAYS[round(math.atan2(dy, dx) / (math.pi / 4)) % 8]


def direction_words(name: str) -> str:
    return name if name in ("up", "down") else f"to the {name}"


def changes_place(thing: Thing) -> bool:
    seen = looks(thing)
    return max(math.hypot(state.x - seen[0].x, state.y - seen[0].y) for state in seen) > 0.02


@lru_cache(4096)
def absences(thing: Thing) -> list[tuple[float, float]]:
    """When it is not there: first and last moment of each time."""
    spans: list[tuple[float, float]] = []
    for there, run in groupby(zip(MOMENTS, looks(thing), strict=True), lambda each: each[1].visible):
        moments = [moment for moment, _ in run]
        if not there:
            spans.append((moments[0], moments[-1]))
    return spans


def blinks(thing: Thing) -> list[tuple[float, float]]:
    return [(start, end) for start, end in absences(thing) if start > 0 and end < 1]


@lru_cache(4096)
def events(thing: Thing) -> list[Event]:
    """What is seen to happen to a thing that keeps to itself, in order of time."""
    seen = looks(thing)
    found = []
    if changes_place(thing):
        text = f"moves {direction_words(way(thing) or '')}"
        found.append(Event(text, *changing([(state.x, state.y) for state in seen])))
    if not math.isclose(seen[0].radius, seen[-1].radius):
        text = "grows" if seen[-1].radius > seen[0].radius else "shrinks"
        found.append(Event(text, *changing([state.radius for state in seen])))
    if not math.isclose(seen[0].angle, seen[-1].angle):
        found.append(Event("spins", *changing([state.angle for state in seen])))
    if seen[0].colour != seen[-1].colour:
        found.append(Event(f"turns {seen[-1].colour}", *changing([state.colour for state in seen])))
    if blinks(thing):
        times = TIMES[len(blinks(thing))].lower()
        found.append(Event(f"blinks {times}", blinks(thing)[0][0], blinks(thing)[-1][1]))
    for start, end in absences(thing):
        if start == 0:
            found.append(Event("appears", end, end))
        if end == 1:
            found.append(Event("disappears", start, start))
    return sorted(found, key=lambda event: event.start)


def swaps(scene: Scene, one: Thing, other: Thing) -> bool:
    ends = one.at(1), other.at(1)
    return (
        math.dist((ends[0].x, ends[0].y), (other.x, other.y))
        + math.dist((ends[1].x, ends[1].y), (one.x, one.y))
        < 0.01
    )


def touch(one: Thing, other: Thing) -> bool:
    return any(
        math.dist((a.x, a.y), (b.x, b.y)) <= a.radius + b.radius
        for a, b in zip(looks(one), looks(other), strict=True)
    )


def named(scene: Scene, name: str) -> Thing | None:
    """The thing of a colour, of a shape or of both; None if there is none."""
    name = re.sub(r"^(the|an|a) ", "", name.strip(" .?").lower()).removesuffix(" object")
    found = [thing for thing in scene.things if name in (thing.name, thing.colour, thing.shape)]
    assert len(found) <= 1, f"{name} is ambiguous"
    return found[0] if found else None


def happenings(scene: Scene) -> list[tuple[Event, Thing]]:
    """All that is seen to happen in a scene, in order of time."""
    seen = [(event, thing) for thing in scene.things for event in events(thing)]
    return sorted(seen, key=lambda each: each[0].start)


def when(thing: Thing, verb: str) -> str:
    for event in events(thing):
        if event.text.startswith(verb):
            if event.end <= 0.5:
                return "In the first half"
            return "In the second half" if event.start >= 0.45 else "Through the whole clip"
    return "Never"


def outermost(scene: Scene, place: str) -> Thing:
    sign = 1 if place in ("left", "top") else -1
    return min(
        scene.things,
        key=lambda thing: sign * (thing.at(1).x if place in ("left", "right") else thing.at(1).y),
    )


def what_changes(thing: Thing) -> str:
    first, last = thing.at(0), thing.at(1)
    changed = [
        text
        for text, differs in (
            ("Its colour", first.colour != last.colour),
            ("Its size", not math.isclose(first.radius, last.radius)),
            ("Its place", way(thing) is not None),
        )
        if differs
    ]
    assert len(changed) <= 1
    return changed[0] if changed else "Nothing"


def is_true(scene: Scene, question: str, said: str) -> bool:
    """Whether an answer to a question is right."""
    text = said.removesuffix(".")
    for pattern, judge in JUDGES:
        found = re.fullmatch(pattern, question)
        if found:
            return judge(scene, text, *found.groups())
    raise AssertionError(f"nobody judges {question!r}")


def _direction(scene: Scene, text: str, name: str) -> bool:
    return text.lower() == direction_words(way(named(scene, name)) or "")


def _moving(scene: Scene, text: str, negated: str | None) -> bool:
    number = sum(map(changes_place, scene.things))
    return text == NUMBERS[len(scene.things) - number if negated else number]


def _attribute(scene: Scene, text: str, kind: str, where: str) -> bool:
    (mover,) = [
        thing for thing in scene.things if changes_place(thing) and direction_words(way(thing) or "") == where
    ]
    wanted = {f"a {mover.shape}"} if kind == "shape" else {mover.at(time).colour for time in MOMENTS}
    return text.lower() in wanted


def _exists(scene: Scene, text: str, name: str) -> bool:
    colour, shape = name.split()
    there = any(
        state.colour == colour and thing.shape == shape and state.visible
        for thing in scene.things
        for state in looks(thing)
    )
    return there == (text == "Yes")


def _shape_moves(scene: Scene, text: str, shape: str) -> bool:
    return any(changes_place(thing) and thing.shape == shape for thing in scene.things) == (text == "Yes")


def _meets(scene: Scene, text: str, name: str, how: str) -> bool:
    one, other = named(scene, name), named(scene, text)
    if other is None or other is one:
        return False
    return swaps(scene, one, other) if how == "swap places" else touch(one, other)


def _happens(scene: Scene, text: str, which: str) -> bool:
    event, thing = happenings(scene)[0 if which == "first" else -1]
    return text == f"The {thing.name} {event.text}"


def _does_in_turn(scene: Scene, text: str, name: str, which: str) -> bool:
    return text == f"It {events(named(scene, name))[0 if which == 'first' else -1].text}"


def _acts(scene: Scene, text: str, which: str) -> bool:
    return named(scene, text) is happenings(scene)[0 if which == "first" else -1][1]


def _order(scene: Scene, text: str) -> bool:
    first, last = (named(scene, part) for part in text.split(", then "))
    seen = [thing for _, thing in happenings(scene)]
    return first is seen[0] and last is seen[-1]


def _others_moving(scene: Scene, text: str, name: str) -> bool:
    still = named(scene, name)
    return text == NUMBERS[sum(changes_place(thing) for thing in scene.things if thing is not still)]


def _other_moving(scene: Scene, text: str, name: str) -> bool:
    still, other = named(scene, name), named(scene, text)
    return other is not None and other is not still and changes_place(other)


JUDGES = [
    (r"(?:Which way|In which direction) does the (.+) move\?", _direction),
    (r"How many objects (do not )?move\?", _moving),
    (r"What (shape|colour) is the object that moves (.+)\?", _attribute),
    (r"Is there an? (\w+ \w+)\?", _exists),
    (r"Does an? (\w+) move\?", _shape_moves),
    (r"Does the (.+) move\?", lambda s, t, name: changes_place(named(s, name)) == (t == "Yes")),
    (r"What does the (.+) (swap places|collide) with\?", _meets),
    (
        r"Which object is (?:on|at) the (\w+) at the end\?",
        lambda s, t, place: named(s, t) is outermost(s, place),
    ),
    (r"What happens (first|last)\?", _happens),
    (r"What does the (.+) do (first|last)\?", _does_in_turn),
    (r"When does the (.+) (\w+)\?", lambda s, t, name, verb: t == when(named(s, name), verb)),
    (
        r"How often does the (.+) blink\?",
        lambda s, t, name: t == TIMES[len(blinks(named(s, name)))],
    ),
    (r"What changes about the (.+)\?", lambda s, t, name: t == what_changes(named(s, name))),
    (
        r"What colour is the (circle|square|triangle|star|cross|ring) at the end\?",
        lambda s, t, name: t.lower() == named(s, name).at(1).colour,
    ),
    (
        r"What colour does the (.+) turn\?",
        lambda s, t, name: t.lower() == named(s, name).at(1).colour,
    ),
    (
        r"How does the background change\?",
        lambda s, t: t == f"From {s.background_at(0)} to {s.background_at(1)}",
    ),
    (r"What colour is the background(?: at first)?\?", lambda s, t: t.lower() == s.background_at(0)),
    (r"What colour is the background at the end\?", lambda s, t: t.lower() == s.background_at(1)),
    (r"In which order do the objects act\?", _order),
    (r"Which object acts (first|last)\?", _acts),
    (r"If the (.+) stayed still, how many objects would move\?", _others_moving),
    (r"If the (.+) stayed still, which object would move\?", _other_moving),
    (
        r"Without the (.+), how many objects would there be\?",
        lambda s, t, name: t == NUMBERS[len(s.things) - 1],
    ),
    (r"How many objects are there\?", lambda s, t: t == NUMBERS[len(s.things)]),
    (
        r"How many (\w+)s are there\?",
        lambda s, t, shape: (
            t
            == NUMBERS[
                sum(thing.shape == shape.removesuffix("e" * (shape == "crosse")) for thing in s.things)
            ]
        ),
    ),
    (r"What colour is the (\w+)\?", lambda s, t, name: t.lower() == named(s, name).colour),
    (r"What shape is the (\w+) object\?", lambda s, t, name: t == f"A {named(s, name).shape}"),
    (
        r"Is the (.+) small or large\?",
        lambda s, t, name: t == ("Small" if named(s, name).at(0).radius < 0.12 else "Large"),
    ),
    # Last, because what is asked for is a whole list of doings.
    (
        r"What (?:happens to|does) the (.+?)(?: do)?\?",
        lambda s, t, name: t in _doings(s, named(s, name)),
    ),
]


def _doings(scene: Scene, thing: Thing) -> set[str]:
    """All that may be said of what a thing does."""
    partners = [
        f"It {verb} with the {other.name}"
        for other in scene.things
        if other is not thing
        for verb, holds in (("swaps places", swaps(scene, thing, other)), ("collides", touch(thing, other)))
        if holds
    ]
    if partners:
        return set(partners)
    return {"It " + (", then ".join(event.text for event in events(thing)) or "stays still")}
