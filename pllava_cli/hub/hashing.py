"""The two hashes by which the hub knows a file's bytes."""

import hashlib
from collections.abc import Callable
from pathlib import Path

Told = Callable[[int], None]
"""Called with the bytes of a piece of work that have just been done."""

_PIECE_BYTES = 4 << 20
_SHA256_DIGITS = 64


def digest(path: Path, like: str, on_bytes: Told = lambda count: None) -> str:
    """Return the hash of a file.

    Args:
        path: The file.
        like: A hash of the kind that is wanted: SHA-256, or SHA-1 as git has it of a blob (its header
            `blob SIZE` and a NUL before the bytes; https://git-scm.com/book/en/v2/Git-Internals-Git-Objects).
        on_bytes: Told the bytes read.

    Raises:
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        if len(like) == _SHA256_DIGITS:
            hashed = hashlib.sha256()
        else:
            hashed = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
        while piece := file.read(_PIECE_BYTES):
            hashed.update(piece)
            on_bytes(len(piece))
    return hashed.hexdigest()
