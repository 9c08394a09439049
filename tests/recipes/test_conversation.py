"""Ids and labels: the model is taught its answers with their end marks, and nothing else."""

from random import Random

import pytest
from tokenizers import Tokenizer

from pllava_cli.prompts import SYSTEM, TEMPLATES, Message
from pllava_cli.training.dataset import ROUND
from pllava_cli.training.tokens import IGNORED
from recipes.tiny.conversation import Row, collate, encode
from recipes.tiny.texts import Turns, about
from recipes.tiny.tokens import EOS, IMAGE, PAD, id_of
from tests.shapes.scenes import scene

CONTEXT = f"{IMAGE}\n"
VISUAL = 5
TURNS = [("What?", "A red circle."), ("Where?", "Best option:(A) Left."), ("Who?", "It is the ring.")]


def encoded(tokenizer: Tokenizer, turns: Turns, system: str = SYSTEM, context: str = CONTEXT) -> Row:
    return encode(tokenizer, system, context, turns, id_of(tokenizer, IMAGE), VISUAL)


def turn_by_turn(tokenizer: Tokenizer, turns: Turns, system: str) -> Row:
    """The same, by encoding each beginning of the conversation anew: what is added is the turn's."""
    ids: list[int] = []
    labels: list[int] = []
    messages = [Message("user", CONTEXT)]
    for question, answer in turns:
        for message in (Message("user", question), Message("assistant", answer)):
            messages.append(message)
            so_far: list[int] = tokenizer.encode(TEMPLATES["vicuna"].render(messages, system)).ids
            assert so_far[: len(ids)] == ids
            new = so_far[len(ids) :]
            ids += new
            labels += new if message.role == "assistant" else [IGNORED] * len(new)
    image = id_of(tokenizer, IMAGE)
    times = [VISUAL if token == image else 1 for token in ids]
    return Row(
        [token for token, count in zip(ids, times, strict=True) for _ in range(count)],
        [label for label, count in zip(labels, times, strict=True) for _ in range(count)],
    )


@pytest.mark.parametrize("system", ["", SYSTEM])
def test_it_is_as_if_encoded_turn_by_turn(tokenizer: Tokenizer, system: str) -> None:
    assert encoded(tokenizer, TURNS, system) == turn_by_turn(tokenizer, TURNS, system)
    for seed in range(30):
        turns = about(scene(seed), Random(seed), 3, 2)
        assert encoded(tokenizer, turns, system) == turn_by_turn(tokenizer, turns, system)


def test_the_labels_are_the_answers_and_their_end_marks(tokenizer: Tokenizer) -> None:
    row = encoded(tokenizer, TURNS)
    # The same ids as behind the template's "ASSISTANT:", to which nothing is joined.
    start = len(tokenizer.encode("ASSISTANT:").ids)
    assert [label for label in row.labels if label != IGNORED] == [
        token for _, answer in TURNS for token in tokenizer.encode(f"ASSISTANT:{answer}{EOS}").ids[start:]
    ]
    assert all(label in (IGNORED, token) for token, label in zip(row.ids, row.labels, strict=True))
    assert row.labels.count(id_of(tokenizer, EOS)) == len(TURNS)


def test_answers_that_are_in_the_question_too_are_learnt_only_as_answers(tokenizer: Tokenizer) -> None:
    row = encoded(tokenizer, [("A red circle.", "A red circle.")])
    said = [label for label in row.labels if label != IGNORED]
    assert row.ids[-len(said) :] == said
    assert set(row.labels[: -len(said)]) == {IGNORED}


@pytest.mark.parametrize("pictures", [1, 4])
def test_a_placeholder_is_as_many_ids_as_a_picture_has_tokens(tokenizer: Tokenizer, pictures: int) -> None:
    image = id_of(tokenizer, IMAGE)
    row = encoded(tokenizer, TURNS, context=f"{IMAGE * pictures}\n")
    at = [place for place, token in enumerate(row.ids) if token == image]
    assert at == list(range(at[0], at[0] + pictures * VISUAL))
    assert {row.labels[place] for place in at} == {IGNORED}


def test_rows_are_filled_up_at_their_ends(tokenizer: Tokenizer) -> None:
    pad = id_of(tokenizer, PAD)
    rows = [encoded(tokenizer, TURNS), encoded(tokenizer, TURNS[:1], system="")]
    batch = collate(rows, pad)
    length = batch["input_ids"].shape[1]
    assert length % ROUND == 0
    assert length - ROUND < max(len(row.ids) for row in rows) <= length
    for row, ids, labels in zip(rows, batch["input_ids"].tolist(), batch["labels"].tolist(), strict=True):
        rest = length - len(row.ids)
        assert ids == row.ids + [pad] * rest
        assert labels == row.labels + [IGNORED] * rest
