"""Ids and labels: the prompt as inference gives it, the loss on answers alone."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pllava_cli.loader import check_checkpoint
from pllava_cli.model.processing import Processor
from pllava_cli.prompts import TEMPLATES, Message
from pllava_cli.training.data import ClipRef, Conversation
from pllava_cli.training.tokens import IGNORED, Tokenization, UntrainableError, expanded

VICUNA = TEMPLATES["vicuna"]


@pytest.fixture(scope="module")
def processor(base: Path) -> Processor:
    found = check_checkpoint(base, alpha=None, base=None, num_frames=None, pooling_shape=None, device="cpu")
    return found.processor


@pytest.fixture
def tokenise(processor: Processor) -> Callable[..., Tokenization]:
    return lambda positions=4096: Tokenization(processor, VICUNA, positions)


def talk(*texts: str, system: str = "Be brief.") -> Conversation:
    roles = ("user", "assistant")
    messages = tuple(Message(roles[number % 2], text) for number, text in enumerate(texts))
    return Conversation("x:1", ClipRef(Path("a.mp4")), system, messages)


@pytest.mark.parametrize("answer", [" A bird.", "A bird.", "Best option:(A) left", "(A)", "\nNo", "ü😀"])
def test_the_answer_follows_the_ids_of_the_prompt(
    processor: Processor, tokenise: Callable[..., Tokenization], answer: str
) -> None:
    tokens = tokenise()(talk("What?", answer))
    prompt = processor.tokenizer.encode(VICUNA.render(VICUNA.turns("What?"), "Be brief."))
    assert tokens.ids[: len(prompt)].tolist() == prompt
    assert not tokens.is_answer[: len(prompt)].any()
    assert tokens.is_answer[len(prompt) :].all()
    said = tokens.ids[len(prompt) :].tolist()
    assert said[-1] == processor.tokenizer.id_of("</s>")
    assert processor.tokenizer.decode(said) in (answer, answer.removeprefix(" "))


def test_every_answer_of_a_conversation_is_learnt_and_no_question(
    processor: Processor, tokenise: Callable[..., Tokenization]
) -> None:
    tokens = tokenise()(talk("What?", " Bird.", "Where?", " There."))
    said = processor.tokenizer.decode(tokens.ids[tokens.is_answer].tolist())
    assert said == "Bird. There."
    whole = VICUNA.render(
        [
            *VICUNA.turns("What?"),
            Message("assistant", " Bird."),
            Message("user", "Where?"),
            Message("assistant", " There."),
        ],
        "Be brief.",
    )
    assert tokens.ids.tolist() == processor.tokenizer.encode(whole)


def test_what_joins_the_prompt_is_taken_apart(processor: Processor, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tokenizer may have a token that is the prompt's last letter and the answer's first."""
    encode = processor.tokenizer.encode

    def joining(text: str) -> list[int]:
        return [447 if pair else each for each, pair in _joined(encode(text), *encode(":(")[-2:])]

    monkeypatch.setattr(processor.tokenizer, "encode", joining)
    tokens = Tokenization(processor, VICUNA, 4096)(talk("What?", "(A)"))
    prompt = joining(VICUNA.render(VICUNA.turns("What?"), "Be brief."))
    assert 447 not in tokens.ids
    assert tokens.ids[: len(prompt)].tolist() == prompt


def _joined(ids: list[int], first: int, second: int) -> list[tuple[int, bool]]:
    made: list[tuple[int, bool]] = []
    for each in ids:
        if made and made[-1] == (first, False) and each == second:
            made[-1] = (0, True)
        else:
            made.append((each, False))
    return made


@pytest.mark.parametrize(
    ("conversation", "positions", "reason"),
    [
        (talk("What?", "A</s>B"), 4096, "</s>"),
        (talk("What?", "A" * 200), 100, "positions"),
        (talk("What?", "A", system="<image>"), 4096, "more than once"),
    ],
)
def test_what_cannot_be_trained_on(
    tokenise: Callable[..., Tokenization], conversation: Conversation, positions: int, reason: str
) -> None:
    with pytest.raises(UntrainableError, match=reason):
        tokenise(positions)(conversation)


def test_the_clip_is_expanded_and_not_learnt(
    processor: Processor, tokenise: Callable[..., Tokenization]
) -> None:
    tokens = tokenise()(talk("What?", " A bird."))
    placeholder = processor.tokenizer.placeholder_id
    ids, labels = expanded(tokens, placeholder, 16)
    assert (ids == placeholder).sum() == 16
    assert len(ids) == len(labels) == len(tokens.ids) + 15
    assert (labels[ids == placeholder] == IGNORED).all()
    assert np.array_equal(labels[labels != IGNORED], tokens.ids[tokens.is_answer])


def test_behind_the_end_of_a_chatml_turn_nothing_is_learnt(
    processor: Processor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`<|im_end|>` ends generation, so the line's end after it is never the model's to say."""
    tokenizer = processor.tokenizer
    monkeypatch.setattr(tokenizer, "id_of", lambda text: tokenizer._tokenizer.token_to_id("</s>"))
    template = TEMPLATES["chatml"]
    encode = tokenizer.encode
    monkeypatch.setattr(tokenizer, "encode", lambda text: encode(text.replace("<|im_end|>", "</s>")))
    tokens = Tokenization(processor, template, 4096)(talk("What?", "A bird."))
    said = tokens.ids[tokens.is_answer].tolist()
    assert said[-1] == tokenizer.id_of("<|im_end|>")
    assert tokens.ids[-1] != said[-1]
