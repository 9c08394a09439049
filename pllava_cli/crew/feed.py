"""Jobs read by a thread of their own, a few ahead: they may come slowly, as from a pipe."""

import threading
from collections.abc import Callable, Iterable

from pllava_cli.batch.planning import Job

AHEAD = 64
"""Jobs that may wait to be handed out."""


class Exhausted:
    """There are no more jobs."""


class Feed:
    """Reads jobs until it is ended.

    Args:
        jobs: What is to be done.
        report: Called from the thread: with each job, with their end, or with what reading them raises.
    """

    def __init__(
        self, jobs: Iterable[Job], report: Callable[[Job | BaseException | Exhausted], None]
    ) -> None:
        self._jobs, self._report = jobs, report
        self._room = threading.Semaphore(AHEAD)
        self._is_ended = False
        # A daemon: nobody waits for a job that does not come.
        threading.Thread(target=self._read, daemon=True, name="pllava-feed").start()

    def more(self) -> None:
        """Read one more."""
        self._room.release()

    def end(self) -> None:
        """Read no more."""
        self._is_ended = True
        self._room.release()

    def _read(self) -> None:
        try:
            for job in self._jobs:
                self._report(job)
                self._room.acquire()
                if self._is_ended:
                    return
            self._report(Exhausted())
        except BaseException as error:
            self._report(error)
