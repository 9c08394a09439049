"""The engine: load a checkpoint, encode a clip once, answer any number of questions about it.

A question only adds its own tokens behind the clip's in the key-value cache, and takes them away
again. The same question about several clips is answered in one forward pass per token.
"""

import time
from collections.abc import Generator, Mapping
from functools import cached_property, partial
from pathlib import Path

from pllava_cli.answers import Answer, AnswerStream, spoken
from pllava_cli.encoded import DecodedClip, EncodedClip, EncodedClips
from pllava_cli.encoding import ClipEncoder
from pllava_cli.errors import PllavaError, UsageError
from pllava_cli.loader import load_model
from pllava_cli.model.batching import TokenRow, run_together
from pllava_cli.model.generation import Decoding, TokenRun
from pllava_cli.model.memory import is_memory, memory_full, within_memory
from pllava_cli.model.overflow import overflowed
from pllava_cli.model.plan import RuntimePlan
from pllava_cli.prompts import CAPTION

__all__ = [
    "Answer",
    "AnswerStream",
    "Captioner",
    "DecodedClip",
    "Decoding",
    "EncodedClip",
    "EncodedClips",
    "RuntimePlan",
    "load_model",
]


class Captioner(ClipEncoder):
    """Captions clips and answers questions about them; made with the arguments of `ClipEncoder`."""

    caption_prompt = CAPTION
    """What is asked when a caption is wanted."""

    def stream(
        self,
        encoded: EncodedClip,
        question: str | None = None,
        *,
        decoding: Decoding | None = None,
        answer_start: str = "",
    ) -> AnswerStream:
        """Answer a question (`None`: caption the clip), piece by piece.

        Args:
            encoded: The clip.
            question: The user's words.
            decoding: How tokens are chosen.
            answer_start: What the model is made to begin with; the answer is what follows it.

        Raises:
            UsageError: The question cannot be asked: it is too long, or holds the clip's placeholder.
            MemoryFullError: While it is answered: the device's memory does not suffice.
            PllavaError: While it is answered: the model's numbers overflow.
        """
        decoding = decoding or Decoding()
        ids = self._question_ids(encoded, question, answer_start, decoding)
        return AnswerStream(self._say(encoded, question, ids, decoding))

    def answer(
        self,
        encoded: EncodedClip,
        question: str | None = None,
        *,
        decoding: Decoding | None = None,
        answer_start: str = "",
    ) -> Answer:
        """Answer a question; takes and raises what `stream` does."""
        return self.stream(encoded, question, decoding=decoding, answer_start=answer_start).answer

    def answer_many(
        self,
        encoded: EncodedClips,
        question: str | None = None,
        *,
        decoding: Decoding | None = None,
        answer_start: str = "",
    ) -> list[Answer]:
        """Answer one question (`None`: caption) about all clips of a batch, one forward pass per token.

        The texts are those that `answer` gives clip by clip, drawn ones too if `decoding` has a seed. In
        float32 that holds to the token; in bf16, fp16 and packed weights a product's last bits depend on
        how many rows it has, and a near tie may fall the other way.

        Args:
            encoded: The clips; another thread that asks them waits.
            question: The user's words.
            decoding: How tokens are chosen.
            answer_start: What the model is made to begin with; the answers are what follows it.

        Returns:
            The answers, in the order of the clips. Their seconds count from the start of the batch.

        Raises:
            UsageError: The question cannot be asked, as with `stream`.
            MemoryFullError: The device's memory does not suffice for so many; encode fewer at once.
            PllavaError: The model's numbers overflow at one of the clips.
        """
        decoding = decoding or Decoding()
        ids = self._question_ids(encoded, question, answer_start, decoding)
        rows = self._told(encoded, dict.fromkeys(range(len(encoded.clips)), ids), decoding)
        if any(row.is_lost for row in rows.values()):
            raise overflowed(self.model)
        return [self._answered(question, row) for row in rows.values()]

    def answer_each(
        self,
        encoded: EncodedClips,
        questions: Mapping[int, str | None],
        *,
        decoding: Decoding | None = None,
        answer_start: str = "",
    ) -> dict[int, Answer | PllavaError]:
        """Answer a question of its own about each clip of a batch, or of some, one forward pass per token.

        What holds for `answer_many` holds here; questions of different lengths count as different rows do.

        Args:
            encoded: The clips; another thread that asks them waits.
            questions: The user's words (`None`: caption) by the clip's place among `encoded.clips`.
            decoding: How tokens are chosen.
            answer_start: What the model is made to begin with; the answers are what follows it.

        Returns:
            By the same places the answers, or why there is none: the question cannot be asked, or the
            model's numbers overflow at the clip.

        Raises:
            MemoryFullError: The device's memory does not suffice for so many; encode fewer at once.
        """
        decoding = decoding or Decoding()
        prompts: dict[int, list[int]] = {}
        found: dict[int, Answer | PllavaError] = {}
        for clip, question in questions.items():
            try:
                prompts[clip] = self._question_ids(encoded, question, answer_start, decoding)
            except UsageError as error:
                found[clip] = error
        for clip, row in self._told(encoded, prompts, decoding).items():
            found[clip] = overflowed(self.model) if row.is_lost else self._answered(questions[clip], row)
        return {clip: found[clip] for clip in questions}

    def check_question(
        self, question: str | None, *, decoding: Decoding | None = None, answer_start: str = ""
    ) -> None:
        """Make sure, before there is a clip, that a question (`None`: for a caption) can be asked.

        Raises:
            UsageError: It is too long, or holds the clip's placeholder.
        """
        asked = self.caption_prompt if question is None else question
        self._prompts.check(asked, answer_start, (decoding or Decoding()).max_new_tokens)

    def caption(
        self,
        path: str | Path,
        *,
        start: float | None = None,
        end: float | None = None,
        decoding: Decoding | None = None,
    ) -> Answer:
        """Caption a clip; raises as `encode` does."""
        return self.answer(self.encode(path, start=start, end=end), decoding=decoding)

    def _question_ids(
        self,
        encoded: EncodedClip | EncodedClips,
        question: str | None,
        answer_start: str,
        decoding: Decoding,
    ) -> list[int]:
        asked = self.caption_prompt if question is None else question
        return self._prompts.question(encoded, asked, answer_start, decoding.max_new_tokens)

    def _told(
        self, encoded: EncodedClips, prompts: Mapping[int, list[int]], decoding: Decoding
    ) -> dict[int, TokenRow]:
        """What the model says to the prompts of some clips of a batch."""
        with encoded.lock:
            cache = encoded.cache
            cache.rewind(len(encoded.prefix_ids))
            work = partial(run_together, self.model, cache, encoded.order, prompts, decoding, self._stop_ids)
            return within_memory(self.plan, len(encoded.clips), work)

    def _say(
        self, encoded: EncodedClip, question: str | None, ids: list[int], decoding: Decoding
    ) -> Generator[str, None, Answer]:
        began, said = time.perf_counter(), []
        cache, is_full = within_memory(self.plan, 1, encoded.borrow), False  # beside another answer a copy
        try:
            run = TokenRun(self.model, cache, ids, decoding, self._stop_ids)
            for piece in spoken(run, self.processor.tokenizer.stream()):
                said.append(piece)
                yield piece
        except (RuntimeError, MemoryError) as error:
            is_full = is_memory(error)
            if not is_full:
                raise
        finally:
            encoded.give_back(cache)
        if is_full:  # outside of the handler, as in `within_memory`
            raise memory_full(self.plan)
        elapsed = {"first_token": run.first_token_s, "generate": time.perf_counter() - began}
        return Answer("".join(said), question, run.stopped, len(run.ids), elapsed)

    def _answered(self, question: str | None, row: TokenRow) -> Answer:
        text = self.processor.tokenizer.decode(row.ids).strip()  # what the pieces of a stream come to
        elapsed = {"first_token": row.first_token_s, "generate": row.generate_s}
        return Answer(text, question, row.stopped, len(row.ids), elapsed)

    @cached_property
    def _stop_ids(self) -> frozenset[int]:
        stored = self.model.generation_config.eos_token_id
        ids = {stored} if isinstance(stored, int) else set(stored or ())
        turn_end = self.processor.tokenizer.id_of(self.template.assistant_end.strip())
        return frozenset(ids if turn_end is None else ids | {turn_end})
