"""The crew: hands jobs to whichever worker has room, and hands on what is made of them as it comes.

A worker that dies is replaced. The clips that it had are suspects: each is given to a worker that has nothing
else meanwhile. So a clip that kills a second worker is known for certain, and costs only its own record.
"""

import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import count
from queue import Empty, SimpleQueue
from typing import Self

from pllava_cli import signals
from pllava_cli.batch.pipeline import Outcome, failed
from pllava_cli.batch.planning import Job
from pllava_cli.crew.events import Died, Ended, Event, Made, Ready, Refused, Ticket
from pllava_cli.crew.feed import Exhausted, Feed
from pllava_cli.crew.post import Hire, Member, Post
from pllava_cli.errors import ClipError, DeviceError, PllavaError
from pllava_cli.phrases import counted
from pllava_cli.recording import Recording
from pllava_cli.video.probe import shown_name

MOST_DEATHS = 5
"""So many in a row at one post, with nothing made between, are the post's fault. Two clips that kill their
workers, one after the other, account for three."""
CLOSING_S = 10.0
"""How long workers with nothing left to do may take to end by themselves."""
SLOW_S = 60.0
"""A crew of which nobody is ready by then says so."""


@dataclass(frozen=True)
class _Heard:
    """Something from a member, perhaps one that is no longer there."""

    post: Post
    generation: int
    event: Event


class _Stopped:
    """Nobody wants more."""


@dataclass(frozen=True)
class Voice:
    """Who is told what happens to workers; called from whichever thread runs the crew."""

    warn: Callable[[str], None]
    note: Callable[[str], None]
    detail: Callable[[str], None]


