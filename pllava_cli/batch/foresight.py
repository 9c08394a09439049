"""Works read ahead of their turn, so that it is known how many there are while the first are done.

Listing folders is fast beside captioning, but a list that comes through a pipe may take for ever: it
is read by a thread of its own, which nobody waits for.
"""

import threading
from collections.abc import Iterable, Iterator
from queue import Queue

from pllava_cli.batch.work import Work

MOST_AHEAD = 100_000
"""About a kilobyte each."""


class _End:
    """There are no more works."""


class Foreseen(Iterator[Work]):
    """Iterates over works that a thread reads ahead; it raises what they raise."""

    def __init__(self, works: Iterable[Work]) -> None:
        self._queue: Queue[Work | BaseException | _End] = Queue(MOST_AHEAD)
        self._count = 0
        self._is_over = False
        threading.Thread(target=self._read, args=(works,), daemon=True).start()

    @property
    def total(self) -> int | None:
        """How many works there are in all; None while that is not known."""
        return self._count if self._is_over else None

    def __next__(self) -> Work:
        found = self._queue.get()
        if isinstance(found, Work):
            return found
        self._queue.put(found)  # whoever asks again is told again
        raise StopIteration if isinstance(found, _End) else found

    def _read(self, works: Iterable[Work]) -> None:
        try:
            for work in works:
                self._count += 1
                self._queue.put(work)
            self._is_over = True
            self._queue.put(_End())
        except BaseException as error:
            self._queue.put(error)
