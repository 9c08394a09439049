"""Where outcomes go: into the journal first, then into the sidecar.

The journal holds all that was made, so it comes first: a sidecar that a kill leaves out, or that cannot be
written, the next run writes from the record, and no text is made twice. Syncing either takes a busy disk
several milliseconds, for which the model does not wait.
"""

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Protocol, Self

from pllava_cli.batch.pipeline import Outcome
from pllava_cli.batch.sidecar import Sidecars
from pllava_cli.errors import ClipError
from pllava_cli.records import Record

MOST_PENDING = 256
"""Outcomes that may wait for the disk; a kill loses so many at most, and they are made again."""


class Appending(Protocol):
    """A journal, or standard output."""

    def append(self, record: Record) -> None:
        """Write a record for good."""


class Output:
    """Writes all the results of a run; leaving the context waits for those that are pending.

    Args:
        journal: Takes every record, in the order in which they come.
        sidecars: Take the texts too.
        in_thread: Whether a thread of its own writes; not to a terminal, which others write to.
    """

    def __init__(self, journal: Appending, sidecars: Sidecars | None, *, in_thread: bool) -> None:
        self._journal, self._sidecars, self._in_thread = journal, sidecars, in_thread
        self._thread = ThreadPoolExecutor(1, "pllava-writer")
        self._pending: deque[Future[Outcome]] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown()

    def write(self, outcome: Outcome) -> list[Outcome]:
        """Write what came of a clip, or have it written.

        Returns:
            What has been written by now, this or some before it: each outcome once, here or by `finish`.

        Raises:
            UsageError: Nothing can be written any more, as on a full disk: this outcome or one before it.
        """
        if not self._in_thread:
            return [self._written(outcome)]
        self._pending.append(self._thread.submit(self._written, outcome))
        return self._wait(MOST_PENDING)

    def finish(self) -> list[Outcome]:
        """Wait until all is written; returns and raises as `write`."""
        return self._wait(0)

    def _wait(self, may_wait: int) -> list[Outcome]:
        written: list[Outcome] = []
        while self._pending and (self._pending[0].done() or len(self._pending) > may_wait):
            written.append(self._pending.popleft().result())
        return written

    def _written(self, outcome: Outcome) -> Outcome:
        record = outcome.record
        self._journal.append(record)
        if self._sidecars is None or record.text is None:
            return outcome
        try:
            self._sidecars.write(outcome.clip, record.segment, record.text)
        except ClipError as error:
            return replace(outcome, has_failed=True, unwritten=error)
        return outcome
