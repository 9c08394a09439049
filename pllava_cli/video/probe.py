"""What a path is, before any decoder sees it.

A decoder is a large target: it follows playlists to other files and addresses, waits for ever on a
FIFO, and reads `%03d` or `concat:` in a name as instructions. So a path is looked at first, and only a
regular file whose first bytes are not text goes further, by a name that can only mean itself.
"""

import contextlib
import os
import re
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pllava_cli.errors import ClipError, PllavaError, UsageError

HEAD_BYTES = 512
TEXT_BYTES = 16
"""No container of video starts with this many printable characters, save YUV4MPEG2."""
PLAYLISTS = (b"#EXTM3U", b"ffconcat", b"<?xml", b"<MPD", b"v=0")
"""How lists that FFmpeg would follow begin: HLS, concat, DASH, SDP."""
MP4_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot")
"""Types of the first box of an mp4 or QuickTime file. Source: ISO/IEC 14496-12; QuickTime File Format."""


def shown_name(path: str | os.PathLike[str]) -> str:
    """Write a path for an error message: on one line, with every unprintable character escaped."""
    text = os.fspath(path)
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def check_file(path: str | os.PathLike[str]) -> Path:
    """Make sure that the path names a file that may hold video, and return it made absolute.

    Raises:
        UsageError: There is no such file, or it is a directory.
        ClipError: It is no regular file, is empty, cannot be read, or is text (a playlist, say).
    """
    name = shown_name(path)
    try:
        clip = Path(path).absolute()
        mode = clip.stat().st_mode
        if stat.S_ISDIR(mode):
            raise UsageError(f"{name} is a directory", "name the video files in it")
        if not stat.S_ISREG(mode):
            raise ClipError(f"{name} is {_kind(mode)}, not a file", "write the video to a file first")
        with clip.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError(f"{name}: no such file", "check the path") from None
    except (OSError, ValueError) as error:
        raise _unreadable(name, error) from None
    if not head:
        raise ClipError(f"{name} is empty (0 bytes)", "copy or download the clip again")
    if _is_text(head):
        raise ClipError(
            f"{name} is text or a playlist, not video",
            "name the video itself; pllava batch --from-file LIST takes the clips that a list names",
        )
    return clip


def check_clip(path: str | os.PathLike[str]) -> Path:
    """Make sure that the path names a file as `check_file` does, or a folder, which may hold frames.

    Raises:
        UsageError: There is no such file or folder.
        ClipError: It is neither, or a file that holds no video.
    """
    try:
        clip = Path(path).absolute()
        if clip.is_dir():
            return clip
    except (OSError, ValueError):  # no permission, a name too long, a NUL byte: told as of any file
        pass
    return check_file(path)


def is_mp4(path: Path) -> bool:
    """Tell whether the file is mp4 or QuickTime, the containers that list every coded picture."""
    with path.open("rb") as file:
        return file.read(8)[4:8] in MP4_BOXES


@contextlib.contextmanager
def plain_name(path: Path) -> Iterator[str]:
    """Give an absolute path a name that a decoder cannot take for a pattern and can encode as UTF-8.

    Absolute paths begin with the file system's root and hence are never taken for a protocol. Where the
    name holds a `%` or bytes that are not UTF-8 the file is reached by a symbolic link meanwhile.
    """
    text = str(path)
    if "%" not in text and text.isprintable():
        yield text
        return
    with tempfile.TemporaryDirectory(prefix="pllava-") as folder:
        suffix = path.suffix if re.fullmatch(r"\.[A-Za-z0-9]{1,8}", path.suffix) else ""
        link = Path(folder, "clip" + suffix)
        link.symlink_to(path)
        yield str(link)


def _kind(mode: int) -> str:
    if stat.S_ISFIFO(mode):
        return "a pipe"
    if stat.S_ISSOCK(mode):
        return "a socket"
    return "a device"


def _unreadable(name: str, error: OSError | ValueError) -> PllavaError:
    if isinstance(error, PermissionError):
        return ClipError(f"{name} cannot be read: permission denied", "check the file's permissions")
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return UsageError(f"{name} cannot be opened: {reason}", "check the path")


def _is_text(head: bytes) -> bool:
    """Recognise text by its first characters, where video has bytes below 32 or above 126."""
    head = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if head.startswith(b"YUV4MPEG2"):
        return False
    if head.startswith(PLAYLISTS):
        return True
    return bool(head) and all(32 <= byte < 127 or byte in b"\t\r\n" for byte in head[:TEXT_BYTES])
