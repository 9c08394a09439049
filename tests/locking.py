"""What other runs and file systems do to one that is about to lock a file."""

import errno
import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def before_locking(work: Callable[[], object]) -> Iterator[None]:
    """Have another run do something when a file has been opened and is not locked yet, once."""
    pending, flock = [work], fcntl.flock

    def late(descriptor: int, how: int) -> None:
        if pending:
            pending.pop()()
        flock(descriptor, how)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fcntl, "flock", late)
        yield
    assert not pending, "nothing was locked"


@contextmanager
def without_locks(number: int = errno.ENOLCK) -> Iterator[None]:
    """Have every file system answer a request for a lock with an error."""

    def lacking(*_: object) -> None:
        raise OSError(number, "no locks here")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fcntl, "flock", lacking)
        yield
