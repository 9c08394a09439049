"""The work of `pllava batch`: finds the clips, leaves out what is done, and puts the rest through the model.

Whatever can be refused is refused before the checkpoint is loaded. Where there are records or sidecars to
compare with, all clips are found before the first is begun; else others are found while it is at work.
"""

import os
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from itertools import chain, islice

from pllava_cli import processors
from pllava_cli.batch import discovery, estimate
from pllava_cli.batch.cuts import Cuts
from pllava_cli.batch.cutting import AtShots, ByLength, Cut, Cutter
from pllava_cli.batch.journal import Journal, StdoutJournal
from pllava_cli.batch.output import Output
from pllava_cli.batch.planning import Planned, Planner
from pllava_cli.batch.recorded import RecordedSidecars
from pllava_cli.batch.sharding import shard
from pllava_cli.batch.work import Work
from pllava_cli.commands import fitting, places, summary, working
from pllava_cli.commands.request import Request, Sources
from pllava_cli.commands.stopping import Stopping
from pllava_cli.commands.working import Warnings, Working
from pllava_cli.errors import ExitStatus, UsageError
from pllava_cli.phrases import counted
from pllava_cli.recording import Recording
from pllava_cli.records import Segment
from pllava_cli.terminal import Terminal


def run(terminal: Terminal, request: Request) -> int:
    """Do what is asked; returns the exit status."""
    warnings: Warnings = deque()
    flagged: Collection[bytes] = frozenset()
    recorded = RecordedSidecars(request.sidecars)
    with ExitStack() as stack:
        found = _works(request, warnings)
        fitted = fitting.fit(terminal, request.settings)
        journal = _journal(terminal, request)
        stack.callback(journal.close)
        if journal.cut_bytes:
            terminal.warn(f"the last line of {request.output} was torn by a kill, and is cut away")
        first = list(islice(found, 1))
        if not first and not request.dry_run:  # nothing falls to this shard
            return summary.nothing_made(terminal, request, Planned(), recorded.came, None)
        place = places.find(stack, terminal, request.needs, fitted)
        works = _cut(stack, request, chain(first, found))
        is_known = bool(journal.counts.done or journal.counts.failed)
        if is_known or request.sidecars is not None or request.dry_run:
            works = listed = _listed(terminal, works)
            working.tell(terminal, warnings)
            if request.sidecars is not None:
                request.sidecars.check(listed)
            flagged = _flagged(terminal, request) if is_known else flagged
            terminal.progress.update("looking at the checkpoint", 0, 0)
            recording = place.foresee()
            planner = _planner(request, recording, journal, flagged, recorded)
            planned = _planned(terminal, request, planner, listed, is_known=is_known)
            if request.dry_run:
                return _dry_run(terminal, request, recording, planned, recorded)
            summary.made_again(terminal, request, planned)
            stopped = _write_recorded(terminal, request, recorded)
            if stopped is not None or not planned.to_do:
                return summary.nothing_made(terminal, request, planned, recorded.came, stopped)
        recording, runner = place.open()
        planner = _planner(request, recording, journal, flagged, RecordedSidecars(None))
        output = Output(journal, request.sidecars, in_thread=request.output is not None)
        end = Working(terminal, runner, planner, output, "captioning", warnings).work_off(works)
        end = replace(end, sidecars=recorded.came)
        summary.render(terminal, request, end)
        return end.status


def _works(request: Request, warnings: Warnings) -> Iterator[Work]:
    """Find the clips, the first of them at once."""
    sources = request.sources
    works = discovery.find(
        sources.paths,
        warn=warnings.append,
        from_files=sources.lists,
        nul=sources.nul,
        recursive=sources.recursive,
    )
    if sources.shard is not None:
        works = shard(works, sources.shard)
    return map(partial(_asked, sources), works)


def _cut(stack: ExitStack, request: Request, works: Iterable[Work]) -> Iterable[Work]:
    """Begin to cut the clips into segments, if that is asked for; the journal is this run's by now."""
    sources, timeout_s = request.sources, request.settings.decode_timeout_s
    cut: Cut
    if sources.every_s is not None:
        cut = ByLength(sources.every_s, timeout_s)
    elif sources.shots:
        kept = Cuts.beside(request.output, is_read_only=request.dry_run)
        stack.callback(kept.close)
        cut = AtShots(timeout_s, kept)
    else:
        return works
    return stack.enter_context(Cutter(works, cut, request.needs.decoders(processors.usable())))


