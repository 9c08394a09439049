"""Files that must last: kept from other runs by a lock, on the disk once it is said so, replaced whole.

File systems that cannot lock or sync, as some mounted over a network, are used without.
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
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def lock(descriptor: int, file: Path, named: Path) -> None:
    """Keep other runs from a file until it is closed.

    Args:
        descriptor: It, open.
        file: Under which it was opened.
        named: What messages name.

    Raises:
        UsageError: Another run has it, or has just had it and put another in its place.
        OSError: It cannot be locked for another reason than that its file system knows no locks.
    """
    busy = UsageError(f"another run is writing to {named}", f"wait for it to end, or {ELSEWHERE}")
    gone = UsageError(f"another run has just written {named}", f"look at it, or {ELSEWHERE}")
    locks.lock(descriptor, file, busy, gone)


def sync(descriptor: int) -> None:
    """Have what was written on the disk."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in locks.LACKING:
            raise


def sync_folder(folder: Path) -> None:
    """Make the name of a new file last; not every file system can."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def unwritable(path: Path, error: OSError) -> UsageError:
    """Return the error for a file that cannot be written."""
    cure = "free some space" if error.errno in _FULL else ELSEWHERE
    return UsageError(f"cannot write {path}: {reason(error)}", cure)


def missing_folder(path: Path) -> UsageError:
    """Return the error for a file that cannot be made where it is named."""
    what = f"{path} is a link to nowhere" if path.is_symlink() else f"there is no folder {path.parent}"
    return UsageError(what, f"make the folder, or {ELSEWHERE}")


@contextmanager
def advising(elsewhere: str | None) -> Iterator[None]:
    """Have errors advise what a command has that names no file with -o.

    Args:
        elsewhere: What to do in place of `ELSEWHERE`; None: there is no other place for what is written.
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

    What is there is locked for as long as it lasts. A link is followed. Whoever leaves by an error, or is
    killed, leaves what was there; at most a hidden `.partial` beside it, which the next one takes over.

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
    """Begin the file that is to take the name, in place of one that a kill has left."""
    # Hidden, so that no pattern takes it for a file of records, and short, whatever the name's length.
    digest = blake2b(os.fsencode(target.name), digest_size=8).hexdigest()
    partial = target.with_name(f".pllava-{digest}.partial")
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
