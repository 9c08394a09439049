"""What the language model reads and is asked: conversations about a scene, in many mixtures.

A conversation is a list of (question, answer), the first with the clip before it. The same makers
serve all steps: in step (b) the scene is told in words or seen in stills, in step (c) it is a video.
"""

from collections.abc import Iterator
from random import Random
from typing import Any

from pllava_cli.prompts import CAPTION, SYSTEM
from pllava_cli.shapes.captions import noun, reading_place, tell
from pllava_cli.shapes.choices import Item, as_answer, as_prompt, choose
from pllava_cli.shapes.naming import with_article
from pllava_cli.shapes.questions import NUMBERS, ask
from pllava_cli.shapes.scene import COLOURS, SHAPES, Scene

Turns = list[tuple[str, str]]

SHORT = ("Describe the video.", "What happens in this video?", "Describe the video in details.")
ROWS, COLUMNS = ("upper", "middle", "lower"), ("left", "middle", "right")


def instruction(rng: Random) -> str:
    """How a caption is asked for: mostly as the tool asks."""
    return CAPTION if rng.random() < 0.4 else rng.choice(SHORT)


def system(rng: Random) -> str:
    """The system text: the tool's, or none."""
    return SYSTEM if rng.random() < 0.3 else ""


def one_of(scene: Scene, rng: Random) -> Turns:
    """A caption, or two open questions, or a multiple-choice item about a clip: the first most often."""
    chance = rng.random()
    if chance < 0.55:
        return [(instruction(rng), tell(scene, rng))]
    items = choose(scene, rng) if chance < 0.78 else ()
    if items:
        item = rng.choice(items)
        return [(as_prompt(item), as_answer(item))]
    return [(each.question, each.answer) for each in _some(ask(scene, rng), rng, 2)]


def about(scene: Scene, rng: Random, questions: int, items: int) -> Turns:
    """A caption, open questions and multiple-choice items about a clip, in any order."""
    asked = [(each.question, each.answer) for each in _some(ask(scene, rng), rng, questions)]
    asked += [(as_prompt(each), as_answer(each)) for each in _rather_rare(choose(scene, rng), rng, items)]
    rng.shuffle(asked)
    asked.insert(
        0 if rng.random() < 0.5 else rng.randrange(len(asked) + 1), (instruction(rng), tell(scene, rng))
    )
    return asked


def _some(all_: list[Any], rng: Random, count: int) -> list[Any]:
    return rng.sample(all_, min(count, len(all_)))


COMMON = frozenset({"object_existence", "moving_direction", "moving_attribute", "action_antonym"})
"""Sub-tasks of multiple choice that most scenes can pose."""


def _rather_rare(items: list[Item], rng: Random, count: int) -> list[Item]:
    """Some of a scene's items, those more often that few scenes can pose."""

    def turn(item: Item) -> float:
        return rng.random() * (3 if item.task in COMMON else 1)

    return sorted(items, key=turn)[:count]


ORDERED = frozenset({"still", "move", "grow", "shrink", "appear", "disappear", "recolour", "swap"})
"""What four moments in order are enough to tell."""


def moments(rng: Random) -> list[float]:
    """Four moments of a clip in order, from about its beginning to about its end."""
    return [(index + rng.uniform(0.2, 0.8)) / 4 if 0 < index < 3 else index / 3 for index in range(4)]


def is_ordered(scene: Scene) -> bool:
    """Whether four moments in order show all that happens."""
    return all(action.kind in ORDERED for thing in scene.things for action in thing.actions)


def storyboard(scene: Scene, rng: Random) -> str | None:
    """Four moments in words, one after the other; None where they would not show what happens."""
    if not is_ordered(scene):
        return None
    return " ".join(
        f"{number}: {still_caption(scene, time)}" for number, time in enumerate(moments(rng), start=1)
    )


def still_caption(scene: Scene, time: float) -> str:
    """What one moment shows, as a page is read, in nine places."""
    return " ".join(
        [
            *(
                f"A {size} {colour} {shape} at the {place}."
                for size, colour, shape, place in standing(scene, time)
            ),
            f"The background is {scene.background_at(time)}.",
        ]
    )


def standing(scene: Scene, time: float) -> list[tuple[str, str, str, str]]:
    """Size, colour, shape and place of all that is to be seen at a moment, as a page is read."""
    seen = sorted(
        ((thing.at(time), thing.shape) for thing in scene.things),
        key=lambda each: reading_place(each[0].x, each[0].y),
    )
    return [
        ("small" if state.radius < 0.12 else "large", state.colour, shape, _place(state.x, state.y))
        for state, shape in seen
        if state.visible
    ]


def about_still(scene: Scene, time: float, rng: Random, questions: int) -> Turns:
    """A caption of one moment, and questions about it."""
    seen = standing(scene, time)
    background = scene.background_at(time)
    turns = [
        ("What colour is the background?", f"{background.capitalize()}."),
        ("How many objects are there?", f"{NUMBERS[len(seen)]}."),
    ]
    for size, colour, shape, place in seen:
        turns.append((f"Where is the {colour} {shape}?", f"At the {place}."))
        turns.append((f"Is the {colour} {shape} small or large?", f"{size.capitalize()}."))
        if sum(each[2] == shape for each in seen) == 1:
            turns.append((f"What colour is the {shape}?", f"{colour.capitalize()}."))
        if sum(each[1] == colour for each in seen) == 1:
            turns.append((f"What shape is the {colour} object?", f"A {shape}."))
    names = [each[1:3] for each in seen]
    colour, shape = (
        rng.choice(names) if names and rng.random() < 0.5 else (rng.choice(COLOURS), rng.choice(SHAPES))
    )
    there = "Yes." if (colour, shape) in names else "No."
    turns.append((f"Is there {with_article(colour)} {shape}?", there))
    if rng.random() < 0.6:
        return [(rng.choice(STILL), still_caption(scene, time))]
    return _some(turns, rng, questions)


STILL = ("Describe this picture.", "What does the picture show?", "Describe the image.")


def _place(x: float, y: float) -> str:
    row, column = ROWS[min(int(y * 3), 2)], COLUMNS[min(int(x * 3), 2)]
    return "middle" if row == column == "middle" else f"{row} {column}"


def corpus(scenes: Iterator[Scene]) -> Iterator[str]:
    """Everything that may be said, for the tokenizer; rare words are repeated."""
    always = [SYSTEM, CAPTION, *SHORT, *STILL, "USER:", "ASSISTANT:", "Human:"]
    for number, scene in enumerate(scenes):
        rng = Random(number)
        for question, answer in [*about(scene, rng, 99, 99), *about_still(scene, rng.random(), rng, 99)]:
            yield f"USER: {question} ASSISTANT:{answer}"
        for thing in scene.things:
            yield noun(thing)
        yield from (f"{each} ASSISTANT:" for each in always)
