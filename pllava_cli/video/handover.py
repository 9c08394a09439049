"""How frames get from the decode worker to the process that asked, without being copied.

The worker writes them into a file that is only memory (on Linux; elsewhere a temporary file), and the
other side maps the same pages. They live as long as the array that is mapped from them.
"""

import mmap
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def map_frames(descriptor: int, shape: Sequence[int]) -> NDArray[np.uint8]:
    """Map a file as an array, all pages at once: one by one they cost as much as copying them."""
    size = int(np.prod(shape, dtype=np.int64))
    if hasattr(mmap, "MAP_POPULATE"):
        memory = mmap.mmap(descriptor, size, flags=mmap.MAP_SHARED | mmap.MAP_POPULATE)
    else:
        memory = mmap.mmap(descriptor, size)
    return np.frombuffer(memory, np.uint8).reshape(shape)


class FrameFile:
    """The memory in which frames are handed over: a memory file on Linux, a temporary file elsewhere."""

    def __init__(self, folder: str | None) -> None:
        """Take the folder for temporary files; None is memory."""
        self._folder = folder
        self._descriptor = -1
        self.path = ""

    def allocate(self, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        """Make the file and return its bytes as an array of `shape`."""
        self.release()
        size = int(np.prod(shape, dtype=np.int64))
        if self._folder is None:
            self._descriptor = os.memfd_create("pllava-frames")
            self.path = f"/proc/{os.getpid()}/fd/{self._descriptor}"
        else:
            self._descriptor, self.path = tempfile.mkstemp(dir=self._folder)
        if hasattr(os, "posix_fallocate"):
            # Takes the pages now, so that a machine without memory says so instead of SIGBUS later.
            os.posix_fallocate(self._descriptor, 0, size)
        else:
            os.ftruncate(self._descriptor, size)
        return map_frames(self._descriptor, shape)

    def release(self) -> None:
        """Forget the file; who has mapped it keeps the memory."""
        if self._descriptor < 0:
            return
        os.close(self._descriptor)
        if self._folder is not None:
            Path(self.path).unlink(missing_ok=True)
        self._descriptor = -1