def _asked(sources: Sources, work: Work) -> Work:
    """Put the questions and the window of the command line where a work has none of its own."""
    asked = (sources.questions if own is None else (own,) for own in work.questions)
    segment = work.segment
    if segment.is_whole:
        segment = Segment(segment.index, *sources.window)
    return replace(work, questions=tuple(dict.fromkeys(chain.from_iterable(asked))), segment=segment)


def _journal(terminal: Terminal, request: Request) -> Journal | StdoutJournal:
    if request.output is None:
        return StdoutJournal(terminal.json_line)
    if request.redo_flagged and not os.path.lexists(request.output):
        raise UsageError(f"there is no file {request.output}", "check the name, or leave --redo-flagged out")
    return Journal.peek(request.output) if request.dry_run else Journal.open(request.output)


def _flagged(terminal: Terminal, request: Request) -> Collection[bytes]:
    """Return the subjects of the records that are to be made again."""
    if not request.redo_flagged or request.output is None:
        return frozenset()
    from pllava_cli.checks import findings  # numpy is slow to load

    terminal.progress.update("looking through the records", 0, 0)
    return findings.flagged(request.output, request.redo_flagged)


def _listed(terminal: Terminal, works: Iterable[Work]) -> list[Work]:
    listed: list[Work] = []
    for work in works:
        if len(listed) % working.SHOWN_EVERY == 0:
            terminal.progress.update("looking for clips", 0, 0, f"{len(listed)} found")
        listed.append(work)
    return listed


def _planner(
    request: Request,
    recording: Recording,
    journal: Journal | StdoutJournal,
    flagged: Collection[bytes],
    recorded: RecordedSidecars,
) -> Planner:
    """Compare works with the journal; without one, a work is done if its sidecar is there and to be kept."""
    sidecars = request.sidecars if request.output is None else None

    def is_done(work: Work) -> bool:
        return sidecars is not None and sidecars.is_kept(work.clip.path, work.segment)

    return Planner(
        recording, journal, redo=request.redo, flagged=flagged, is_done=is_done, keep=recorded.want
    )


def _planned(
    terminal: Terminal, request: Request, planner: Planner, works: list[Work], *, is_known: bool
) -> Planned:
    """Count what is left to be done.

    Args:
        terminal: Where.
        request: The run.
        planner: Compares works with the journal.
        works: All of them.
        is_known: Whether the journal holds anything.

    Raises:
        UsageError: Something was made with other settings, and nobody has said what is to become of it.
    """
    found = working.planned(terminal, planner, works)
    if is_known and found.is_new:  # or done already, from another folder
        terminal.note(
            f"{request.output} holds none of these clips; clips are told apart by their paths, as written"
        )
    if _is_undecided(request, found) and not request.dry_run:
        raise UsageError(
            f"{request.output} holds records of {counted(found.stale, 'clip')} made with other settings",
            "--redo makes them again, --redo-flagged only what `pllava check` flags; to keep them, go back to"
            " those settings or name another file with -o",
        )
    return found


def _is_undecided(request: Request, found: Planned) -> bool:
    """Whether something was made with other settings, and nobody has said what is to become of it."""
    return bool(found.stale) and not request.redo and not request.redo_flagged


def _write_recorded(terminal: Terminal, request: Request, recorded: RecordedSidecars) -> int | None:
    """Write the sidecars of records that were there before, before a model takes its time.

    Returns:
        The exit status of the signal that ended it; None: it has come to its end.
    """
    if request.output is None or not recorded:
        return None
    with Stopping(terminal, lambda: None) as stopping:
        for done in recorded.write(request.output, is_dry_run=False):
            if stopping.status is not None:
                break
            if done % working.SHOWN_EVERY == 1:
                terminal.progress.update("writing sidecars", done, len(recorded))
    terminal.pause()
    return stopping.status


def _dry_run(
    terminal: Terminal, request: Request, recording: Recording, planned: Planned, recorded: RecordedSidecars
) -> int:
    each_s = None
    if request.output is not None and request.output.exists():
        each_s = estimate.seconds_each(request.output, recording.model)
        if not _is_undecided(request, planned):  # else the run is refused
            for _ in recorded.write(request.output, is_dry_run=True):
                pass
    summary.dry_run(terminal, request, planned, recorded.came, each_s)
    return ExitStatus.OK
