"""One post at which a worker is at work: a device of this machine, or an actor of a cluster.

The worker may die and be followed by another; what the post has been given, and how often that has
happened, stays with the post.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from pllava_cli.crew.events import Event, Made, Ready, Ticket


class Member(Protocol):
    """A worker, wherever it is. Nothing is raised of one that has died: that is reported."""

    def give(self, tickets: Sequence[Ticket]) -> None:
        """Give it more to do."""

    def finish(self) -> None:
        """Let it end once all is done."""

    def stop(self) -> None:
        """Let it end once what is under way is done."""

    def kill(self) -> None:
        """End it now."""


Hire = Callable[[int, Callable[[Event], None]], Member]
"""Starts a worker for the post of a number, and says to whom it reports, from any thread."""


@dataclass
class Post:
    """What is known of a post."""

    number: int
    member: Member | None = None
    """None: it is given up, or has come to its end."""
    ready: Ready | None = None
    """What the member said when it had loaded."""
    generation: int = 0
    """Members that there have been."""
    deaths: int = 0
    """Of members in a row, since something was last made."""
    tickets: dict[int, Ticket] = field(default_factory=dict)
    """What the member has."""
    is_alone: bool = False
    """Whether it has one ticket that is to stay alone."""
    _last: Made | None = None
    _waited_s: float = 0.0
    _worked_s: float = 0.0

    @property
    def batch_size(self) -> int:
        """Clips at once; 0 while it is not ready."""
        if self.ready is None:
            return 0
        return self._last.batch_size if self._last else self.ready.batch_size

    @property
    def waited_s(self) -> float:
        """How long its models had nothing to do."""
        return self._waited_s + (self._last.waited_s if self._last else 0)

    @property
    def worked_s(self) -> float:
        """How long its models were at work."""
        return self._worked_s + (self._last.worked_s if self._last else 0)

    @property
    def room(self) -> int:
        """How many more it should have.

        A batch in the model, one that its decoders fill meanwhile, and those under way in them. Until
        the first is made a batch less, so that a worker that is early leaves something to the others.
        """
        if self.ready is None or self.is_alone:
            return 0
        batches = 2 if self._last else 1
        return batches * self.batch_size + self.ready.decoders - len(self.tickets)

    def begin(self, hire: Hire, report: Callable[["Post", int, Event], None]) -> None:
        """Put a new member to work."""
        self.generation += 1
        generation = self.generation
        self.member = hire(self.number, lambda event: report(self, generation, event))

    def heed(self, made: Made) -> None:
        """Note how the member is doing."""
        self._last = made
        if made.record.error is None:
            self.deaths = 0

    def leave(self) -> list[Ticket]:
        """Let go of the member; returns what it had."""
        left = list(self.tickets.values())
        self._waited_s, self._worked_s = self.waited_s, self.worked_s
        self.member, self.ready, self._last, self.is_alone = None, None, None, False
        self.tickets = {}
        return left
