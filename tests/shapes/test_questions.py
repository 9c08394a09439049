"""Open questions: what is asked can be answered from the clip, and is answered rightly."""

from collections import Counter
from random import Random

from pllava_cli.shapes.questions import KINDS, ask
from pllava_cli.shapes.scene import Scene
from tests.shapes.scenes import scene as cast
from tests.shapes.watching import events, is_true, named, touch


def is_right(scene: Scene, kind: str, question: str, answer: str) -> bool:
    text = answer.removesuffix(".")
    match kind:
        case "who":
            verb = question.removeprefix("Which object ").removesuffix("?").removesuffix("s")
            able = [thing for thing in scene.things if does(scene, thing, verb)]
            return able == [named(scene, text)]
        case "order":
            return is_true(scene, question, answer)
        case "times":
            return is_true(scene, question, answer)
        case "background change":
            change = f"Yes, from {scene.background_at(0)} to {scene.background_at(1)}"
            return text == (change if scene.background_at(0) != scene.background_at(1) else "No")
    return is_true(scene, question, answer)


def does(scene: Scene, thing, verb: str) -> bool:
    if any(touch(thing, other) for other in scene.things if other is not thing):
        return verb == "move"
    seen = [event.text for event in events(thing)]
    return not seen if verb.startswith("stay") else any(text.startswith(verb) for text in seen)


def test_answers_are_right() -> None:
    asked = Counter[str]()
    for seed in range(400):
        scene = cast(seed)
        for question in ask(scene, Random(seed)):
            asked[question.kind] += 1
            assert is_right(scene, question.kind, question.question, question.answer), (question, scene)
            assert len(question.question.split()) <= 20
    assert asked.keys() == KINDS.keys() and min(asked.values()) >= 15


def test_the_same_generator_asks_the_same() -> None:
    for seed in range(20):
        assert ask(cast(seed), Random(seed)) == ask(cast(seed), Random(seed))


def test_yes_and_no_are_both_frequent() -> None:
    said = Counter[tuple[str, str]]()
    for seed in range(600):
        for question in ask(cast(seed), Random(seed)):
            if question.kind in ("existence", "movement"):
                said[question.kind, question.answer] += 1
    for kind in ("existence", "movement"):
        assert 0.35 < said[kind, "Yes."] / (said[kind, "Yes."] + said[kind, "No."]) < 0.65
