"""Where outcomes go: the sidecar first, then the journal.

The journal says what is done, so it comes last: whatever a kill leaves out is then made again. Syncing a
record takes a busy disk several milliseconds, for which the model does not wait.
"""

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Protocol, Self

from pllava_cli.batch.pipeline import Outcome
from pllava_cli.batch.sidecar import Sidecars
from pllava_cli.errors import ClipError
from pllava_cli.records import Error, Record

MOST_PENDING = 256
"""Records that may wait for the disk; a kill loses so many at most, and they are made again."""


class Appending(Protocol):
    """A journal, or standard output."""

    def append(self, record: Record) -> None:
        """Write a record for good."""


class Output:
    """Writes all the results of a run; leaving the context waits for those that are pending.

    Args:
        journal: Takes every record, in the order in which they come.
        sidecars: Take the texts too.
        in_thread: Whether a thread of its own writes the journal; not for a terminal, which others write to.
    """

    def __init__(self, journal: Appending, sidecars: Sidecars | None, *, in_thread: bool) -> None:
        self._journal, self._sidecars, self._in_thread = journal, sidecars, in_thread
        self._thread = ThreadPoolExecutor(1, "pllava-writer")
        self._pending: deque[Future[None]] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown()

    def write(self, outcome: Outcome) -> Outcome:
        """Write what came of a clip; a text that cannot be written to its sidecar becomes an error.

        Returns:
            What was written, or is about to be.

        Raises:
            UsageError: Nothing can be written any more, as on a full disk: this outcome or one before it.
        """
        outcome = self._with_sidecar(outcome)
        if not self._in_thread:
            self._journal.append(outcome.record)
            return outcome
        self._pending.append(self._thread.submit(self._journal.append, outcome.record))
        self._wait(MOST_PENDING)
        return outcome

    def finish(self) -> None:
        """Wait until all is written; raises as `write`."""
        self._wait(0)

    def _wait(self, may_wait: int) -> None:
        while self._pending and (self._pending[0].done() or len(self._pending) > may_wait):
            self._pending.popleft().result()

    def _with_sidecar(self, outcome: Outcome) -> Outcome:
        record = outcome.record
        if self._sidecars is None or record.text is None:
            return outcome
        try:
            self._sidecars.write(outcome.clip, record.segment, record.text)
        except ClipError as error:
            return replace(outcome, record=replace(record, text=None, error=Error.of(error)), has_failed=True)
        return outcome
