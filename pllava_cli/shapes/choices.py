"""Multiple-choice questions about a scene, in those of MVBench's sub-tasks that this world can pose.

Nothing but the clip tells the answer. Candidates are shuffled, what is wrong in one question is right
in others about as often, and where scenes answer unevenly, questions with a frequent answer are left
out at random until all answers are about equally frequent.
"""

from dataclasses import dataclass
from random import Random

from pllava_cli import multiple_choice
from pllava_cli.shapes.scene import Scene
from pllava_cli.shapes.subtasks import SUBTASKS


@dataclass(frozen=True)
class Item:
    """A question, what may be answered, and what is right."""

    task: str
    """MVBench's sub-task; a key of `SUBTASKS`."""
    question: str
    candidates: tuple[str, ...]
    answer: str
    """One of the candidates."""


def choose(scene: Scene, rng: Random) -> list[Item]:
    """At most one item of every sub-task, in the order of `SUBTASKS`."""
    chosen = []
    for task, poses in SUBTASKS.items():
        possible = list(poses(scene, rng))
        if not possible:
            continue
        posed = rng.choice(possible)
        if rng.random() < posed.kept:
            candidates = [posed.answer, *posed.wrong]
            rng.shuffle(candidates)
            chosen.append(Item(task, posed.question, tuple(candidates), posed.answer))
    return chosen


def as_prompt(item: Item) -> str:
    """Return the question with its candidates as it is put to a checkpoint."""
    return multiple_choice.as_prompt(item.question, item.candidates)


def as_answer(item: Item) -> str:
    """Return the right reply, from its very beginning."""
    return multiple_choice.as_reply(item.candidates, item.answer)
