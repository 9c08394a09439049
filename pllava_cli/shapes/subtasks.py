"""MVBench's sub-tasks in the world of shapes: of each, the questions that a scene answers without doubt.

A sub-task is a function that yields every question it can pose about a scene; `choices` takes one.
Things are named by colour and shape as they are when the clip begins, which no two share.
"""

from collections.abc import Callable
from dataclasses import replace
from random import Random

from pllava_cli.shapes.captions import DIRECTION_WORDS, TIMES, sentence
from pllava_cli.shapes.naming import does, doing, in_turn, paired, with_article
from pllava_cli.shapes.posing import (
    AXES,
    LASTING,
    OPPOSITES,
    Posed,
    Posing,
    imagined,
    of_fixed,
    of_opposites,
    other_things,
    other_words,
    strangers,
)
from pllava_cli.shapes.questions import NUMBERS
from pllava_cli.shapes.scene import (
    BACKGROUNDS,
    COLOURS,
    PAIRED,
    SHAPES,
    SYMMETRY,
    Action,
    Kind,
    Scene,
    Thing,
    moves,
)

APART = 0.08
"""By how much, as a share of the side, a thing lies further left than all others to be "on the left"."""


def _moving_direction(scene: Scene, rng: Random) -> Posing:
    ways = {tuple(sentence(DIRECTION_WORDS[way][0]) for way in axis): often for axis, often in AXES.items()}
    for thing in scene.things:
        for action in doing(thing, "move"):
            wording = rng.choice(("Which way does the {} move?", "In which direction does the {} move?"))
            answer = sentence(DIRECTION_WORDS[action.direction or ""][0])
            yield of_opposites(wording.format(thing.name), answer, ways, rng)


def _moving_count(scene: Scene, rng: Random) -> Posing:
    moving = sum(map(moves, scene.things))
    yield from _number("How many objects move?", (0.315, 0.42, 0.244, 0.0207), moving)
    still = len(scene.things) - moving
    yield from _number("How many objects do not move?", (0.303, 0.349, 0.227, 0.121), still)


def _moving_attribute(scene: Scene, rng: Random) -> Posing:
    if any(map(paired, scene.things)):
        return  # things that swap or collide go in some direction too
    recoloured = any(doing(thing, "recolour") for thing in scene.things)
    for thing in scene.things:
        for action in doing(thing, "move"):
            alike = [each for other in scene.things for each in doing(other, "move")]
            if sum(each.direction == action.direction for each in alike) > 1:
                continue
            way = DIRECTION_WORDS[action.direction or ""][0]
            answer, *wrong = [thing.shape, *other_words(thing.shape, _all(scene, "shape"), SHAPES, rng)]
            yield Posed(
                f"What shape is the object that moves {way}?",
                sentence(with_article(answer)),
                [sentence(with_article(each)) for each in wrong],
            )
            if not recoloured:
                wrong = other_words(thing.colour, _all(scene, "colour"), COLOURS, rng)
                yield Posed(
                    f"What colour is the object that moves {way}?",
                    sentence(thing.colour),
                    list(map(sentence, wrong)),
                )


def _object_existence(scene: Scene, rng: Random) -> Posing:
    # Drawn before what is asked about, so that no question is asked more often where the answer is yes.
    there = rng.random() < 0.5
    answer, wrong = ("Yes.", ["No."]) if there else ("No.", ["Yes."])
    name = rng.choice(scene.things).name if there else strangers(scene, rng, 1)[0]
    yield Posed(f"Is there {with_article(name)}?", answer, wrong)
    moving = sorted({thing.shape for thing in scene.things if moves(thing)})
    if moving:
        standing = [shape for shape in SHAPES if shape not in moving]
        shown = [shape for shape in standing if shape in _all(scene, "shape")]
        shape = rng.choice(moving if there else shown or standing)
        yield Posed(f"Does {with_article(shape)} move?", answer, wrong)


def _object_interaction(scene: Scene, rng: Random) -> Posing:
    for thing in scene.things:
        for action in thing.actions:
            if action.kind in PAIRED:
                partner = scene.things[action.partner or 0]
                meets = {"swap": "swap places", "collide": "collide"}[action.kind]
                wrong = other_things(scene, [thing, partner], rng)
                yield _which(f"What does the {thing.name} {meets} with?", partner, wrong)


