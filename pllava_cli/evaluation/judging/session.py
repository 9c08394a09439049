"""Putting answers before a judge: many at once, each prompt once, and every verdict kept as it comes.

Whoever asks writes the verdict down himself, under one lock, so that Ctrl-C loses none that has come. The
threads are daemons: one that still waits for a server keeps nobody from leaving.
"""

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from queue import SimpleQueue
from threading import Event, Lock, Thread

from pllava_cli import signals
from pllava_cli.evaluation.judging.judge import Judge, Stopped
from pllava_cli.evaluation.judging.judgements import Judgement, Task
from pllava_cli.evaluation.judging.replies import read_reply
from pllava_cli.evaluation.judging.responses import Failure
from pllava_cli.evaluation.judging.store import Store

MOST_IN_A_ROW = 3
"""Questions that fail one after the other, with no reply between: then it is not the questions. Refusals
that may be for what a question holds are not counted once the judge has replied to another: whoever runs the
command again asks those first, and nothing else."""
GRACE_S = 10.0
"""How long replies that are under way are waited for when the run ends by an error."""

OnProgress = Callable[[int, int], None]
"""Told how many prompts of how many are through."""


@dataclass(frozen=True)
class Outcome:
    """What came of asking a judge."""

    judgements: Mapping[str, Judgement]
    """By task; tasks of the same prompt share one."""
    unanswered: Mapping[str, str] = field(default_factory=dict)
    """By task: why there is no verdict on it. It counts as unjudged, and is asked again the next time."""
    asked: int = 0
    """Tasks that the judge has replied to now."""
    known: int = 0
    """Tasks to which its reply was there already."""


def judge_all(
    tasks: Sequence[Task], judge: Judge, store: Store, on_progress: OnProgress | None = None
) -> Outcome:
    """Put tasks to a judge, those of one prompt once, and none to which the store has the reply.

    Args:
        tasks: What is to be judged.
        judge: Who judges.
        store: Where verdicts are, and go.
        on_progress: Told, now and then, how far it is.

    Raises:
        UsageError: The judge cannot be asked, or the store not be written; what has come is in it.
    """
    by_key: dict[str, list[Task]] = {}
    for task in tasks:
        by_key.setdefault(judge.key(task), []).append(task)
    new = {key: each[0] for key, each in by_key.items() if store.get(key) is None}
    known = len(by_key) - len(new)
    session = _Session(judge, store, new)
    session.run(lambda done: on_progress(known + done, len(by_key)) if on_progress else None)
    found = {key: each for key in by_key if (each := store.get(key)) is not None}
    if session.failures and not found and not session.are_of_prompts():
        raise judge.failed(next(iter(session.failures.values())))
    return Outcome(
        {task.id: each for key, each in found.items() for task in by_key[key]},
        {task.id: failure.reason for key, failure in session.failures.items() for task in by_key[key]},
        asked=sum(len(by_key[key]) for key in found if key in new),
        known=sum(len(by_key[key]) for key in found if key not in new),
    )


class _Session:
    """The asking of prompts that have no reply yet."""

    def __init__(self, judge: Judge, store: Store, tasks: Mapping[str, Task]) -> None:
        self._judge, self._store = judge, store
        self._waiting = deque(tasks.items())
        self._news: SimpleQueue[bool] = SimpleQueue()
        """True for each prompt that is through, False for each thread that ends."""
        self._lock = Lock()
        """Held by whoever writes, or changes what follows."""
        self._stop = Event()
        self._is_closed = False
        self._in_a_row = 0
        self._has_reply = store.has_reply_of(judge.model)
        """Whether the judge has replied to anything, now or in an earlier run."""
        self._error: BaseException | None = None
        self.failures: dict[str, Failure] = {}
        """By prompt."""

    def run(self, on_done: Callable[[int], None]) -> None:
        """Ask until all is asked, or cannot be, or the run is interrupted."""
        count = min(self._judge.at_once, len(self._waiting))
        threads = [Thread(target=self._work, daemon=True) for _ in range(count)]
        try:
            done = 0
            on_done(done)
            for thread in threads:
                thread.start()
            while count:
                is_prompt = signals.take(self._news)
                if is_prompt:
                    done += 1
                    on_done(done)
                else:
                    count -= 1
                if self._error is not None:
                    break
            self._wait(threads)
        finally:
            self._stop.set()
            with self._lock:  # whoever writes just now comes to the line's end
                self._is_closed = True
        if self._error is not None:
            raise self._error

    def are_of_prompts(self) -> bool:
        """Whether all that failed may have done so for what it held, as the judge replies to others."""
        return self._has_reply and all(each.is_of_prompt for each in self.failures.values())

    def _wait(self, threads: Sequence[Thread]) -> None:
        until = time.monotonic() + GRACE_S
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _work(self) -> None:
        try:
            while not self._stop.is_set() and (task := self._next()) is not None:
                with suppress(Stopped):
                    self._settle(*task)
                self._news.put(True)
        except BaseException as error:
            with self._lock:
                self._end(error)
        finally:
            self._news.put(False)

    def _next(self) -> tuple[str, Task] | None:
        with self._lock:
            return self._waiting.popleft() if self._waiting else None

    def _settle(self, key: str, task: Task) -> None:
        try:
            reply = self._judge.ask(task, self._stop)
        except Failure as failure:
            self._failed(key, failure)
            return
        judgement = Judgement(
            item=task.item,
            dimension=task.dimension,
            model=self._judge.model,
            replied_model=reply.model,
            endpoint=self._judge.endpoint.host,
            reply=reply.text,
            meaning=read_reply(reply.text),
        )
        with self._lock:
            if not self._is_closed:
                self._store.append(key, judgement)
                self._in_a_row, self._has_reply = 0, True

    def _failed(self, key: str, failure: Failure) -> None:
        with self._lock:
            self.failures[key] = failure
            if failure.is_of_prompt and self._has_reply:
                return
            self._in_a_row += 1
            if failure.is_final or self._in_a_row >= MOST_IN_A_ROW:
                self._end(self._judge.failed(failure))

    def _end(self, error: BaseException) -> None:
        """Let nothing more be asked; the first reason counts."""
        self._error = self._error or error
        self._stop.set()
