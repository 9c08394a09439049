"""A conversation becomes token ids and labels: the loss sees the answers and nothing else.

The prompt's ids are those that inference would make of it, and the answer's follow them, so that what
is learnt is said after exactly the prompt that will be given. An answer is written right behind the
template's assistant start, as in the reference's own training data; white space in front of it is
kept, and where none stands none is added.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pllava_cli.model.processing import Processor
from pllava_cli.model.tokenizer import Tokenizer
from pllava_cli.prompts import Template
from pllava_cli.training.data import Conversation

IGNORED = -100
"""Label of a position that the loss does not look at: the default of torch's cross entropy."""

Ids = NDArray[np.int32]


class UntrainableError(Exception):
    """Why a conversation cannot be turned into ids."""


@dataclass(frozen=True)
class Tokens:
    """A conversation as ids, with one placeholder for the whole clip."""

    ids: Ids
    """[S]."""
    is_answer: NDArray[np.bool_]
    """[S]: whether the id is the model's to say: an answer, or the end of its turn."""


class Tokenization:
    """Turns conversations into ids.

    Args:
        processor: Of the base.
        template: Of the base.
        positions: Longest sequence that the language model takes.
    """

    def __init__(self, processor: Processor, template: Template, positions: int) -> None:
        self._tokenizer: Tokenizer = processor.tokenizer
        self._template = template
        self._positions = positions
        self._visual_tokens = processor.visual_tokens
        self._end_id = self._tokenizer.id_of(template.assistant_end.strip())

    def __call__(self, conversation: Conversation) -> Tokens:
        """The ids of a conversation.

        Raises:
            UntrainableError: It is too long, or says what only the template may say.
        """
        turns = conversation.turns
        messages = [*self._template.turns(turns[0].text)]
        ids: list[int] = []
        answered: list[bool] = []
        known: list[int] = []  # of all turns so far, as they are read
        for number in range(0, len(turns), 2):
            if number:
                messages.append(turns[number])
            before = self._template.render(messages, conversation.system)
            messages.append(turns[number + 1])
            after = self._template.render(messages, conversation.system)
            asked, whole = self._tokenizer.encode(before), self._tokenizer.encode(after)
            if asked[: len(known)] != known:
                raise UntrainableError("the tokenizer joins one turn with the next")
            prompt = asked[len(known) :]
            answer = self._answer(asked, whole, after[len(before) :])
            self._check_end(answer)
            ids += [*prompt, *answer]
            answered += [False] * len(prompt) + self._spoken(answer)
            known = whole
            self._check(ids)  # turn by turn: what is far too long is not worked through
        return Tokens(np.array(ids, np.int32), np.array(answered, np.bool_))

    def _answer(self, prompt: list[int], whole: list[int], text: str) -> list[int]:
        """Ids of an answer's `text` as they follow those of the prompt; `whole`: of prompt and answer."""
        if whole[: len(prompt)] == prompt:
            return whole[len(prompt) :]
        # The answer's first letter joins the prompt's last, as in ":(" — but the prompt has been read
        # by then. Behind a line's end nothing joins.
        anchor, anchored = self._tokenizer.encode("\n"), self._tokenizer.encode("\n" + text)
        if anchored[: len(anchor)] != anchor:
            raise UntrainableError("the tokenizer joins the answer with the prompt")
        return anchored[len(anchor) :]

    def _check_end(self, answer: list[int]) -> None:
        if self._end_id is not None and answer.count(self._end_id) != 1:
            raise UntrainableError(f"an answer holds {self._template.assistant_end.strip()}, which ends it")

    def _spoken(self, answer: list[int]) -> list[bool]:
        """Which ids of an answer the model says: up to the end of its turn, not the line's end after it."""
        last = len(answer) if self._end_id is None else answer.index(self._end_id) + 1
        return [index < last for index in range(len(answer))]

    def _check(self, ids: list[int]) -> None:
        if ids.count(self._tokenizer.placeholder_id) != 1:
            raise UntrainableError("the conversation holds the clip more than once")
        length = len(ids) - 1 + self._visual_tokens
        if length > self._positions:
            raise UntrainableError(
                f"it takes {length} positions, {self._visual_tokens} of them the clip's; "
                f"the model has {self._positions}"
            )


def expanded(tokens: Tokens, placeholder: int, visual_tokens: int) -> tuple[Ids, Ids]:
    """Ids [S] and labels [S] with the placeholder repeated once per visual token."""
    counts = np.where(tokens.ids == placeholder, visual_tokens, 1)
    labels = np.where(tokens.is_answer, tokens.ids, IGNORED).astype(np.int32)
    return np.repeat(tokens.ids, counts), np.repeat(labels, counts)
