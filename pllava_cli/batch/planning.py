"""What is left to be done: each clip is compared with the journal before it is decoded.

What a record would say is compared, not what the command line says, so that a change of any setting
that changes the text is noticed, whichever way it came about.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from pllava_cli.batch.journal import State
from pllava_cli.batch.work import Work
from pllava_cli.recording import Recording
from pllava_cli.recordkey import Key
from pllava_cli.records import File
from pllava_cli.video.probe import shown_name

Standing = State | Literal["flagged", "same"]
"""How it stands with a record: as the journal says; `flagged`: it is there, but to be made again; `same`: it
is flagged, but would come out the same."""


@dataclass(frozen=True)
class Job:
    """A clip, or a segment of one, of which something is left to be done."""

    work: Work
    questions: tuple[str | None, ...]
    """Those that are not answered yet, at least one."""
    file: File | None
    """What the file was before it was looked at."""


@dataclass
class Planned:
    """How many clips, or segments, were compared with the journal, and what came of it."""

    seen: int = 0
    to_do: int = 0
    """Something is left to be done, and will be."""
    records: int = 0
    """What that will make, one for each question."""
    done: int = 0
    """All is there."""
    stale: int = 0
    """Something is there that was made with other settings."""
    failed: int = 0
    """Among `to_do`: an error stands in the place of something."""
    changed: int = 0
    """Among `to_do`: something is there, but the file has changed since."""
    flagged: int = 0
    """Among `to_do`: something is there, but flagged, and so made again."""
    same: int = 0
    """Something is flagged, but would come out the same: it stays."""
    faults: list[str] = field(default_factory=list)
    """Among `to_do`: why what was named is not there, or no clip."""

    @property
    def is_new(self) -> bool:
        """Whether there are some, and nothing was there of any."""
        return 0 < self.to_do == self.seen and not (self.failed or self.changed or self.flagged)


class Known(Protocol):
    """What is known of earlier runs."""

    def state(self, key: Key) -> State | None:
        """Say what there is of a record to be made."""


class Planner:
    """Decides what to do of each work.

    Args:
        recording: What records of this run have in common.
        known: The journal.
        redo: Whether what was made with other settings is made again, or left as it is.
        flagged: Subjects of records that are to be made again.
        is_done: Whether a work is done for another reason.
        keep: Told of each work whose record is there and stays, with the record's subject.
    """

    def __init__(
        self,
        recording: Recording,
        known: Known,
        *,
        redo: bool,
        flagged: Collection[bytes] = frozenset(),
        is_done: Callable[[Work], bool] = lambda work: False,
        keep: Callable[[Work, bytes], None] = lambda work, subject: None,
    ) -> None:
        self._recording, self._known, self._redo, self._is_done = recording, known, redo, is_done
        self._flagged, self._keep = flagged, keep
        decoding = recording.decoding
        self._is_repeatable = decoding.temperature == 0 or decoding.seed is not None
        self._met: set[bytes] = set()
        self.planned = Planned()

    def jobs(self, works: Iterable[Work]) -> Iterator[Job]:
        """Yield what is left to be done; nothing twice, even if it is named twice."""
        for work in works:
            job = self._job(work)
            if job is not None:
                yield job

    def _job(self, work: Work) -> Job | None:
        planned = self.planned
        planned.seen += 1
        file = File.of(work.clip.path)
        all_states = {question: self._state(work, question, file) for question in work.questions}
        planned.same += "same" in all_states.values()
        states = {question: state for question, state in all_states.items() if state not in ("done", "same")}
        left = tuple(question for question, state in states.items() if self._redo or state != "stale")
        planned.stale += "stale" in states.values()
        is_done = not states or self._is_done(work)
        if is_done or not left:
            planned.done += is_done
            return None
        planned.to_do += 1
        planned.records += len(left)
        planned.failed += "failed" in states.values()
        planned.changed += "changed" in states.values()
        planned.flagged += "flagged" in states.values()
        if work.fault is not None:
            planned.faults.append(_about(work.clip.path, work.fault.message))
        return Job(work, left, file)

    def _state(self, work: Work, question: str | None, file: File | None) -> Standing | None:
        key = Key.of(self._recording.record(work.clip, work.segment, question, file=file))
        if key.subject in self._met:
            return "done"
        self._met.add(key.subject)
        standing = self._standing(key, file)
        if standing in ("done", "same") or (standing == "stale" and not self._redo):
            self._keep(work, key.subject)
        return standing

    def _standing(self, key: Key, file: File | None) -> Standing | None:
        state = self._known.state(key)
        if key.subject not in self._flagged or state not in ("done", "stale") or file is None:
            return state  # if the clip's file is gone, its record stays
        return "same" if state == "done" and self._is_repeatable else "flagged"


def _about(clip: Path, message: str) -> str:
    """Return an error's message with the clip's name, which it may have already."""
    name = str(clip)
    return message if name in message or shown_name(name) in message else f"{name}: {message}"
