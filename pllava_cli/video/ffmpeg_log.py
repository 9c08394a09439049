"""FFmpeg's messages: caught in a file, read back for causes, never shown.

FFmpeg inside OpenCV writes to the process's own standard output through C's buffers. The decode worker
lets both standard streams go into a file of its own, where the few messages that matter can be found.
"""

import ctypes
import io
import os
import tempfile

MAX_LOG_BYTES = 1 << 20
"""What may gather before the file is emptied again; a damaged clip logs up to 2,000 lines."""
FAILED_CONVERSION = (b"Cannot convert interlaced", b"-> fmt:bgr24")
"""What libswscale writes when it leaves a picture unconverted (FFmpeg 8, opencv-python 4.13 to 5.0)."""


class FfmpegLog:
    """Everything written to standard output and error since the last `clear`."""

    def __init__(self) -> None:
        self._file = _anonymous_file()
        self._seen = 0
        self._libc = ctypes.CDLL(None) if os.name == "posix" else ctypes.CDLL("msvcrt")

    def catch_standard_streams(self) -> None:
        """Make the process's descriptors 1 and 2 append to the log, for good."""
        os.dup2(self._file.fileno(), 1)
        os.dup2(self._file.fileno(), 2)

    def clear(self) -> None:
        """Forget what was logged."""
        self._libc.fflush(None)
        self._empty()

    def text(self) -> bytes:
        """What was logged since `clear`, its beginning where it is much."""
        self._libc.fflush(None)
        return self._read_from(0)

    def trim(self) -> None:
        """Empty the file where it has grown large."""
        if os.fstat(self._file.fileno()).st_size > MAX_LOG_BYTES:
            self._empty()

    def shows_failed_conversion(self) -> bool:
        """Tell whether, since this was last asked, a picture was left unconverted."""
        self._libc.fflush(None)
        size = os.fstat(self._file.fileno()).st_size
        if size == self._seen:
            return False
        news = self._read_from(min(size, self._seen))
        self._seen = size
        return any(mark in news for mark in FAILED_CONVERSION)

    def _read_from(self, offset: int) -> bytes:
        # The standard streams share this file's position, so it goes back to the end.
        self._file.seek(offset)
        data = self._file.read(MAX_LOG_BYTES) or b""
        self._file.seek(0, os.SEEK_END)
        return data

    def _empty(self) -> None:
        self._file.truncate(0)
        self._file.seek(0)
        self._seen = 0


def _anonymous_file() -> io.FileIO:
    if hasattr(os, "memfd_create"):
        return io.FileIO(os.memfd_create("pllava-log"), "r+")
    descriptor, path = tempfile.mkstemp(prefix="pllava-log-")
    if os.name == "posix":
        os.unlink(path)  # noqa: PTH108  (by name, like mkstemp)
    return io.FileIO(descriptor, "r+")
