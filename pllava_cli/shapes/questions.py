"""Open questions about a scene, with their answers.

A question is asked only where a clip answers it without doubt: a thing is named by what tells it from
all others, and nothing is asked of a thing's colour or size where that changes.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

from pllava_cli.shapes.captions import VERBS, detail, sentence
from pllava_cli.shapes.naming import does, doing, in_turn, names_ever, with_article
from pllava_cli.shapes.scene import COLOURS, PAIRED, SHAPES, Action, Kind, Scene, Thing, moves

NUMBERS = ("None", "One", "Two", "Three", "Four")
"""How counts are answered."""


@dataclass(frozen=True)
class Question:
    """An open question and its answer."""

    kind: str
    """What it is about; a key of `KINDS`."""
    question: str
    answer: str


def ask(scene: Scene, rng: Random) -> list[Question]:
    """One question of every kind that this scene can answer, in the order of `KINDS`."""
    asked = []
    for kind, maker in KINDS.items():
        possible = list(maker(scene, rng))
        if possible:
            question, answer = rng.choice(possible)
            asked.append(Question(kind, question, answer))
    return asked


Pairs = Iterator[tuple[str, str]]


def _colour(scene: Scene, rng: Random) -> Pairs:
    for thing in scene.things:
        if _alone(scene, thing, "shape") and not _recoloured(thing):
            yield f"What colour is the {thing.shape}?", f"{thing.colour.capitalize()}."


def _shape(scene: Scene, rng: Random) -> Pairs:
    for thing in scene.things:
        if _alone(scene, thing, "colour") and not any(map(_recoloured, scene.things)):
            yield f"What shape is the {thing.colour} object?", f"A {thing.shape}."


def _size(scene: Scene, rng: Random) -> Pairs:
    for thing in scene.things:
        if not {"grow", "shrink"} & {action.kind for action in thing.actions}:
            yield f"Is the {thing.name} small or large?", f"{thing.size.capitalize()}."


def _count(scene: Scene, rng: Random) -> Pairs:
    yield "How many objects are there?", f"{NUMBERS[len(scene.things)]}."
    shape = rng.choice([*SHAPES, *(thing.shape for thing in scene.things)])
    number = sum(thing.shape == shape for thing in scene.things)
    plural = "crosses" if shape == "cross" else f"{shape}s"
    yield f"How many {plural} are there?", f"{NUMBERS[number]}."


def _moving_count(scene: Scene, rng: Random) -> Pairs:
    yield "How many objects move?", f"{NUMBERS[sum(map(moves, scene.things))]}."


def _direction(scene: Scene, rng: Random) -> Pairs:
    for thing in scene.things:
        for action in doing(thing, "move"):
            wording = rng.choice(("Which way does the {} move?", "In which direction does the {} move?"))
            yield wording.format(_name(scene, thing, rng)), sentence(detail(action))


def _action(scene: Scene, rng: Random) -> Pairs:
    for thing in scene.things:
        wording = rng.choice(("What does the {} do?", "What happens to the {}?"))
        yield wording.format(_name(scene, thing, rng)), sentence(f"it {_doings(scene, thing)}")


def _who(scene: Scene, rng: Random) -> Pairs:
    kinds: tuple[Kind, ...] = ("grow", "shrink", "spin", "blink", "appear", "disappear", "still", "move")
    for kind in kinds:
        doers = [thing for thing in scene.things if doing(thing, kind)]
        if len(doers) != 1 or (kind == "move" and sum(map(moves, scene.things)) != 1):
            continue
        verb = VERBS[kind][0].replace(" {}", "")
        yield f"Which object {verb}?", f"The {doers[0].name}."


def _order(scene: Scene, rng: Random) -> Pairs:
    events = in_turn(scene)
    if len(events) == 2:
        for (thing, action), word in zip(events, ("first", "last"), strict=True):
            yield f"What happens {word}?", f"The {thing.name} {_does(scene, action)}."


def _becomes(scene: Scene, rng: Random) -> Pairs:
    for thing in scene.things:
        for action in doing(thing, "recolour"):
            yield f"What colour does the {thing.name} turn?", sentence(detail(action))


def _times(scene: Scene, rng: Random) -> Pairs:
    for thing in scene.things:
        for action in doing(thing, "blink"):
            yield f"How often does the {_name(scene, thing, rng)} blink?", sentence(detail(action))


def _existence(scene: Scene, rng: Random) -> Pairs:
    names = names_ever(scene)
    if rng.random() < 0.5:
        yield f"Is there {with_article(rng.choice(scene.things).name)}?", "Yes."
        return
    near = rng.choice(scene.things)  # half of what is not there shares its colour or shape with what is
    colour = near.colour if rng.random() < 0.5 else rng.choice(COLOURS)
    shape = rng.choice(SHAPES) if rng.random() < 0.5 else near.shape
    if f"{colour} {shape}" not in names:
        yield f"Is there {with_article(colour)} {shape}?", "No."


def _movement(scene: Scene, rng: Random) -> Pairs:
    for thing in scene.things:
        yield f"Does the {_name(scene, thing, rng)} move?", "Yes." if moves(thing) else "No."


def _background(scene: Scene, rng: Random) -> Pairs:
    if scene.background_later:
        yield "What colour is the background at first?", sentence(scene.background)
        yield "What colour is the background at the end?", sentence(scene.background_later)
    else:
        yield "What colour is the background?", sentence(scene.background)


def _background_change(scene: Scene, rng: Random) -> Pairs:
    change = f"Yes, from {scene.background} to {scene.background_later}."
    yield "Does the background change?", change if scene.background_later else "No."


KINDS: dict[str, Callable[[Scene, Random], Pairs]] = {
    "colour": _colour,
    "shape": _shape,
    "size": _size,
    "count": _count,
    "moving count": _moving_count,
    "direction": _direction,
    "action": _action,
    "who": _who,
    "order": _order,
    "new colour": _becomes,
    "times": _times,
    "existence": _existence,
    "movement": _movement,
    "background": _background,
    "background change": _background_change,
}
"""What can be asked, by name."""


def _alone(scene: Scene, thing: Thing, attribute: str) -> bool:
    """Whether no other thing shares an attribute with this one."""
    return [getattr(each, attribute) for each in scene.things].count(getattr(thing, attribute)) == 1


def _recoloured(thing: Thing) -> bool:
    return bool(doing(thing, "recolour"))


def _name(scene: Scene, thing: Thing, rng: Random) -> str:
    """What to call a thing: colour and shape, or now and then just the one that it shares with none."""
    short = [thing.name, thing.name]
    if _alone(scene, thing, "shape"):
        short.append(thing.shape)
    if _alone(scene, thing, "colour") and not any(map(_recoloured, scene.things)):
        short.append(f"{thing.colour} object")
    return rng.choice(short)


def _does(scene: Scene, action: Action) -> str:
    """What an action is called in answers, of one thing or of two."""
    if action.kind in PAIRED:
        other = scene.things[action.partner or 0].name
        return {"swap": "swaps places", "collide": "collides"}[action.kind] + f" with the {other}"
    return does(action)


def _doings(scene: Scene, thing: Thing) -> str:
    return ", then ".join(_does(scene, action) for action in thing.actions)
