"""Many clips decoded several at a time, ahead of whoever takes them.

A thread waits for each decoder process, so that clips are decoded while the taker is at work; how far
ahead is bounded. An interruption waits for no clip: the processes are ended in the middle of theirs, and
so the threads that wait for them end too.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

from pllava_cli import signals
from pllava_cli.errors import PllavaError
from pllava_cli.video.reader import Decoder

AHEAD = 4
"""Items for each decoder that may be under way or wait to be taken, where it is not said."""
ABORT_EVERY_S = 0.02
"""Decoders are told to end until they do: one may be just starting its process when it is told first."""

Item = TypeVar("Item")
Made = TypeVar("Made")


class _Ended:
    """A thread has no more to do."""


class _Stopped:
    """Nobody wants more."""


class DecoderPool(Generic[Item, Made]):
    """Decoders, each for one item at a time, until the `with` block is left in whatever way.

    Args:
        count: How many.
        items: What is to be done, taken by one thread at a time; it may wait for more.
        work: Does it, in several threads. A `PllavaError` is the item's outcome; any other error, and
            whatever `items` raises, is raised where outcomes are taken.
        ahead: Items that may be under way or wait to be taken, at least `count`.
    """

    def __init__(
        self,
        count: int,
        items: Iterable[Item],
        work: Callable[[Item, Decoder], Made],
        *,
        ahead: int | None = None,
    ) -> None:
        self._decoders = [Decoder() for _ in range(count)]
        self._items, self._work = iter(items), work
        self._room = threading.Semaphore(max(count, ahead or count * AHEAD))
        # Of the kinds of queue the one that a signal handler may put into.
        self._ready: SimpleQueue[tuple[Item, Made | PllavaError] | BaseException | _Ended | _Stopped]
        self._ready = SimpleQueue()
        self._source, self._state = threading.Lock(), threading.Lock()
        self._busy: set[Decoder] = set()
        self._ending = False
        self._left = count

    def __enter__(self) -> "DecoderPool[Item, Made]":
        try:
            for decoder in self._decoders:
                # Daemons: one that waits for the next item, as from a pipe, must not keep the program alive.
                threading.Thread(target=self._serve, args=(decoder,), daemon=True).start()
        except BaseException:  # Ctrl-C between two starts: the first decoder is at work already
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        with self._state:
            self._ending = True
        for _each in self._decoders:
            self._room.release()
        while self._busy:
            for decoder in self._decoders:
                decoder.abort()
            time.sleep(ABORT_EVERY_S)
        for decoder in self._decoders:
            decoder.stop()
        self.stop()

    def __iter__(self) -> Iterator[tuple[Item, Made | PllavaError]]:
        """Yield items as they are done, each with what was made of it or what was wrong with it."""
        while some := self.take(1):
            yield from some

    def take(self, most: int, *, wait: bool = True) -> list[tuple[Item, Made | PllavaError]]:
        """Take what is done.

        Args:
            most: At most so many.
            wait: Wait until there is one; then nothing is returned only once all is done or stopped.
        """
        taken: list[tuple[Item, Made | PllavaError]] = []
        while self._left and len(taken) < most:
            try:
                made = signals.take(self._ready) if wait and not taken else self._ready.get(block=False)
            except Empty:
                break
            if isinstance(made, _Ended):
                self._left -= 1
            elif isinstance(made, _Stopped):
                self._left = 0
            elif isinstance(made, BaseException):
                raise made
            else:
                self._room.release()
                taken.append(made)
        return taken

    def stop(self) -> None:
        """Let nothing more be taken once what is done has been; a signal handler may call it."""
        self._ready.put(_Stopped())

    def _serve(self, decoder: Decoder) -> None:
        try:
            while self._serve_one(decoder):
                pass
        except BaseException as error:
            self._ready.put(error)
        finally:
            self._ready.put(_Ended())

    def _serve_one(self, decoder: Decoder) -> bool:
        """Do the next item; False once there is none."""
        self._room.acquire()
        with self._source:
            found = next(((item,) for item in self._items), None)
        if found is None:
            return False
        with self._state:
            if self._ending:
                return False
            self._busy.add(decoder)
        try:
            self._ready.put((found[0], self._outcome(found[0], decoder)))
        finally:
            self._busy.discard(decoder)
        return True

    def _outcome(self, item: Item, decoder: Decoder) -> Made | PllavaError:
        try:
            return self._work(item, decoder)
        except PllavaError as error:
            return error
