"""An assignment: a model set to it says what the model says when it is asked so, here or elsewhere."""

import pickle
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pllava_cli import Captioner, inputs
from pllava_cli.batch.planning import Job
from pllava_cli.batch.work import Work
from pllava_cli.crew.assignment import Assignment
from pllava_cli.engine import Decoding
from pllava_cli.errors import UsageError
from pllava_cli.recording import Recording, model_of
from pllava_cli.records import Decoding as RecordedDecoding
from pllava_cli.records import Turn

QUESTION = "What moves?"
FEW = RecordedDecoding(6, 0.0, 1.0, None)


@pytest.fixture
def captioner(checkpoint: Path) -> Captioner:
    """One that may be changed."""
    return Captioner(checkpoint, dtype="fp32", quantize="none", device="cpu")


def assignment(captioner: Captioner, turn: Turn, questions: tuple[str | None, ...] = ()) -> Assignment:
    recording = Recording(model_of(captioner), FEW, captioner.system, "Describe it.", turn)
    made = Assignment(recording, questions, 60.0, 1, 1)
    crossed: Assignment = pickle.loads(pickle.dumps(made))
    assert crossed == made
    return crossed


def jobs(clip: Path) -> Iterator[Job]:
    yield Job(Work(inputs.Clip(clip, "clip"), questions=(QUESTION,)), (QUESTION,), None)


@pytest.mark.parametrize(
    "turn", [Turn(), Turn("It moves"), Turn("\nIt", is_inline=True), Turn(is_inline=True)]
)
def test_questions_are_written_out_as_it_says(captioner: Captioner, clip: Path, turn: Turn) -> None:
    given = assignment(captioner, turn)
    template = replace(captioner.template, media_alone=captioner.template.media_alone and not turn.is_inline)
    (outcome,) = given.pipeline(captioner).run(jobs(clip))
    assert captioner.template == template
    wanted = captioner.answer(
        captioner.encode(clip), QUESTION, decoding=Decoding(6), answer_start=turn.answer_start
    )
    assert outcome.record.text == wanted.text and outcome.record.turn == turn


def test_how_the_clip_leads_shows_in_what_is_said(captioner: Captioner, clip: Path) -> None:
    said = []
    for turn in (Turn(), Turn("It"), Turn("It", is_inline=True)):
        (outcome,) = assignment(captioner, turn).pipeline(captioner).run(jobs(clip))
        said.append((outcome.record.text, outcome.record.fingerprint))
    assert len({text for text, _ in said}) > 1 and len({fingerprint for _, fingerprint in said}) == 3


def test_what_the_answer_begins_with_counts_as_part_of_the_prompt(captioner: Captioner) -> None:
    assignment(captioner, Turn("so"), (QUESTION,)).pipeline(captioner)
    with pytest.raises(UsageError, match="positions"):
        assignment(captioner, Turn("so " * 4000), (QUESTION,)).pipeline(captioner)
