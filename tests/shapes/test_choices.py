"""Multiple choice: right where it says so, wrong elsewhere, and not to be guessed from the text."""

import re
from collections import Counter, defaultdict
from random import Random

import pytest

from pllava_cli.shapes.choices import Item, as_answer, as_prompt, choose
from pllava_cli.shapes.scene import COLOURS, SHAPES, Scene
from pllava_cli.shapes.subtasks import SUBTASKS
from tests.shapes.scenes import scene as cast
from tests.shapes.watching import is_true

ASKED = {
    "moving_direction",
    "moving_count",
    "moving_attribute",
    "object_existence",
    "object_shuffle",
    "action_sequence",
    "action_antonym",
    "action_count",
    "state_change",
    "scene_transition",
    "character_order",
    "counterfactual_inference",
}
"""The least that the world of shapes must be able to pose."""


@pytest.fixture(scope="module")
def posed() -> list[tuple[Scene, Item]]:
    scenes = [(seed, cast(seed)) for seed in range(1200)]
    return [(scene, item) for seed, scene in scenes for item in choose(scene, Random(f"test {seed}"))]


def test_every_answer_is_true_and_every_other_candidate_false(posed: list[tuple[Scene, Item]]) -> None:
    for scene, item in posed[::4]:
        judged = {candidate: is_true(scene, item.question, candidate) for candidate in item.candidates}
        assert [candidate for candidate, true in judged.items() if true] == [item.answer], (item, scene)


def test_candidates(posed: list[tuple[Scene, Item]]) -> None:
    for _, item in posed:
        assert item.answer in item.candidates
        assert len(set(item.candidates)) == len(item.candidates)
        assert 3 <= len(item.candidates) <= 4 or set(item.candidates) == {"Yes.", "No."}
        assert len(item.question.split()) <= 20


def test_all_subtasks_are_posed(posed: list[tuple[Scene, Item]]) -> None:
    found = Counter(item.task for _, item in posed)
    assert found.keys() >= ASKED and found.keys() == SUBTASKS.keys()
    assert min(found.values()) >= 40


def test_a_scene_poses_a_subtask_once(posed: list[tuple[Scene, Item]]) -> None:
    assert max(Counter((id(scene), item.task) for scene, item in posed).values()) == 1


def test_the_same_generator_gives_the_same_items() -> None:
    for seed in range(20):
        scene = cast(seed)
        assert choose(scene, Random(seed)) == choose(scene, Random(seed))


_NAME = re.compile(rf"(?:{'|'.join(COLOURS)}) (?:{'|'.join(SHAPES)})")


def _guessed(items: list[Item], key: str) -> float:
    """Share of items guessed right by one who has seen how often each candidate is right, but no clip.

    He learns from half the items and guesses the other half.
    """
    learnt, asked = items[::2], items[1::2]
    right, offered = Counter[str](), Counter[str]()

    def seen(item: Item, candidate: str) -> str:
        return _NAME.sub("X", f"{item.question} {candidate}" if key == "question" else candidate)

    for item in learnt:
        right[seen(item, item.answer)] += 1
        offered.update(seen(item, candidate) for candidate in item.candidates)

    def hope(item: Item, candidate: str) -> float:
        return (right[seen(item, candidate)] + 2) / (offered[seen(item, candidate)] + 8)

    guessed = [max(item.candidates, key=lambda candidate: hope(item, candidate)) for item in asked]
    return sum(guess == item.answer for guess, item in zip(guessed, asked, strict=True)) / len(asked)


@pytest.mark.parametrize("key", ["candidate", "question"])
def test_the_text_alone_does_not_tell_the_answer(posed: list[tuple[Scene, Item]], key: str) -> None:
    by_task = defaultdict(list)
    for _, item in posed:
        by_task[item.task].append(item)
    for task, items in by_task.items():
        chance = sum(1 / len(item.candidates) for item in items) / len(items)
        spread = (chance * (1 - chance) / (len(items) / 2)) ** 0.5
        assert _guessed(items, key) < chance + 4 * spread, task


def test_the_letter_does_not_tell_the_answer(posed: list[tuple[Scene, Item]]) -> None:
    four = [item for _, item in posed if len(item.candidates) == 4]
    letters = Counter(item.candidates.index(item.answer) for item in four)
    assert all(0.22 < letters[letter] / len(four) < 0.28 for letter in range(4))


def test_prompt_and_answer() -> None:
    item = Item("moving_direction", "Which way?", ("Up.", "Down.", "To the left."), "Down.")
    assert as_prompt(item) == (
        "Question: Which way?\nOptions:\n(A) Up.\n(B) Down.\n(C) To the left. \nOnly give the best option."
    )
    assert as_answer(item) == "Best option:(B) Down."
