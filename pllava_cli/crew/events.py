"""What passes between a crew and its workers: jobs one way, what came of them the other."""

from dataclasses import dataclass

from pllava_cli.batch.planning import Job
from pllava_cli.errors import PllavaError
from pllava_cli.records import Record


@dataclass
class Ticket:
    """A job with the number by which its outcomes are known, and how it has fared."""

    number: int
    job: Job
    """With the questions that are not answered yet."""
    deaths: int = 0
    """Workers that died while they had it."""
    has_failed: bool = False
    """Whether one of its questions has come to an error."""


@dataclass(frozen=True)
class Ready:
    """A worker has loaded its checkpoint."""

    batch_size: int
    """Clips at once."""
    decoders: int
    where: str
    """Device and machine, for people."""
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    """What the user should know of the checkpoint."""


@dataclass(frozen=True)
class Made:
    """An outcome, and how its worker is doing."""

    number: int
    """Of the ticket."""
    record: Record
    is_last: bool
    has_failed: bool
    batch_size: int
    waited_s: float
    worked_s: float
    warnings: tuple[str, ...] = ()
    """What has come up since the last one."""


@dataclass(frozen=True)
class Refused:
    """A worker could not begin, for a reason that the user can do something about."""

    error: PllavaError


@dataclass(frozen=True)
class Died:
    """A worker is no more: its process has ended, or an error has come up for which no clip is to blame."""

    cause: str
    """In a few words."""
    detail: str = ""
    """The traceback, if there is one."""


@dataclass(frozen=True)
class Ended:
    """A worker has done all that it was to do."""


Event = Ready | Made | Refused | Died | Ended
LAST = (Refused, Died, Ended)
"""After one of these nothing more is heard of a worker."""
