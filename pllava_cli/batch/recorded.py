"""Sidecars of records that a run finds there: caption once, export as often as wanted.

The texts come out of the journal's own file, read through once from its start; no model has a part in
it. What becomes of each file is as if its record had just been made.
"""

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pllava_cli.batch.sidecar import Sidecars
from pllava_cli.batch.tally import cause
from pllava_cli.batch.work import Work
from pllava_cli.errors import ClipError
from pllava_cli.jsonlines import LineError, lines
from pllava_cli.recordfile import parse
from pllava_cli.records import path_text
from pllava_cli.textfile import opened, unreadable


@dataclass
class Written:
    """What has come of the sidecars of records that were there before."""

    written: int = 0
    """Files that were changed; in a dry run, that would be."""
    failed: int = 0
    """Files that could not be written."""
    causes: Counter[str] = field(default_factory=Counter)
    """Why they could not, the clips' names left out."""


class RecordedSidecars:
    """The sidecars that records of before still want, and what has come of them.

    Args:
        sidecars: Where they go; None: none are wanted.
    """

    def __init__(self, sidecars: Sidecars | None) -> None:
        self._sidecars = sidecars
        self._wanted: dict[bytes, Work] = {}
        self.came = Written()

    def __len__(self) -> int:
        """How many there are at most: with what is there not kept, some may turn out to be as they should."""
        return len(self._wanted)

    def want(self, work: Work, subject: bytes) -> None:
        """Take in a work whose record is there, unless it has its sidecar."""
        if self._sidecars is None or work.fault is not None:
            return
        if not self._sidecars.is_kept(work.clip.path, work.segment):
            self._wanted[subject] = work

    def write(self, file: Path, *, is_dry_run: bool) -> Iterator[int]:
        """Write all of them; one that cannot be written is counted, and the others follow.

        Args:
            file: Holds the records.
            is_dry_run: Whether they are only counted.

        Yields:
            How many were looked at, after each.

        Raises:
            UsageError: The file cannot be read, or no sidecar can be written: the disk is full or read-only.
        """
        if self._sidecars is None or not self._wanted:
            return
        write = self._sidecars.would_write if is_dry_run else self._sidecars.write
        for done, (subject, text) in enumerate(_texts(file, self._wanted), 1):
            work = self._wanted[subject]
            try:
                self.came.written += write(work.clip.path, work.segment, text)
            except ClipError as error:
                self.came.failed += 1
                self.came.causes[cause(error.message, path_text(work.clip.path))] += 1
            yield done


def _texts(file: Path, wanted: Collection[bytes]) -> Iterator[tuple[bytes, str]]:
    """Yield the newest text of each of some subjects.

    The newest is known only at the end of the file, so what is held until then is where each stands.
    """
    try:
        with opened(file) as stream:
            starts: dict[bytes, int] = {}
            for line in lines(stream):
                try:
                    subject = parse(line).key.subject
                except LineError:  # a last line that is torn: only a dry run leaves it there
                    continue
                if subject in wanted:
                    starts[subject] = line.start
            for subject, start in starts.items():
                stream.seek(start)
                text = parse(next(lines(stream))).plain.get("text")
                if isinstance(text, str):
                    yield subject, text
    except OSError as error:
        raise unreadable(file, error) from None
