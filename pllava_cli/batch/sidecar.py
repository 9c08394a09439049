"""Sidecars: the text of a clip in a file of its own beside it, as trainers read it.

They repeat what the journal holds: one that is missing, as a kill came in between or it could not be written,
`recorded` makes from the record. A file appears whole or not at all. Which file each clip gets is known
before anything runs, and two that would share one are refused then.
"""

import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from pllava_cli.batch.disk import FULL, partial_name
from pllava_cli.batch.wording import Wording, holds, joined
from pllava_cli.batch.work import Work
from pllava_cli.errors import ClipError, PllavaError, UsageError
from pllava_cli.records import Segment
from pllava_cli.textfile import reason

Existing = Literal["skip", "overwrite", "append", "prepend"]

MOST_EXISTING_BYTES = 1 << 20
"""A text beside a clip takes some kilobytes; what is larger is something else."""
_RUN_ENDING = (*FULL, errno.EROFS, errno.EIO)
"""What will fail for the next clip too."""
_WITHOUT = "leave --sidecar out: the records hold all texts"


@dataclass(frozen=True)
class Sidecars:
    """Where texts go and what becomes of a file that is there.

    Raises:
        UsageError: The suffix is none.
    """

    suffix: str = ".txt"
    """With or without its dot."""
    existing: Existing = "skip"
    wording: Wording = field(default_factory=Wording)

    def __post_init__(self) -> None:
        bare = self.suffix.removeprefix(".")
        if not bare or bare != bare.strip() or "/" in bare or not bare.isprintable():
            raise UsageError(f"--sidecar: {self.suffix!r} is no suffix", "write --sidecar .txt")
        if self.existing not in get_args(Existing):
            known = ", ".join(get_args(Existing))
            raise UsageError(f"--existing: {self.existing!r} is unknown", f"choose one of {known}")
        object.__setattr__(self, "suffix", f".{bare}")

    def path(self, clip: Path, segment: Segment) -> Path:
        """Return the file for a clip, or for a part of it, whose span is then in the name."""
        return clip.parent / f"{clip.stem}{_span(segment)}{self.suffix}"

    def check(self, works: Iterable[Work]) -> None:
        """Make sure that every clip has a file of its own, and that those to be written can be.

        Raises:
            UsageError: Two clips, segments or questions share one; it is itself a clip; one is to be
                written into a folder that cannot be.
        """
        folders = _Folders()
        taken: dict[bytes, tuple[Work, str | None]] = {}
        clips: dict[bytes, Path] = {}
        for work in works:
            clips[os.fsencode(folders.resolved(work.clip.path))] = work.clip.path
            if work.fault is not None:
                continue
            file = self.path(work.clip.path, work.segment)
            if not folders.may_be_written(file.parent) and not self._stays(file):
                raise UsageError(
                    f"cannot write sidecars into {file.parent}", f"change its permissions, or {_WITHOUT}"
                )
            place = os.fsencode(folders.resolved(file))
            for question in work.questions:
                other, asked = taken.setdefault(place, (work, question))
                if (other.clip.path, other.segment, asked) != (work.clip.path, work.segment, question):
                    raise _shared(file, (other, asked), (work, question))
        overwritten = next((place for place in taken if place in clips), None)
        if overwritten is not None:
            raise UsageError(
                f"the sidecar of {_described(*taken[overwritten])}"
                f" would overwrite the clip {clips[overwritten]}",
                "choose another --sidecar suffix",
            )

    def write(self, clip: Path, segment: Segment, text: str) -> bool:
        """Write a text into its file; says whether that has changed anything. An empty one is not written.

        Raises:
            ClipError: This file cannot be written: there is something else than text, or no permission.
            UsageError: No file can: the disk is full or read-only.
        """
        file = self.path(clip, segment)
        with _telling(clip, file):
            content = self._new(file, text)
            if content is not None:
                _replace(file, content.encode("utf-8", "replace"))
        return content is not None

    def would_write(self, clip: Path, segment: Segment, text: str) -> bool:
        """Say whether `write` would change anything, without changing it; raises as `write`."""
        file = self.path(clip, segment)
        with _telling(clip, file):
            return self._new(file, text) is not None

    def is_kept(self, clip: Path, segment: Segment) -> bool:
        """Whether what is there stays as it is, whatever the text."""
        return self._stays(self.path(clip, segment))

    def _stays(self, file: Path) -> bool:
        return self.existing == "skip" and os.path.lexists(file)

    def _new(self, file: Path, text: str) -> str | None:
        """Return what is to stand in a file; None: what is there.

        Raises:
            OSError, ValueError: What is there is no text, or cannot be read.
        """
        if not text.strip() or self._stays(file):
            return None
        before = _read(file)
        content = self._content(before, text)
        return None if content == before else content

    def _content(self, before: str, text: str) -> str:
        wording = self.wording
        if self.existing in ("append", "prepend"):
            kept, text = wording.bare(before), wording.bare(text)
            if holds(kept, text):  # between other texts too: a run that goes on meets it again and again
                text = kept
            else:
                text = joined(kept, text) if self.existing == "append" else joined(text, kept)
        return wording.dressed(text) + "\n"


