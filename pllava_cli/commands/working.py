"""What all commands share that answer questions about many clips: works are planned, then worked off.

What the works are, and what is said at the end, is each command's own.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field

from pllava_cli.batch.foresight import Foreseen
from pllava_cli.batch.output import Output
from pllava_cli.batch.pipeline import Runner
from pllava_cli.batch.planning import Planned, Planner
from pllava_cli.batch.tally import Tally
from pllava_cli.batch.work import Work
from pllava_cli.commands.stopping import Stopping
from pllava_cli.commands.summary import End
from pllava_cli.terminal import Terminal

Warnings = deque[str]
"""What is to be told of finding the clips; it may come up in another thread, which must not write."""

SHOWN_EVERY = 100
"""Clips that are found or planned between two updates of the display."""


def tell(terminal: Terminal, warnings: Warnings) -> None:
    """Pass on what has come up."""
    while warnings:
        terminal.warn(warnings.popleft())


def planned(terminal: Terminal, planner: Planner, works: list[Work]) -> Planned:
    """Count what is left to be done, showing progress."""
    for _ in planner.jobs(_shown(terminal, works)):
        pass
    terminal.pause()
    return planner.planned


def _shown(terminal: Terminal, works: list[Work]) -> Iterator[Work]:
    """Show how many works have been taken; most of them may be done, and are no jobs."""
    for count, work in enumerate(works):
        if count % SHOWN_EVERY == 0:
            terminal.progress.update("comparing with what is done", count, len(works))
        yield work


@dataclass(frozen=True)
class Working:
    """A run with its checkpoint loaded."""

    terminal: Terminal
    runner: Runner
    planner: Planner
    output: Output
    stage: str
    """What it does, for the display."""
    warnings: Warnings = field(default_factory=deque)

    def work_off(self, works: Iterable[Work]) -> End:
        """Do the works, until the end or the first signal; what comes of them is written by then."""
        foreseen, tally = Foreseen(works), Tally()
        with (
            Stopping(self.terminal, self.runner.stop) as stopping,
            self.output,
            closing(self.runner.run(self.planner.jobs(foreseen))) as outcomes,
        ):
            self._show(tally, foreseen.total)
            for outcome in outcomes:
                for written in self.output.write(outcome):
                    tally.count(written)
                tell(self.terminal, self.warnings)
                self._show(tally, foreseen.total)
            for written in self.output.finish():
                tally.count(written)
        self.terminal.pause()
        tell(self.terminal, self.warnings)
        return End(tally, self.planner.planned, self.runner.waited_s, stopping.status)

    def _show(self, tally: Tally, total: int | None) -> None:
        runner, found = self.runner, self.planner.planned
        skipped = found.seen - found.to_do
        share = runner.waited_s / max(runner.waited_s + runner.worked_s, 1e-9)
        handled = skipped + tally.done + tally.failed
        self.terminal.progress.update(self.stage, handled, total or 0, tally.note(skipped, total, share))
