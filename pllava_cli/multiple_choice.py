"""How a multiple-choice question is put to a checkpoint, and how its reply is written.

To the byte as MVBench's questions are put to the published checkpoints, because a model's score
depends on it; whoever trains on such questions and whoever evaluates them use the same functions.
"""

from collections.abc import Sequence
from string import ascii_uppercase

REPLY_START = "Best option:("
"""What a reply begins with; it is given to the model, which goes on with a letter."""
_CLOSING = " \nOnly give the best option."
"""Kept verbatim, the space before the line's end too: as magic-research/PLLaVA (6f49fd2) asks MVBench."""


def as_prompt(question: str, candidates: Sequence[str]) -> str:
    """Return the user's turn that asks a question and offers its candidates; white space at its end goes."""
    offered = "\n".join(
        f"({letter}) {text}" for letter, text in zip(ascii_uppercase, candidates, strict=False)
    )
    return f"Question: {question}\nOptions:\n{offered}".rstrip() + _CLOSING


def as_reply(candidates: Sequence[str], answer: str) -> str:
    """Return the whole reply that chooses a candidate, `REPLY_START` included."""
    return f"{REPLY_START}{ascii_uppercase[list(candidates).index(answer)]}) {answer}"