class _Folders:
    """Folders by what they really are, each looked at once."""

    def __init__(self) -> None:
        self._real: dict[Path, str] = {}
        self._writable: dict[Path, bool] = {}

    def resolved(self, file: Path) -> str:
        """Return a file's path below its real folder: a link to a folder is the folder."""
        real = self._real.get(file.parent)
        if real is None:
            real = self._real[file.parent] = os.path.realpath(file.parent)
        return os.path.join(real, file.name)  # noqa: PTH118 (for every clip; a Path takes ten times as long)

    def may_be_written(self, folder: Path) -> bool:
        if folder not in self._writable:
            effective = os.access in os.supports_effective_ids
            self._writable[folder] = os.access(folder, os.W_OK | os.X_OK, effective_ids=effective)
        return self._writable[folder]


def _span(segment: Segment) -> str:
    """Return what tells a part of a clip from the whole and from other parts, to the millisecond."""
    if segment.is_whole:
        return ""
    return f".{_time(segment.start_s or 0.0)}-{'end' if segment.end_s is None else _time(segment.end_s)}"


def _time(seconds: float) -> str:
    return f"{seconds:.3f}".rstrip("0").rstrip(".")


def _shared(file: Path, one: tuple[Work, str | None], other: tuple[Work, str | None]) -> UsageError:
    if one[1] != other[1]:
        cure = "ask one question a run with --sidecar, or leave it out: the records hold all answers"
    else:
        cure = f"rename one, or {_WITHOUT}"
    return UsageError(f"{_described(*one)} and {_described(*other)} would both write {file}", cure)


def _described(work: Work, question: str | None) -> str:
    words = str(work.clip.path)
    if not work.segment.is_whole:
        start_s, end_s = work.segment.start_s or 0, work.segment.end_s
        words += (
            f" (segment {work.segment.index} from {start_s} s to {'its end' if end_s is None else end_s})"
        )
    return words if question is None else f"{words} with the question {question!r:.60}"


def _read(file: Path) -> str:
    """Return the text that is there, empty if there is none.

    Raises:
        ValueError: It is no text.
    """
    try:
        if not file.is_file():
            if file.exists():
                raise ValueError("what is there is no regular file")
            return ""
        with file.open("rb") as stream:
            raw = stream.read(MOST_EXISTING_BYTES + 1)
    except FileNotFoundError:
        return ""
    if len(raw) > MOST_EXISTING_BYTES or b"\0" in raw:
        raise ValueError("what is there is no text")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("what is there is no text in UTF-8") from None


def _replace(file: Path, raw: bytes) -> None:
    """Write a file so that a kill leaves the old one or the new one."""
    partial = partial_name(file)
    with suppress(FileNotFoundError):
        partial.unlink()
    try:
        with partial.open("xb") as stream:
            stream.write(raw)
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(file)
    except BaseException:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise


@contextmanager
def _telling(clip: Path, file: Path) -> Iterator[None]:
    """Tell why a sidecar cannot be read or written; raises as `Sidecars.write`."""
    try:
        yield
    except (OSError, ValueError) as error:
        raise _unwritable(clip, file, error) from None


def _unwritable(clip: Path, file: Path, error: OSError | ValueError) -> PllavaError:
    message = f"cannot write {file}: {reason(error)}"
    if isinstance(error, OSError) and error.errno in _RUN_ENDING:
        cure = "free some space" if error.errno in FULL else "see what is wrong with the disk"
        return UsageError(message, f"{cure}, or {_WITHOUT}")
    return ClipError(f"{clip}: {message}", "move what is there away, or choose another --sidecar suffix")
