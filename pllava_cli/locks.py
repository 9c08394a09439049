"""Locks on files and folders, by which runs keep out of each other's way.

A lock is on what was opened, whatever names runs use for it. It goes when that is closed, so with its holder,
however that ends, and no program that is started inherits it. File systems that know no locks, as some
mounted over a network, are used without. Who is told what is the callers' affair.
"""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pllava_cli.errors import PllavaError

LACKING = (errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.ENOLCK)
"""What file systems answer that cannot do what others can."""


def opened(path: Path, flags: int = 0) -> int:
    """Open a file of ours for reading and writing, made if need be; a link in its place is not followed."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | flags, 0o666)


def lock(
    descriptor: int,
    path: Path,
    busy: PllavaError,
    gone: PllavaError | None = None,
    *,
    is_shared: bool = False,
) -> None:
    """Lock an open file or folder at once, until it is closed, unless its file system cannot.

    Args:
        descriptor: It, open.
        path: Under which it was opened.
        busy: Raised if another run holds it.
        gone: Raised if it has lost its name meanwhile: another run has just moved, replaced or deleted it.
            None: `busy`.
        is_shared: Whether others may hold it that share it too.

    Raises:
        OSError: It cannot be locked for another reason than that its file system knows no locks.
    """
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        raise busy from None
    except OSError as error:
        if error.errno not in (*LACKING, errno.EBADF):  # NFS, of a folder
            raise
    if not is_in_place(descriptor, path):
        raise gone or busy


@contextmanager
def held(
    folder: Path,
    busy: PllavaError,
    gone: PllavaError | None = None,
    *,
    is_shared: bool = False,
    follow_symlinks: bool = False,
) -> Iterator[int]:
    """Hold the lock on a folder; yields the folder, open. Arguments and errors are those of `lock`.

    Raises:
        OSError: It cannot be opened, or is a link that is not to be followed.
    """
    nofollow = 0 if follow_symlinks else os.O_NOFOLLOW
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | nofollow)
    try:
        lock(descriptor, folder, busy, gone, is_shared=is_shared)
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def in_turn(folder: Path) -> Iterator[None]:
    """Hold the lock on a folder as soon as it is free: for what others can wait for, as it takes a moment.

    Raises:
        OSError: It cannot be opened.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def is_in_place(descriptor: int, path: Path) -> bool:
    """Whether an open file or folder still has its name."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except OSError:
        return False
