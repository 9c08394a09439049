"""An answer: the whole of it, and its pieces while it is being made."""

from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pllava_cli.model.generation import Stopped
    from pllava_cli.model.tokenizer import TextStream


@dataclass(frozen=True)
class Answer:
    """What the model said."""

    text: str
    question: str | None
    """`None` for a caption."""
    stopped: "Stopped"
    """Why it ended: the model's own end, the token limit, or a loop that was cut off."""
    new_tokens: int
    elapsed_s: dict[str, float]
    """Seconds: "first_token" until the first token, "generate" for the whole answer."""


class AnswerStream(Iterator[str]):
    """Pieces of an answer as they come: whole characters, no space around the whole.

    `answer` is there once the pieces are exhausted; asking for it earlier waits for the rest.
    """

    def __init__(self, pieces: Generator[str, None, Answer]) -> None:
        self._pieces = pieces
        self._answer: Answer | None = None

    def __next__(self) -> str:
        try:
            return next(self._pieces)
        except StopIteration as end:
            self._answer = end.value or self._answer
            raise StopIteration from None

    def close(self) -> None:
        """Stop before the end; the clip is free for other questions at once."""
        self._pieces.close()

    @property
    def answer(self) -> Answer:
        """The whole answer; its text is the pieces joined."""
        for _ in self:
            pass
        if self._answer is None:
            raise RuntimeError("the stream was closed before the answer was complete")
        return self._answer


def spoken(tokens: Iterable[int], text: "TextStream") -> Iterator[str]:
    """The text of tokens in pieces: no space before the first or after the last, no half character."""
    has_begun, space = False, ""
    for piece in _pieces(tokens, text):
        if not has_begun:
            piece = piece.lstrip()
        whole = space + piece
        shown = whole.rstrip()
        space = whole[len(shown) :]  # counts only if more text follows
        if shown:
            has_begun = True
            yield shown


def _pieces(tokens: Iterable[int], text: "TextStream") -> Iterator[str]:
    for token in tokens:
        yield text.feed(token)
    yield text.rest()
