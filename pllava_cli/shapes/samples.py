"""One clip of a data set: its scene, how it is filmed, and the lines of JSON that are written of it.

Every random choice has a generator of its own, named after what it chooses and the scene's seed, so
that a clip depends on nothing but its number and the data set's seed.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from random import Random
from typing import Any

from pllava_cli.prompts import CAPTION, VIDEO_PLACEHOLDER
from pllava_cli.shapes.captions import tell
from pllava_cli.shapes.casting import cast
from pllava_cli.shapes.choices import choose
from pllava_cli.shapes.questions import ask
from pllava_cli.shapes.render import Film, film
from pllava_cli.shapes.scene import Scene

MOST_CLIPS = 1_000_000
"""Clip k of seed S shows scene S x 1,000,000 + k, counted from 1: two seeds never share a scene."""
MOST_OBJECTS = 4
ANY_NUMBER = (1, MOST_OBJECTS)

CAPTIONS, QUESTIONS, SCENES = "captions.jsonl", "questions.jsonl", "scenes.jsonl"
CHOICES = "mvbench/json/{}.json"
"""Where the multiple-choice items of a sub-task are, as MVBench names it."""

Lines = dict[str, list[str]]
"""JSON by the file that it belongs into."""


@dataclass(frozen=True)
class Recipe:
    """What a data set is made from; the same recipe gives the same files."""

    count: int
    """How many clips."""
    seed: int = 0
    objects: tuple[int, int] = ANY_NUMBER
    """Fewest and most objects of a scene."""


@dataclass(frozen=True)
class Sample:
    """One clip of a data set."""

    id: str
    seed: int
    """Of its scene."""
    scene: Scene
    film: Film

    @property
    def video(self) -> str:
        """The clip's file, from the data set's folder."""
        return f"clips/{self.id}.mp4"


def sample(recipe: Recipe, number: int) -> Sample:
    """Draw a clip of a data set.

    Args:
        recipe: The data set.
        number: Which clip of it, from 1.
    """
    seed = recipe.seed * MOST_CLIPS + number
    count = None if recipe.objects == ANY_NUMBER else Random(f"objects {seed}").randint(*recipe.objects)
    return Sample(f"{number:06}", seed, cast(seed, count), film(seed))


def lines(clip: Sample) -> Lines:
    """Write down all that is said of a clip."""
    written: Lines = {SCENES: [_json(_scene(clip))], CAPTIONS: [_json(_caption(clip))]}
    written[QUESTIONS] = [
        _json(
            {
                "id": f"{clip.id}-{asked.kind.replace(' ', '-')}",
                "video": clip.video,
                "kind": asked.kind,
                "question": asked.question,
                "answer": asked.answer,
                "conversations": _conversation(asked.question, asked.answer),
            }
        )
        for asked in ask(clip.scene, Random(f"questions {clip.seed}"))
    ]
    for item in choose(clip.scene, Random(f"choices {clip.seed}")):
        posed = {
            # From the folder of the JSON file.
            "video": f"../../{clip.video}",
            "question": item.question,
            "candidates": item.candidates,
            "answer": item.answer,
        }
        written[CHOICES.format(item.task)] = [_json(posed)]
    return written


def _caption(clip: Sample) -> dict[str, Any]:
    caption = tell(clip.scene, Random(f"caption {clip.seed}"))
    return {"id": clip.id, "video": clip.video, "conversations": _conversation(CAPTION, caption)}


def _scene(clip: Sample) -> dict[str, Any]:
    return {
        "id": clip.id,
        "video": clip.video,
        "seed": clip.seed,
        "scene": asdict(clip.scene),
        "film": asdict(clip.film),
    }


def _conversation(question: str, answer: str) -> Sequence[dict[str, str]]:
    """A question about a clip and its answer, as LLaVA's training data are written."""
    return [
        {"from": "human", "value": f"{VIDEO_PLACEHOLDER}\n{question}"},
        {"from": "gpt", "value": answer},
    ]


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