def _object_shuffle(scene: Scene, rng: Random) -> Posing:
    if not any(doing(thing, "swap") for thing in scene.things):
        return
    ends = [thing.at(1.0) for thing in scene.things]
    for where, places in (
        ("on the left", [end.x for end in ends]),
        ("on the right", [-end.x for end in ends]),
        ("at the top", [end.y for end in ends]),
        ("at the bottom", [-end.y for end in ends]),
    ):
        first, second = sorted(places)[:2]
        if second - first >= APART:
            thing = scene.things[places.index(first)]
            wrong = other_things(scene, [thing], rng)
            yield _which(f"Which object is {where} at the end?", thing, wrong)


def _action_sequence(scene: Scene, rng: Random) -> Posing:
    events = in_turn(scene)
    if len(events) != 2:
        return
    for word, at in (("first", 0), ("last", 1)):
        (thing, action), (other, then) = events[at], events[1 - at]
        if thing is other:
            yield from _doing_of_one(thing, action, then, word, rng)
            continue
        one, two = does(action), does(then)
        if one == two:
            two = imagined(rng, 1, [action])[0]
        # Each of both things with each of two doings: only the clip tells which pair is right.
        wrong = [f"The {thing.name} {two}.", f"The {other.name} {one}.", f"The {other.name} {two}."]
        yield Posed(f"What happens {word}?", f"The {thing.name} {one}.", wrong)


def _doing_of_one(thing: Thing, action: Action, then: Action, word: str, rng: Random) -> Posing:
    """Ask what a thing does first or last of two actions, of which `action` is the one asked for."""
    ends: dict[str, Kind] = {"first": "appear", "last": "disappear"}
    # What does something before or after cannot appear last or disappear first: no candidate says so.
    never = ends["last" if word == "first" else "first"]
    if then.kind == never:
        return
    wrong = [does(then), *imagined(rng, 2, [action, then], never)]
    yield Posed(
        f"What does the {thing.name} do {word}?",
        f"It {does(action)}.",
        [f"It {each}." for each in wrong],
        kept=0.5 if action.kind == ends[word] else 1.0,  # there, this is the only one of the two questions
    )


def _action_localization(scene: Scene, rng: Random) -> Posing:
    answers = {
        "In the first half.": 0.0333,
        "In the second half.": 0.04,
        "Through the whole clip.": 0.458,
        "Never.": 0.468,
    }
    for thing in scene.things:
        if len(thing.actions) > 1 or paired(thing):
            continue
        action = thing.actions[0]
        lasting = [kind for kind in LASTING if kind != "spin" or SYMMETRY[thing.shape]]
        if action.kind in lasting:
            verb, right = action.kind, 2 if not scene.staged else 0 if action.end < 0.5 else 1
        else:
            verb, right = rng.choices(lasting, [LASTING[kind] for kind in lasting])[0], 3
        yield of_fixed(f"When does the {thing.name} {verb}?", answers, right)


def _action_antonym(scene: Scene, rng: Random) -> Posing:
    for thing in scene.things:
        pairs = {tuple(f"It {each}." for each in pair): often for pair, often in OPPOSITES.items()}
        action = thing.actions[0]
        answer = "" if paired(thing) else f"It {does(action)}."
        if len(thing.actions) == 1 and any(answer in pair for pair in pairs):
            posed = of_opposites(f"What happens to the {thing.name}?", answer, pairs, rng)
            yield replace(posed, kept=0.0829 / 0.1333) if action.kind == "shrink" else posed


def _action_count(scene: Scene, rng: Random) -> Posing:
    shares = (0.885, 0.0707, 0.0227, 0.0219)
    answers = dict(zip(map(sentence, ("never", *TIMES)), shares, strict=True))
    for thing in scene.things:
        times = sum(len(action.gone) for action in doing(thing, "blink"))
        yield of_fixed(f"How often does the {thing.name} blink?", answers, times)


