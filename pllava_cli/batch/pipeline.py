"""Clips through the model: decoded ahead by several processes, answered several at a time.

The model takes what is decoded, as many clips as fit, and waits only while there is nothing at all.
While it works the decoders fill its next batch and no more, so that memory has a bound whatever the
number of clips. One clip that cannot be used costs its own record, and a memory that does not suffice
costs a smaller batch.
"""

import time
from collections import Counter, deque
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pllava_cli.batch.decoding import Look
from pllava_cli.batch.planning import Job
from pllava_cli.encoded import DecodedClip
from pllava_cli.errors import MemoryFullError, PllavaError
from pllava_cli.recording import Recording
from pllava_cli.records import Record
from pllava_cli.video.pool import DecoderPool

if TYPE_CHECKING:
    from pllava_cli.answers import Answer
    from pllava_cli.encoded import EncodedClips
    from pllava_cli.model.generation import Decoding


class Engine(Protocol):
    """What the pipeline needs of `Captioner`."""

    def encode_many(self, decoded: Sequence[DecodedClip], *, max_new_tokens: int) -> "EncodedClips":
        """Put clips into the model's memory."""

    def answer_each(
        self,
        encoded: "EncodedClips",
        questions: Mapping[int, str | None],
        *,
        decoding: "Decoding | None" = None,
        answer_start: str = "",
    ) -> "Mapping[int, Answer | PllavaError]":
        """Answer a question about each of some of them, or say why there is no answer."""


@dataclass(frozen=True)
class Outcome:
    """A record, and what it means for its clip."""

    job: Job
    """What it came of."""
    record: Record
    is_last: bool
    """Whether it is the last one of its clip."""
    has_failed: bool
    """Whether any question about the clip has failed so far."""
    unwritten: PllavaError | None = None
    """Why its text is not in its sidecar; the record has it all the same."""

    @property
    def clip(self) -> Path:
        """The clip's file."""
        return self.job.work.clip.path


class Runner(Protocol):
    """Whatever does jobs: the pipeline below, or several of them in other processes."""

    @property
    def batch_size(self) -> int:
        """Clips at once."""

    @property
    def waited_s(self) -> float:
        """How long models had nothing to do after their first batches, all of them together."""

    @property
    def worked_s(self) -> float:
        """How long models were at work, all of them together."""

    def run(self, jobs: Iterable[Job]) -> Generator[Outcome, None, None]:
        """Do the jobs; outcomes come as they are made."""

    def stop(self) -> None:
        """End the run once what is under way is done; a signal handler may call it."""


@dataclass
class _Waiting:
    """A decoded clip with the questions that are still to be answered."""

    job: Job
    decoded: DecodedClip
    questions: tuple[str | None, ...]
    has_failed: bool = False


