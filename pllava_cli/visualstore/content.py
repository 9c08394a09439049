"""What a clip is known by: its bytes, wherever they lie and whatever they are called."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISDIR, S_ISREG

LARGEST_BYTES = 1 << 30
"""A larger clip has no content here: to read all of it takes longer than to decode the few frames that are
looked at, and whoever interrupts a run must wait for the end of it."""
State = tuple[tuple[int, ...], ...]
"""Of each file: device, number, size, and times of change in nanoseconds."""


@dataclass(frozen=True)
class Content:
    """The content of a clip, a file or a folder of frames."""

    digest: str
    """SHA-256 of a file's bytes, or of the names and digests of a folder's files."""
    state: State = ()
    """How the files were when they were read."""


def content_of(clip: Path) -> Content | None:
    """Read a clip's content; None where it is too large, or cannot be read: decoding will say that better."""
    try:
        status = clip.stat()
        if S_ISREG(status.st_mode) and status.st_size <= LARGEST_BYTES:
            return Content(_digest(clip), (_state(status),))
        return _of_folder(clip) if S_ISDIR(status.st_mode) else None
    except (OSError, ValueError):  # the latter of names that no file can have
        return None


def is_unchanged(clip: Path, content: Content) -> bool:
    """Whether the files are still those that were read, as far as their sizes and times tell."""
    try:
        status = clip.stat()
        if S_ISREG(status.st_mode):
            return content.state == (_state(status),)
        return content.state == tuple(_state(each.stat()) for each in _frames(clip))
    except OSError:
        return False


def _of_folder(folder: Path) -> Content | None:
    frames = _frames(folder)
    found = [frame.stat() for frame in frames]
    if sum(status.st_size for status in found) > LARGEST_BYTES:
        return None
    whole, states = hashlib.sha256(), []
    for frame, status in zip(frames, found, strict=True):
        states.append(_state(status))
        whole.update(f"{len(os.fsencode(frame.name))} ".encode())
        whole.update(os.fsencode(frame.name))
        whole.update(bytes.fromhex(_digest(frame)))
    return Content(whole.hexdigest(), tuple(states))


def _frames(folder: Path) -> list[Path]:
    """The regular files of a folder, in order: to open anything else may take for ever."""
    return sorted((each for each in folder.iterdir() if each.is_file()), key=os.fsencode)


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _state(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
