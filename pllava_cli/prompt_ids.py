"""The token ids of a prompt, in two parts: what comes up to the clip's end, and what a question adds.

The placeholder, a special token, cuts the text: the ids before it do not depend on the question, so
that a clip encoded once can be asked anything.
"""

from typing import TYPE_CHECKING

from pllava_cli.errors import UsageError
from pllava_cli.prompts import Message, Template, check_text

if TYPE_CHECKING:
    from pllava_cli.encoded import EncodedClip, EncodedClips
    from pllava_cli.model.processing import Processor


class PromptIds:
    """Writes prompts as token ids.

    Args:
        template: How the checkpoint wants a conversation written.
        system: System text; none if empty.
        processor: Its tokenizer, and how many visual tokens a clip has.
        positions: How many the model has.
    """

    def __init__(self, template: Template, system: str, processor: "Processor", positions: int) -> None:
        self._template, self._system = template, system
        self._processor, self._positions = processor, positions

    def prefix(self) -> list[int]:
        """Ids of everything up to the clip's last visual token: system text and clip.

        Raises:
            UsageError: The system text is too long, or holds the clip's placeholder.
        """
        check_text(self._system, "the system text")
        ids = self._ids("")
        taken = self._taken(ids)
        if taken >= self._positions:
            raise UsageError(
                f"the system text and the clip need {taken} of the model's {self._positions} positions",
                "use a shorter --system text or a smaller --pooling-shape",
            )
        return ids[: _after_clip(ids, self._processor.tokenizer.placeholder_id)]

    def question(
        self,
        encoded: "EncodedClip | EncodedClips",
        question: str,
        answer_start: str,
        max_new_tokens: int,
    ) -> list[int]:
        """Ids of a question and of the answer's start.

        Args:
            encoded: What is asked about.
            question: The user's words.
            answer_start: What the model is made to begin with.
            max_new_tokens: Most tokens of the answer.

        Raises:
            UsageError: The texts hold the clip's placeholder, the clip was encoded with another system
                text or checkpoint, or the model has too few positions.
        """
        ids, known = self.check(question, answer_start, max_new_tokens), len(encoded.prefix_ids)
        if ids[:known] != encoded.prefix_ids:
            raise UsageError(
                f"{encoded.name} was encoded with another system text or checkpoint", "encode it again"
            )
        return ids[known:]

    def check(self, question: str, answer_start: str, max_new_tokens: int) -> list[int]:
        """Ids of a whole prompt, which holds for every clip.

        Raises:
            UsageError: The texts hold the clip's placeholder, or the model has too few positions.
        """
        check_text(question, "the question")
        check_text(answer_start, "the answer's start")
        ids = self._ids(question, answer_start)
        taken = self._taken(ids)
        if taken + max_new_tokens > self._positions:
            raise UsageError(
                f"prompt and answer need {taken} + {max_new_tokens} positions of {self._positions}",
                "ask a shorter question, or use a smaller --max-new-tokens or --pooling-shape",
            )
        return ids

    def _taken(self, ids: list[int]) -> int:
        """Positions of a prompt; a clip's merged tokens are as far apart as all of its tokens would be."""
        return len(ids) + self._processor.pooled_tokens - self._processor.visual_tokens

    def _ids(self, question: str, answer_start: str = "") -> list[int]:
        turns = self._template.turns(question)
        if answer_start:
            turns.append(Message("answer start", answer_start))
        return self._processor.expand(
            self._processor.tokenizer.encode(self._template.render(turns, self._system))
        )


def _after_clip(ids: list[int], placeholder: int) -> int:
    return len(ids) - ids[::-1].index(placeholder)
