"""What `pllava batch` says at its end, and in a dry run."""

import json
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from pllava_cli.batch.planning import Planned
from pllava_cli.batch.recorded import Written
from pllava_cli.batch.tally import Tally, cause_lines, duration
from pllava_cli.commands.request import Request
from pllava_cli.errors import ExitStatus
from pllava_cli.phrases import counted, figure
from pllava_cli.terminal import Terminal

SAME_CURE = "change --max-new-tokens, --temperature, --seed or --prompt"

MOST_NAMED = 3
"""Clips that cannot be used that are named one by one, unless all are wanted."""
LONGEST_COMMAND = 400
"""Characters of a command line that is worth repeating; a shell may have put a thousand names into it."""


@dataclass(frozen=True)
class End:
    """How a run ended."""

    tally: Tally
    planned: Planned
    waited_s: float
    """How long the model waited for decoders."""
    stopped: int | None
    """The exit status of the signal that ended it."""
    sidecars: Written = field(default_factory=Written)
    """What has come of the sidecars of records that were there before."""

    @property
    def skipped(self) -> int:
        """Clips that were done before."""
        return self.planned.seen - self.planned.to_do - self.sidecars.failed

    @property
    def failed(self) -> int:
        """Clips of which something could not be made, if only a sidecar."""
        return self.tally.failed + self.sidecars.failed

    @property
    def causes(self) -> Counter[str]:
        """Errors by what they say, the clips' names left out."""
        return self.tally.causes + self.sidecars.causes

    @property
    def status(self) -> int:
        """The exit status."""
        if self.stopped is not None:
            return self.stopped
        if not self.failed:
            return ExitStatus.OK
        some = self.tally.done or self.skipped
        return ExitStatus.SOME_FAILED if some else ExitStatus.ALL_FAILED

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain data."""
        return {
            **self.tally.as_dict(),
            "failed": self.failed,
            "causes": dict(self.causes.most_common()),
            "skipped": self.skipped,
            "sidecars_from_records": self.sidecars.written,
            "model_waited_s": round(self.waited_s, 3),
            "is_interrupted": self.stopped is not None,
        }


def render(terminal: Terminal, request: Request, end: End) -> None:
    """Say how a run ended: as JSON on stdout if asked, else on stderr."""
    if request.json:
        terminal.json_line(json.dumps(end.as_dict()))
        return
    _tell_of_sidecars(terminal, end)
    tally = end.tally
    parts = [f"{tally.done} done"]
    if end.skipped:
        parts.append(f"{end.skipped} done before")
    parts.append(f"{end.failed} failed")
    speed = counted(figure(tally.per_minute), "clip a minute", "clips a minute")
    terminal.note(f"{', '.join(parts)} in {duration(tally.elapsed_s)} ({speed})")
    _tell_what_is_left(terminal, request, end)


def _tell_of_sidecars(terminal: Terminal, end: End) -> None:
    if end.sidecars.written:
        terminal.note(
            f"{counted(end.sidecars.written, 'sidecar')} written from records that were there before"
        )


def _tell_what_is_left(terminal: Terminal, request: Request, end: End) -> None:
    """Say what failed, and how to go on."""
    if end.failed:
        terminal.note("errors by cause:")
        for line in cause_lines(end.causes):
            terminal.note(line)
    again = _again(terminal, request)
    if end.stopped is not None:
        terminal.note(f"stopped; to go on: {again}")
    elif end.failed:
        terminal.note(f"to try the failed ones again: {again}")


def made_again(terminal: Terminal, request: Request, planned: Planned) -> None:
    """Say which of the clips that have records are made again, and what becomes of their sidecars."""
    if planned.changed:  # as all do that are copied without their times
        terminal.warn(
            f"{counted(planned.changed, 'clip file')} changed since the records were made (size or time of"
            " change): to be made again"
        )
    if request.redo_flagged:
        _tell_of_flagged(terminal, planned)
    again = planned.flagged or planned.changed or (request.redo and planned.stale)
    if again and request.sidecars is not None and request.sidecars.existing == "skip":
        terminal.warn("sidecars that are there keep their text; --existing overwrite replaces it")


def _tell_of_flagged(terminal: Terminal, planned: Planned) -> None:
    terminal.note(f"{counted(planned.flagged, 'clip')} flagged: to be made again")
    if planned.stale:
        terminal.note(f"{counted(planned.stale, 'clip')} made with other settings: kept")
    if planned.same:
        terminal.warn(
            f"{counted(planned.same, 'clip')} flagged, but made with these very settings, which give the same"
            f" text again: kept; {SAME_CURE}"
        )


def nothing_made(
    terminal: Terminal, request: Request, planned: Planned, sidecars: Written, stopped: int | None
) -> int:
    """Say how a run ended that had no use for a model; returns the exit status.

    Args:
        terminal: Where.
        request: The run.
        planned: What was found.
        sidecars: What came of those that were wanted of records of before.
        stopped: The exit status of the signal that ended it.
    """
    end = End(Tally(), planned, 0.0, stopped, sidecars)
    if request.json:
        terminal.json_line(json.dumps(end.as_dict()))
        return end.status
    _tell_of_sidecars(terminal, end)
    if stopped is None:
        failed = f", {end.failed} failed" if end.failed else ""
        terminal.note(f"nothing is left to do: {end.skipped} done before{failed}")
    _tell_what_is_left(terminal, request, end)
    return end.status


def dry_run(
    terminal: Terminal, request: Request, planned: Planned, sidecars: Written, each_s: float | None
) -> None:
    """Say what would be done.

    Args:
        terminal: Where.
        request: The run.
        planned: What was found.
        sidecars: What would come of those that are wanted of records of before.
        each_s: Seconds that earlier records took, each; None: not known.
    """
    takes_s = None if each_s is None else each_s * planned.records
    if request.json:
        plain = {key: value for key, value in asdict(planned).items() if key != "seen"}
        plain |= {"faults": len(planned.faults), "sidecars_from_records": sidecars.written}
        terminal.json_line(json.dumps({**plain, "estimate_s": takes_s}))
        return
    rows = [
        ("to do", str(planned.to_do), ""),
        ("  failed before", str(planned.failed), ""),
        ("  changed", str(planned.changed), "their files changed since the records were made"),
        ("  flagged", str(planned.flagged), ""),
        ("  cannot be used", str(len(planned.faults)), ""),
        ("done", str(planned.done), ""),
        ("  flagged", str(planned.same), f"would come out the same again; {SAME_CURE}"),
        ("stale", str(planned.stale), "made with other settings" + _fate(request, planned)),
    ]
    if sidecars.written or sidecars.failed:
        unwritable = f"; {sidecars.failed} cannot be written" if sidecars.failed else ""
        rows.append(("sidecars", str(sidecars.written), "to write from records that are there" + unwritable))
    terminal.table([row for row in rows if request.redo_flagged or row[0] != "  flagged"])
    _name_unusable(terminal, planned.faults)
    if takes_s is not None:
        terminal.line(f"about {duration(takes_s)}, by the {each_s:.3g} s that each record in the file took")
    else:
        terminal.line("how long that takes is not known before some are done")


def _name_unusable(terminal: Terminal, faults: Sequence[str]) -> None:
    shown = faults if terminal.verbose else faults[:MOST_NAMED]
    for fault in shown:
        terminal.warn(fault)
    if len(faults) > len(shown):
        terminal.note(f"and {len(faults) - len(shown)} more that cannot be used; -v names all")


def _fate(request: Request, planned: Planned) -> str:
    if not planned.stale:
        return ""
    if request.redo_flagged:
        return "; kept"
    return "; among those to do" if request.redo else ", so a run is refused; --redo would make them again"


def _again(terminal: Terminal, request: Request) -> str:
    """Return the command that goes on."""
    if request.output is None:
        return "the same command with -o FILE begins a file that can be gone on with"
    command = shlex.join(["pllava", *terminal.words])
    return command if len(command) <= LONGEST_COMMAND else "the same command"