class Pipeline:
    """One run of clips through a model.

    Args:
        engine: Encodes and answers.
        recording: What all records have in common.
        look: Makes the pictures of each clip.
        decoding: How tokens are chosen.
        workers: Decoder processes.
        batch_size: Clips at once; it shrinks if the memory does not suffice.
    """

    def __init__(
        self,
        engine: Engine,
        recording: Recording,
        look: Look,
        decoding: "Decoding",
        *,
        workers: int,
        batch_size: int,
    ) -> None:
        self._engine, self._recording, self._look, self._decoding = engine, recording, look, decoding
        self._workers = workers
        self.batch_size = batch_size
        self.waited_s = 0.0
        """How long the model had nothing to do after its first batch."""
        self.worked_s = 0.0
        """How long it was at work."""
        self._is_stopping = False
        self._pool: DecoderPool[Job, DecodedClip] | None = None

    def stop(self) -> None:
        """End the run once the answers under way are written; a signal handler may call it."""
        self._is_stopping = True
        if self._pool is not None:
            self._pool.stop()

    def run(self, jobs: Iterable[Job]) -> Generator[Outcome, None, None]:
        """Do the jobs; outcomes come as they are made, in another order than the jobs.

        Raises:
            PllavaError: As iterating over the jobs does.
        """
        waiting: deque[_Waiting] = deque()
        ahead = self.batch_size + self._workers
        with DecoderPool(self._workers, jobs, self._look, ahead=ahead) as pool:
            self._pool = pool
            while not self._is_stopping:
                taken = self._take(pool, max(0, self.batch_size - len(waiting)), wait=not waiting)
                for job, made in taken:
                    if isinstance(made, PllavaError):
                        yield from failed(self._recording, job, made)
                    else:
                        waiting.append(_Waiting(job, made, job.questions))
                if waiting:
                    yield from self._work(_rows(waiting, self.batch_size), waiting)
                elif not taken:
                    return

    def _take(
        self, pool: DecoderPool[Job, DecodedClip], most: int, *, wait: bool
    ) -> list[tuple[Job, DecodedClip | PllavaError]]:
        began = time.perf_counter()
        taken = pool.take(most, wait=wait)
        if self.worked_s:  # nobody could have been ahead of the first
            self.waited_s += time.perf_counter() - began
        return taken

    def _work(self, rows: list[_Waiting], waiting: deque[_Waiting]) -> Iterator[Outcome]:
        """Encode clips and answer their questions. What does not fit into the memory waits again."""
        try:
            yield from self._answers(rows)
        except MemoryFullError as error:
            if len(rows) > 1:
                self.batch_size = len(rows) // 2
                batch = list({id(each): each for each in rows if each.questions}.values())
                waiting.extendleft(reversed(batch))
            else:
                yield from self._left_over(rows, error)
        except PllavaError as error:
            yield from self._left_over(rows, error)

    def _answers(self, rows: list[_Waiting]) -> Iterator[Outcome]:
        most = self._decoding.max_new_tokens
        began = time.perf_counter()
        encoded = self._engine.encode_many([each.decoded for each in rows], max_new_tokens=most)
        while not self._is_stopping:
            asked = _asked(rows)
            if not asked:
                return
            answers = self._engine.answer_each(
                encoded, asked, decoding=self._decoding, answer_start=self._recording.turn.answer_start
            )
            share_s = self._spent(began) / len(asked)
            for number, answer in answers.items():
                if isinstance(answer, PllavaError):
                    yield self._outcome(rows[number], error=answer)
                    continue
                elapsed_s = encoded.clips[number].elapsed_s | answer.elapsed_s | {"model": share_s}
                yield self._outcome(rows[number], answer, elapsed_s)
            began = time.perf_counter()

    def _spent(self, began: float) -> float:
        """Count and return the seconds that the model was at work."""
        spent = time.perf_counter() - began
        self.worked_s += spent
        return spent

    def _left_over(self, batch: list[_Waiting], error: PllavaError) -> Iterator[Outcome]:
        for each in batch:
            while each.questions:
                yield self._outcome(each, error=error)

    def _outcome(
        self,
        of: _Waiting,
        answer: "Answer | None" = None,
        elapsed_s: dict[str, float] | None = None,
        error: PllavaError | None = None,
    ) -> Outcome:
        work, question = of.job.work, of.questions[0]
        of.questions = of.questions[1:]
        of.has_failed |= error is not None
        record = self._recording.record(
            work.clip,
            work.segment,
            question,
            file=of.job.file,
            report=of.decoded.report,
            answer=answer,
            elapsed_s=elapsed_s or {"decode": of.decoded.decode_s},
            error=error,
        )
        return Outcome(of.job, record, not of.questions, of.has_failed)


def failed(recording: Recording, job: Job, error: PllavaError) -> Iterator[Outcome]:
    """Yield an error for every question of a job."""
    work, last = job.work, len(job.questions) - 1
    for number, question in enumerate(job.questions):
        record = recording.record(work.clip, work.segment, question, file=job.file, error=error)
        yield Outcome(job, record, number == last, True)


def _rows(waiting: deque[_Waiting], most: int) -> list[_Waiting]:
    """Take the clips of a batch, each once for every question about it, as far as the rows suffice."""
    rows: list[_Waiting] = []
    while waiting and (not rows or len(rows) + len(waiting[0].questions) <= most):
        each = waiting.popleft()
        rows += [each] * min(len(each.questions), most)
    return rows


def _asked(rows: Sequence[_Waiting]) -> dict[int, str | None]:
    """The next question for each row; rows of one clip get different ones."""
    asked: dict[int, str | None] = {}
    begun: Counter[int] = Counter()
    for row, each in enumerate(rows):
        if begun[id(each)] < len(each.questions):
            asked[row] = each.questions[begun[id(each)]]
            begun[id(each)] += 1
    return asked
