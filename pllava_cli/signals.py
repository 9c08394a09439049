"""SIGINT and SIGTERM: in a run's own hands for a while, and heeded in time."""

import math
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from types import FrameType
from typing import Any, Self, TypeVar

HEED_S = 0.5
"""At most so long a signal may go unheeded."""

Handler = Callable[[int, FrameType | None], None]
Item = TypeVar("Item")


def take(queue: SimpleQueue[Item], timeout_s: float = math.inf) -> Item:
    """Wait for the next item of a queue, as its `get` does, in the main thread.

    A signal that comes in the moment between the interpreter's last look for one and its going to sleep wakes
    nobody: it would be heeded with the next item only, and that may be a minute off.

    Raises:
        Empty: There is none within that time.
    """
    until = time.monotonic() + timeout_s
    while (left_s := until - time.monotonic()) > HEED_S:
        try:
            return queue.get(timeout=HEED_S)
        except Empty:
            continue
    return queue.get(timeout=max(0.0, left_s))


class Signals:
    """Takes SIGINT and SIGTERM for as long as it lasts.

    One that whoever started us has set to be ignored, as a shell does for a job in the background,
    stays ignored.

    Args:
        handle: Called with each signal.
    """

    def __init__(self, handle: Handler) -> None:
        self._handler = handle
        self.before: dict[int, Any] = {}
        """Who had each signal that is taken."""

    def __enter__(self) -> Self:
        found = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        self.before = {number: handler for number, handler in found.items() if handler != signal.SIG_IGN}
        for number in self.before:
            signal.signal(number, self._handler)
        return self

    def __exit__(self, *_: object) -> None:
        self.give_back()

    def give_back(self) -> None:
        """Let those who had the signals have them again."""
        for number, handler in self.before.items():
            signal.signal(number, handler)


def cause_of_death(status: int) -> str:
    """Say how a process ended, from the return code that `subprocess` gives for it."""
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:  # one of those for real time, of which only the first and the last have names
        return f"killed by signal {-status}"


@contextmanager
def interrupts_held_back() -> Iterator[None]:
    """Let Ctrl-C wait until the end of the block, and for good in processes that are started within it.

    A process that is only starting would answer it with a traceback. On Windows nothing is held back.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
