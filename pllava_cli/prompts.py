"""Prompt templates as data, and the one function that renders them.

The roles, the separators and the place of the video are what the checkpoints were trained with and
must be exact to the byte; they were read from the reference implementation (magic-research/PLLaVA
at 6f49fd2) and are held against its recorded prompts in the tests. The system text and the caption
instruction are this project's own words, and a user may replace both.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from pllava_cli.errors import UsageError

VIDEO_PLACEHOLDER = "<image>"
"""One placeholder stands for a whole clip; the name is LLaVA's."""

SYSTEM = (
    "You watch a video through frames sampled over its whole length and report what they show. "
    "Say only what can be seen, in plain sentences, and follow the order of events."
)
"""System text used unless the user gives another."""

CAPTION = (
    "Describe this video in one paragraph: the setting, who or what appears in it, "
    "and what happens from beginning to end. Leave out what you cannot see clearly."
)
"""Instruction of `pllava caption` unless the user gives another."""


def check_text(text: str, name: str) -> None:
    """Refuse a user's text that holds the placeholder.

    Raises:
        UsageError: It does; `name` says in the message which text it is.
    """
    if VIDEO_PLACEHOLDER in text:
        raise UsageError(
            f"{name} holds {VIDEO_PLACEHOLDER}, which stands for the clip",
            "leave it out; the clip is put in by itself",
        )


class Message(NamedTuple):
    """One turn of a conversation."""

    role: Literal["user", "assistant", "answer start"]
    """Who speaks; an "answer start" is what the model's reply is made to begin with."""
    text: str


@dataclass(frozen=True)
class Template:
    """How a checkpoint wants a conversation written."""

    user: str
    """Opens a user's turn."""
    assistant: str
    """Opens the model's turn."""
    user_end: str
    """Closes a user's turn, and the system text."""
    assistant_end: str
    """Closes the model's turn."""
    media: str
    """What stands for the video."""
    media_alone: bool
    """Whether the video is a user's turn of its own, before the question's, or leads the question."""

    def turns(self, question: str) -> list[Message]:
        """The messages of a first question about a video: the video stands first."""
        if self.media_alone:
            return [Message("user", self.media), Message("user", question)]
        return [Message("user", f"{self.media} {question}")]

    def render(self, messages: Sequence[Message], system: str = "") -> str:
        """Write a conversation out, ending where the model is to go on.

        Args:
            messages: The turns so far; the last is the user's or an "answer start".
            system: Text before all turns; none if empty.
        """
        parts = [system + self.user_end] if system else []
        for role, text in messages:
            if role == "user":
                parts.append(self.user + text + self.user_end)
            else:
                parts.append(self.assistant + text + (self.assistant_end if role == "assistant" else ""))
        if messages and messages[-1].role == "user":
            parts.append(self.assistant)
        return "".join(parts)


_VICUNA = Template(
    "USER: ",
    "ASSISTANT:",
    user_end=" ",
    assistant_end="</s>",
    media=f"{VIDEO_PLACEHOLDER}\n",
    media_alone=True,
)
_CHATML = Template(
    "<|im_start|>user\n",
    "<|im_start|>assistant\n",
    user_end="<|im_end|>\n",
    assistant_end="<|im_end|>\n",
    media=f"{VIDEO_PLACEHOLDER}\n",
    media_alone=True,
)

TEMPLATES = {
    "vicuna": _VICUNA,
    "vicuna-inline": replace(_VICUNA, media_alone=False),
    # Kept verbatim: the reference's demo writes the user's role without the space after it.
    "vicuna-plain": replace(_VICUNA, user="USER:", media=VIDEO_PLACEHOLDER, media_alone=False),
    "chatml": _CHATML,
    "chatml-inline": replace(_CHATML, media_alone=False),
}
"""Templates by name. The 7B and 13B checkpoints use `vicuna`, the 34B `chatml`; the `-inline` forms
are those of the reference's video question answering, `vicuna-plain` that of its demo."""
