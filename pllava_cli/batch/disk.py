"""Files that must last: locked against other runs, synced to the disk, and replaced as a whole.

A file system that cannot lock or sync, as some over a network, is used without locks and syncing.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from hashlib import blake2b
from pathlib import Path
from stat import S_IMODE
from typing import IO

from pllava_cli import locks
from pllava_cli.errors import UsageError
from pllava_cli.textfile import check_regular, reason

ELSEWHERE = "name another file with -o"
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""How the system says that there is no room."""


def lock(descriptor: int, file: Path, named: Path) -> None:
    """Keep other runs from a file until it is closed.

    Args:
        descriptor: Of the open file.
        file: The path by which it was opened.
        named: The path that messages name.

    Raises:
        UsageError: Another run holds it, or has just replaced it.
        OSError: Locking failed, although the file system has locks.
    """
    busy = UsageError(f"another run is writing to {named}", f"wait for it to end, or {ELSEWHERE}")
    gone = UsageError(f"another run has just written {named}", f"look at it, or {ELSEWHERE}")
    locks.lock(descriptor, file, busy, gone)


def sync(descriptor: int) -> None:
    """Wait until what was written is on the disk."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in locks.LACKING:
            raise


def sync_folder(folder: Path) -> None:
    """Have the name of a new file on the disk too, where the file system can do that."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def unwritable(path: Path, error: OSError) -> UsageError:
    """Return the error for a file that cannot be written."""
    cure = "free some space" if error.errno in FULL else ELSEWHERE
    return UsageError(f"cannot write {path}: {reason(error)}", cure)


def missing_folder(path: Path) -> UsageError:
    """Return the error for a file that cannot be made where it is named."""
    what = f"{path} is a link to nowhere" if path.is_symlink() else f"there is no folder {path.parent}"
    return UsageError(what, f"make the folder, or {ELSEWHERE}")


@contextmanager
def advising(elsewhere: str | None) -> Iterator[None]:
    """Replace the advice of errors to name another file with -o, for commands that have no such option.

    Args:
        elsewhere: What they advise in place of `ELSEWHERE`; None: nothing can be written elsewhere.
    """
    try:
        yield
    except UsageError as error:
        hint = error.hint if elsewhere is not None else error.hint.replace(f", or {ELSEWHERE}", "")
        hint = hint.replace(ELSEWHERE, elsewhere or "see what it is, and who may write to it")
        raise UsageError(error.message, hint, error.status) from None


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Write a file that appears under its name once it is whole; until then what was there stays.

    The old file is locked meanwhile; a link is followed. After an error or a kill the old file is as it was,
    with at most a hidden `.partial` beside it, which the next run takes over.

    Raises:
        UsageError: Another run is writing to it, it cannot be written, or it has appeared meanwhile.
    """
    target = Path(os.path.realpath(path))
    with ExitStack() as stack:
        try:
            before = _held(path, target, stack)
            partial, stream = _begun(path, target, before, stack)
            try:
                yield stream
                stream.flush()
                if before is not None:
                    os.fchmod(stream.fileno(), S_IMODE(before.st_mode))
                sync(stream.fileno())
                _publish(path, partial, target, is_new=before is None)
            except BaseException:
                with suppress(OSError):
                    partial.unlink()
                with suppress(OSError):  # what is still buffered does not fit either
                    stream.close()
                raise
            sync_folder(target.parent)
        except FileNotFoundError:
            raise missing_folder(path) from None
        except OSError as error:
            raise unwritable(path, error) from None


def partial_name(file: Path) -> Path:
    """Return what a file is called while it is written.

    Hidden, so that nobody takes it for a file of records or a sidecar, and short, whatever the length of
    the file's own name.
    """
    digest = blake2b(os.fsencode(file.name), digest_size=8).hexdigest()
    return file.with_name(f".pllava-{digest}.partial")


def _held(path: Path, target: Path, stack: ExitStack) -> os.stat_result | None:
    """Lock what is there, if anything is."""
    if not check_regular(target, ELSEWHERE):
        return None
    stream = stack.enter_context(target.open("r+b"))
    lock(stream.fileno(), target, path)
    return os.fstat(stream.fileno())


def _begun(
    path: Path, target: Path, before: os.stat_result | None, stack: ExitStack
) -> tuple[Path, IO[bytes]]:
    """Begin the new file under its hidden name, emptied if a kill has left one there."""
    partial = partial_name(target)
    if before is not None and partial.exists() and os.path.samestat(before, partial.stat()):
        partial.unlink()  # a kill came while it had both names
    stream = stack.enter_context(os.fdopen(locks.opened(partial), "wb"))
    lock(stream.fileno(), partial, path)
    os.ftruncate(stream.fileno(), 0)
    return partial, stream


def _publish(path: Path, partial: Path, target: Path, *, is_new: bool) -> None:
    if is_new:
        try:
            os.link(partial, target)  # unlike a rename, it never takes a name away from another file
        except FileExistsError:
            raise UsageError(f"{path} has appeared meanwhile", ELSEWHERE) from None
        except OSError:  # no links on this file system
            partial.replace(target)
        else:
            partial.unlink()
    else:
        partial.replace(target)
