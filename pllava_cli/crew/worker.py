"""A worker at the place where the model runs: one pipeline in a thread, which others give jobs and hear from.

It is the same in a process of this machine and in an actor of a cluster; only the way there differs.
"""

import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any

from pllava_cli.batch.pipeline import Outcome, Runner
from pllava_cli.batch.planning import Job
from pllava_cli.crew.events import Died, Ended, Event, Made, Ready, Refused, Ticket
from pllava_cli.errors import PllavaError


@dataclass(frozen=True)
class Station:
    """A checkpoint loaded, with all that captions."""

    runner: Runner
    decoders: int
    where: str
    """Device and machine, for people."""
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    """What the user should know of the checkpoint."""
    late: list[str] = field(default_factory=list)
    """Warnings that come up on the way are added here, by any thread, and go from here to the user."""


Opener = Callable[[], Station]
"""Loads the checkpoint; must be one that pickles."""


class _NoMore:
    """No further jobs will come."""


class Worker:
    """Begins at once; all its methods may be called from any thread.

    Args:
        opener: Called in the worker's own thread.
    """

    def __init__(self, opener: Opener) -> None:
        self._jobs: SimpleQueue[Ticket | _NoMore] = SimpleQueue()
        self._events: SimpleQueue[Event] = SimpleQueue()
        self._numbers: dict[int, int] = {}
        self._runner: Runner | None = None
        self._is_stopping = False
        threading.Thread(target=self._work, args=(opener,), daemon=True, name="pllava-worker").start()

    def give(self, tickets: Sequence[Ticket]) -> None:
        """Add jobs."""
        for ticket in tickets:
            self._jobs.put(ticket)

    def finish(self) -> None:
        """End once all jobs are done."""
        self._jobs.put(_NoMore())

    def stop(self) -> None:
        """End once what is under way is done."""
        self._is_stopping = True
        if self._runner is not None:
            self._runner.stop()
        self.finish()

    def take(self, timeout_s: float | None) -> list[Event]:
        """Return what has happened since, in order; wait for something to happen if nothing has.

        Args:
            timeout_s: How long; then nothing is returned. None: for ever.
        """
        taken: list[Event] = []
        with suppress(Empty):
            taken.append(self._events.get(timeout=timeout_s))
            while True:
                taken.append(self._events.get_nowait())
        return taken

    def _work(self, opener: Opener) -> None:
        try:
            try:
                station = opener()
            except PllavaError as error:
                self._events.put(Refused(error))
            else:
                self._run(station)
        except BaseException as error:  # whatever it is, it must be heard of
            self._events.put(died_of(error))

    def _run(self, station: Station) -> None:
        self._runner = runner = station.runner
        if self._is_stopping:  # it may have been told so before there was a runner to tell
            runner.stop()
        self._events.put(
            Ready(runner.batch_size, station.decoders, station.where, station.warnings, station.notes)
        )
        for outcome in runner.run(self._awaited()):
            self._events.put(self._made(outcome, station))
        self._events.put(Ended())

    def _awaited(self) -> Iterator[Job]:
        while isinstance(ticket := self._jobs.get(), Ticket):
            self._numbers[id(ticket.job)] = ticket.number  # the runner holds it until its last outcome
            yield ticket.job

    def _made(self, outcome: Outcome, station: Station) -> Made:
        runner = station.runner
        warnings = tuple(station.late.pop(0) for _ in range(len(station.late)))
        find = self._numbers.pop if outcome.is_last else self._numbers.__getitem__
        return Made(
            find(id(outcome.job)),
            outcome.record,
            outcome.is_last,
            outcome.has_failed,
            runner.batch_size,
            runner.waited_s,
            runner.worked_s,
            warnings,
        )


def tried(task: Callable[[], Any]) -> Any:
    """Do a task; an error of ours comes back as what it is, so that it crosses processes whole."""
    try:
        return task()
    except PllavaError as error:
        return error


def died_of(error: BaseException) -> Died:
    """Describe an error that nobody expected."""
    said = str(error).strip().partition("\n")[0]
    name = type(error).__name__
    return Died(f"{name}: {said}" if said else name, "".join(traceback.format_exception(error)))