def _state_change(scene: Scene, rng: Random) -> Posing:
    answers = {"Its colour.": 0.0429, "Its size.": 0.146, "Its place.": 0.498, "Nothing.": 0.255}
    changing = {"recolour": 0, "grow": 1, "shrink": 1, "move": 2, "swap": 2, "still": 3}
    for thing in scene.things:
        if len(thing.actions) == 1 and thing.actions[0].kind in changing:
            change = changing[thing.actions[0].kind]
            yield of_fixed(f"What changes about the {thing.name}?", answers, change)
        for action in doing(thing, "recolour"):
            if _all(scene, "shape").count(thing.shape) == 1:
                colour = action.colour or ""
                wrong = other_words(colour, [thing.colour], COLOURS, rng)
                yield Posed(
                    f"What colour is the {thing.shape} at the end?",
                    sentence(colour),
                    list(map(sentence, wrong)),
                )


def _scene_transition(scene: Scene, rng: Random) -> Posing:
    before, after = scene.background, scene.background_later
    if after is None:
        return
    one, other = rng.sample([colour for colour in BACKGROUNDS if colour not in (before, after)], 2)
    ways = (before, after), (after, before), (one, other), (other, one)
    answer, *wrong = (f"From {first} to {last}." for first, last in ways)
    yield Posed("How does the background change?", answer, wrong)
    answer, *wrong = map(sentence, (after, before, one, other))
    yield Posed("What colour is the background at the end?", answer, wrong)


def _character_order(scene: Scene, rng: Random) -> Posing:
    events = in_turn(scene)
    if len(events) != 2 or events[0][0] is events[1][0]:
        return
    (first, _), (last, _) = events
    shared = rng.choice((first, last)).name
    third = other_things(scene, [first, last], rng)[0]
    # Two pairs, each both ways round, with one thing in both: neither pair stands out.
    pairs = (first.name, last.name), (last.name, first.name), (shared, third), (third, shared)
    answer, *wrong = (f"The {one}, then the {two}." for one, two in pairs)
    yield Posed("In which order do the objects act?", answer, wrong)
    yield _which("Which object acts first?", first, other_things(scene, [first], rng))
    yield _which("Which object acts last?", last, other_things(scene, [last], rng))


def _counterfactual_inference(scene: Scene, rng: Random) -> Posing:
    if any(map(paired, scene.things)):
        return  # nobody knows what the other would have done
    moving = [thing for thing in scene.things if moves(thing)]
    thing = rng.choice(scene.things)
    yield from _number(
        f"If the {thing.name} stayed still, how many objects would move?",
        (0.684, 0.271, 0.0418),
        len(moving) - (thing in moving),
    )
    yield from _number(
        f"Without the {thing.name}, how many objects would there be?",
        (0.301, 0.31, 0.266, 0.123),
        len(scene.things) - 1,
    )
    if len(moving) == 2:
        one, other = rng.sample(moving, 2)
        wrong = other_things(scene, moving, rng)
        yield _which(f"If the {one.name} stayed still, which object would move?", other, wrong)


SUBTASKS: dict[str, Callable[[Scene, Random], Posing]] = {
    "moving_direction": _moving_direction,
    "moving_count": _moving_count,
    "moving_attribute": _moving_attribute,
    "object_existence": _object_existence,
    "object_interaction": _object_interaction,
    "object_shuffle": _object_shuffle,
    "action_sequence": _action_sequence,
    "action_localization": _action_localization,
    "action_antonym": _action_antonym,
    "action_count": _action_count,
    "state_change": _state_change,
    "scene_transition": _scene_transition,
    "character_order": _character_order,
    "counterfactual_inference": _counterfactual_inference,
}
"""The sub-tasks by MVBench's own file names."""


def _number(question: str, shares: tuple[float, ...], number: int) -> Posing:
    """Ask for a number from none on; `shares`: of scenes with none, one, two, and so on."""
    if number < len(shares):
        answers = {f"{word}.": share for word, share in zip(NUMBERS, shares, strict=False)}
        yield of_fixed(question, answers, number)


def _which(question: str, thing: Thing, wrong: list[str]) -> Posed:
    """Ask for a thing."""
    return Posed(question, f"The {thing.name}.", [f"The {name}." for name in wrong])


def _all(scene: Scene, attribute: str) -> list[str]:
    return [getattr(thing, attribute) for thing in scene.things]
