"""Who is at work in a repository's folder of the cache: several runs may fetch, but only one may delete."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pllava_cli.errors import UsageError

_LACKING = (errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.ENOLCK, errno.EBADF)
"""What file systems answer that cannot lock; the last of them NFS, of a folder."""


def lock(descriptor: int, path: Path, how: int, busy: UsageError) -> None:
    """Lock an open file or folder at once, unless its file system cannot.

    Args:
        descriptor: It, open.
        path: Under which it was opened.
        how: LOCK_SH or LOCK_EX.
        busy: What is raised if another run holds it, or has put something else in its place.
    """
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
        if not os.path.samestat(os.fstat(descriptor), path.stat()):
            raise busy
    except (BlockingIOError, FileNotFoundError):
        raise busy from None
    except OSError as error:
        if error.errno not in _LACKING:
            raise


@contextmanager
def held(storage: Path, how: int, busy: UsageError) -> Iterator[None]:
    """Hold the folder of a repository; arguments and errors are those of `lock`.

    Raises:
        OSError: It cannot be opened.
    """
    descriptor = os.open(storage, os.O_RDONLY | os.O_DIRECTORY)
    try:
        lock(descriptor, storage, how, busy)
        yield
    finally:
        os.close(descriptor)
