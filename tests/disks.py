"""Disks that are full, and folders that may not be written to."""

import os
import resource
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def room(size: int) -> Iterator[None]:
    """Let no file grow beyond some bytes, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def read_only_folder(name: str | None = None, data: bytes = b"") -> Iterator[Path]:
    """Be an ordinary user, with a folder to enter and not to write to, and perhaps a file in it to read."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        if name is not None:
            (folder / name).write_bytes(data)
            (folder / name).chmod(0o444)
        folder.chmod(0o555)
        user = os.geteuid()
        if user == 0:
            os.seteuid(65534)
        try:
            if not os.access(folder, os.R_OK | os.X_OK, effective_ids=True):
                pytest.skip(f"{folder.parent} is closed to ordinary users")
            yield folder
        finally:
            os.seteuid(user)
            folder.chmod(0o755)