class Crew:
    """Workers from the start of the `with` block until it is left in whatever way.

    Args:
        hire: Starts workers.
        posts: How many there are to be.
        recording: What all records have in common; for those of clips that no worker survives.
        voice: Told what happens to them.
    """

    def __init__(self, hire: Hire, posts: int, recording: Recording, voice: Voice) -> None:
        self._hire, self._recording, self._voice = hire, recording, voice
        self._posts = [Post(number) for number in range(posts)]
        # Of the kinds of queue the one that a signal handler may put into.
        self._heard: SimpleQueue[_Heard | Job | BaseException | Exhausted | _Stopped] = SimpleQueue()
        self._numbers = count()
        self._open: deque[Ticket] = deque()
        self._suspects: deque[Ticket] = deque()
        self._is_exhausted = self._is_stopping = False
        self._said: set[str] = set()
        self._last_error: PllavaError | None = None

    @property
    def batch_size(self) -> int:
        """Clips at once, of all workers together."""
        return sum(post.batch_size for post in self._posts)

    @property
    def waited_s(self) -> float:
        """How long models had nothing to do after their first batches, all together."""
        return sum(post.waited_s for post in self._posts)

    @property
    def worked_s(self) -> float:
        """How long models were at work, all together."""
        return sum(post.worked_s for post in self._posts)

    def __enter__(self) -> Self:
        """Start the workers, and wait for them: for all, but at most twice as long as for the first.

        Raises:
            PllavaError: One of them cannot begin, as where its device is not there.
        """
        try:
            for post in self._posts:
                post.begin(self._hire, self._report)
            self._wait_for_workers()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for post in self._posts:
            if post.member is not None:
                post.member.kill()
                post.leave()

    def stop(self) -> None:
        """End the run once what is under way is done; a signal handler may call it."""
        self._heard.put(_Stopped())

    def run(self, jobs: Iterable[Job]) -> Generator[Outcome, None, None]:
        """Do the jobs; outcomes come as they are made, in another order than the jobs.

        Raises:
            PllavaError: The jobs came to an end by one, or no worker is left.
        """
        feed = Feed(jobs, self._heard.put)
        try:
            while not self._is_over():
                yield from self._heed(signals.take(self._heard))
                self._hand_out(feed)
            self._wind_up()
        finally:
            feed.end()

    def _report(self, post: Post, generation: int, event: Event) -> None:
        self._heard.put(_Heard(post, generation, event))

    def _wait_for_workers(self) -> None:
        began, until, patience_s = time.monotonic(), None, SLOW_S
        while waited_for := [post for post in self._posts if post.member and not post.ready]:
            if until is None and len(waited_for) < len(self._posts):
                until = time.monotonic() + (time.monotonic() - began)
            try:
                left = patience_s if until is None else until - time.monotonic()
                list(self._heed(signals.take(self._heard, left)))
            except Empty:
                if until is not None:
                    return
                self._voice.note(f"no worker is ready after {time.monotonic() - began:.0f} s; still waiting")
                patience_s *= 2

    def _is_over(self) -> bool:
        if self._is_stopping:
            return not any(post.member for post in self._posts)
        is_busy = self._open or self._suspects or any(post.tickets for post in self._posts)
        return self._is_exhausted and not is_busy

    def _hand_out(self, feed: Feed) -> None:
        """Give what there is to those who have room, to whoever has the least first."""
        given: dict[int, list[Ticket]] = {}
        while not self._is_stopping:
            posts = sorted(
                (each for each in self._posts if each.room > 0), key=lambda each: len(each.tickets)
            )
            if self._suspects and posts and not posts[0].tickets:
                post, ticket = posts[0], self._suspects.popleft()
                post.is_alone = True
            elif self._open and posts:
                post, ticket = posts[0], self._open.popleft()
                feed.more()
            else:
                break
            post.tickets[ticket.number] = ticket
            given.setdefault(post.number, []).append(ticket)
        for number, tickets in given.items():
            member = self._posts[number].member
            assert member is not None
            member.give(tickets)

    def _heed(self, heard: _Heard | Job | BaseException | Exhausted | _Stopped) -> Iterator[Outcome]:
        match heard:
            case Job():
                self._open.append(Ticket(next(self._numbers), heard))
            case Exhausted():
                self._is_exhausted = True
            case BaseException():
                raise heard
            case _Stopped():
                self._let_finish()
            case _Heard(post, generation, event) if post.member and generation == post.generation:
                yield from self._heed_member(post, event)

    def _heed_member(self, post: Post, event: Event) -> Iterator[Outcome]:
        match event:
            case Ready():
                self._welcome(post, event)
            case Made():
                yield self._made(post, event)
            case Refused(error):
                self._give_up(post, error)
            case Died():
                yield from self._mourn(post, event)
            case Ended():
                post.leave()

    def _welcome(self, post: Post, ready: Ready) -> None:
        post.ready = ready
        self._tell(self._voice.warn, ready.warnings)
        self._tell(self._voice.note, ready.notes)
        self._voice.detail(
            f"worker {post.number + 1} is ready: {ready.where}, {counted(ready.batch_size, 'clip')} at once,"
            f" {counted(ready.decoders, 'decoder')}"
        )

    def _tell(self, say: Callable[[str], None], texts: Iterable[str]) -> None:
        for text in texts:
            if text not in self._said:  # once, not by each
                self._said.add(text)
                say(text)

    def _made(self, post: Post, made: Made) -> Outcome:
        post.heed(made)
        self._tell(self._voice.warn, made.warnings)
        ticket = post.tickets[made.number]
        job = ticket.job
        ticket.has_failed |= made.has_failed
        ticket.job = replace(job, questions=job.questions[1:])  # they are answered in their order
        if made.is_last:
            del post.tickets[made.number]
            post.is_alone = False
        return Outcome(job, made.record, made.is_last, ticket.has_failed)

    def _mourn(self, post: Post, died: Died) -> Iterator[Outcome]:
        """Replace a member that has died, and see to what it had."""
        where = post.ready.where if post.ready else "not yet ready"
        had_several = post.batch_size > 1
        tickets = post.leave()
        self._voice.detail(died.detail or died.cause)
        if self._is_stopping:
            return
        post.deaths += 1
        for ticket in tickets:
            ticket.deaths += 1
            if ticket.deaths < 2:
                self._suspects.append(ticket)
            else:
                yield from failed(self._recording, ticket.job, _fatal(ticket.job, died))
        self._voice.warn(f"worker {post.number + 1} ({where}) has died: {died.cause}")
        if post.deaths < MOST_DEATHS:
            post.begin(self._hire, self._report)
        else:
            cause = f"the last {post.deaths} workers at post {post.number + 1} died: {died.cause}"
            less = "a smaller --batch-size takes less memory" if had_several else "free memory, if it is that"
            self._give_up(post, DeviceError(cause, f"see -vv; {less}"))

    def _give_up(self, post: Post, error: PllavaError) -> None:
        """Do without a post, if the others can; whoever cannot even begin tells it to the user at once."""
        post.leave()
        if post.generation == 1 or not any(each.member for each in self._posts):
            raise error
        self._voice.warn(f"going on without worker {post.number + 1}: {error.message}")

    def _let_finish(self) -> None:
        self._end_each(lambda member: member.stop())

    def _end_each(self, tell: Callable[[Member], None]) -> None:
        """Tell all members that are at work to end, and end those that load."""
        self._is_stopping = True
        for post in self._posts:
            if post.member is None:
                continue
            if post.ready is not None:
                tell(post.member)
            else:  # to load takes minutes
                post.member.kill()
                post.leave()

    def _wind_up(self) -> None:
        """Let workers end by themselves, so that nothing of theirs is left lying about."""
        self._end_each(lambda member: member.finish())
        until = time.monotonic() + CLOSING_S
        while any(post.member and post.ready for post in self._posts):
            try:
                list(self._heed(signals.take(self._heard, until - time.monotonic())))
            except Empty:
                return


def _fatal(job: Job, died: Died) -> ClipError:
    return ClipError(
        f"{shown_name(job.work.clip.path)}: two workers died while they had it (the last: {died.cause})",
        "the memory may not suffice for it, or the clip may be at fault: try it alone, with pllava caption",
    )
