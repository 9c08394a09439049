"""The work of `pllava eval`: a benchmark's questions through the pipeline of `pllava batch`, then scored.

A run is a folder: the answers as records, and what they come to. What is answered stays answered, so that
a run that was stopped goes on, and other rules of scoring need no model. A sweep is a run for each setting.
"""

import json
import shlex
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pllava_cli import registry
from pllava_cli.batch import estimate
from pllava_cli.batch.journal import Journal
from pllava_cli.batch.output import Output
from pllava_cli.batch.planning import Planned, Planner
from pllava_cli.batch.work import Work
from pllava_cli.commands import evalsummary, places, running, staffing, summary, working
from pllava_cli.commands.evalflags import EvalFlags, most_kept_bytes, output
from pllava_cli.commands.held import Held, differ_in_alpha
from pllava_cli.commands.scoring import finish, plain, show
from pllava_cli.commands.staffing import Needs
from pllava_cli.commands.summary import LONGEST_COMMAND, End
from pllava_cli.commands.sweeping import Setting, put_as, sweep
from pllava_cli.commands.working import Working
from pllava_cli.errors import ExitStatus, UsageError
from pllava_cli.evaluation import answering
from pllava_cli.evaluation.asked import Asked
from pllava_cli.evaluation.items import Benchmark, Result, Said
from pllava_cli.evaluation.rundir import RunFolder
from pllava_cli.recording import Recording
from pllava_cli.records import Turn
from pllava_cli.settings import Settings
from pllava_cli.terminal import Terminal

if TYPE_CHECKING:
    from pllava_cli.visualstore.store import VisualStore


def run(terminal: Terminal, flags: EvalFlags, asked: Asked) -> int:
    """Do what is asked; returns the exit status.

    Raises:
        PllavaError: It cannot be done; what was answered by then is kept.
    """
    settings = sweep(flags)
    store = _visual_store(terminal, flags)
    out = output(flags, asked.benchmark, settings[0].settings)
    RunFolder(out).check(asked)
    terminal.progress.update("reading the questions", 0, 0)
    benchmark, notes = asked.read()
    terminal.pause()
    evalsummary.faults(terminal, benchmark.faults)
    for note in notes:
        terminal.warn(note)
    manner = benchmark.manner
    settings = [
        replace(each, settings=put_as(each.settings, flags, manner.system, manner.max_new_tokens))
        for each in settings
    ]
    needs = staffing.needs(
        flags, flags.device, settings[0].settings.device, (), Turn(manner.answer_start, manner.is_inline)
    )
    needs = replace(needs, visual_store=store, held=Held(store))
    evaluation = _Evaluation(terminal, flags, asked, benchmark, notes, needs)
    if len(settings) == 1:
        return evaluation.single(RunFolder(out), settings[0])
    return evaluation.sweep(out, settings)


def _visual_store(terminal: Terminal, flags: EvalFlags) -> "VisualStore | None":
    most = most_kept_bytes(flags)
    if not flags.keep_visual or flags.dry_run:
        return None
    from pllava_cli.visualstore.store import MOST_BYTES, VisualStore

    return VisualStore(most_bytes=MOST_BYTES if most is None else most, warn=terminal.warn)


@dataclass(frozen=True)
class _Run:
    """A run that has come to its end, or was stopped."""

    result: Result | None
    """None: it was stopped, or nothing was to be changed."""
    status: int


@dataclass(frozen=True)
class _Evaluation:
    """One command."""

    terminal: Terminal
    flags: EvalFlags
    asked: Asked
    benchmark: Benchmark
    notes: Sequence[str]
    needs: Needs

    def single(self, folder: RunFolder, setting: Setting) -> int:
        """Run the only setting; returns the exit status."""
        done = self._run(folder, setting, running.fit(self.terminal, setting.settings))
        if done.result is not None:
            show(self.terminal, folder, done.result, as_json=self.flags.json)
            self._point_to_judge(folder)
        return done.status

    def sweep(self, out: Path, settings: Sequence[Setting]) -> int:
        """Run every setting in a folder of its own within `out`; returns the exit status."""
        fitted = [running.fit(self.terminal, each.settings) for each in settings]
        self._check(settings, fitted)
        if not self.flags.dry_run:
            RunFolder(out).begin(self.asked)
        runs: list[tuple[dict[str, str], Result]] = []
        statuses: set[int] = set()
        for setting, each in zip(settings, fitted, strict=True):
            self.terminal.heading(", ".join(f"{name} {value}" for name, value in setting.differs.items()))
            folder = RunFolder(out / setting.folder)
            done = self._run(folder, setting, each)
            statuses.add(done.status)
            if done.result is None and not self.flags.dry_run:
                return done.status
            if done.result is not None:
                runs.append((setting.differs, done.result))
        if runs:
            self._show_sweep(out, fitted[0].model, runs)
        return statuses.pop() if len(statuses) == 1 else ExitStatus.SOME_FAILED

    def _check(self, settings: Sequence[Setting], fitted: Sequence[Settings]) -> None:
        """See that the checkpoint takes every setting, before hours are spent on the first."""
        if self.needs.staffing.engine == "ray" or len(self.needs.staffing.devices) > 1:
            return  # each look would take a process of its own
        looked: list[Settings] = []
        for setting, each in zip(settings, fitted, strict=True):
            # A checkpoint that takes two alphas takes any: where LoRA is stored merged, it takes but one.
            if sum(differ_in_alpha(each, other) for other in looked) > 1:
                continue
            looked.append(each)
            self.terminal.progress.update("looking at the checkpoint", 0, 0)
            try:
                running.foresee(each)
            except UsageError as error:
                raise UsageError(f"{setting.folder}: {error.message}", error.hint) from None
        self.terminal.pause()

    def _run(self, folder: RunFolder, setting: Setting, fitted: Settings) -> _Run:
        """Answer what is not answered, and score it."""
        with ExitStack() as stack:
            end, recording = self._answer(stack, folder, setting, fitted)
        if recording is None:
            return _Run(None, ExitStatus.OK)
        if end is not None and end.stopped is not None:
            self.terminal.note(f"stopped; {end.tally.done} more clips answered; to go on: {self._again()}")
            return _Run(None, end.stopped)
        said = answering.collect(self.benchmark, folder.answers, recording)
        result = finish(self.terminal, folder, self.asked, self.benchmark, said, recording, self.notes)
        self._tell(end, said)
        return _Run(result, evalsummary.status(said, self.benchmark))

    def _answer(
        self, stack: ExitStack, folder: RunFolder, setting: Setting, fitted: Settings
    ) -> tuple[End | None, Recording | None]:
        """Answer what is not answered.

        Returns:
            How that ended, None: nothing was left to be done; and with what settings answers are made,
            None: it was only asked what would be done.
        """
        works = answering.works(self.benchmark)
        journal = self._journal(stack, folder)
        place = places.find(stack, self.terminal, self.needs, fitted)
        recording = None
        if self.flags.dry_run or journal.counts.done or journal.counts.failed:
            self.terminal.progress.update("looking at the checkpoint", 0, 0)
            recording = place.foresee()
            planned = working.planned(self.terminal, self._planner(recording, journal), works)
            if self.flags.dry_run:
                self._dry_run(folder, setting, recording, planned)
                return None, None
            self._check_stale(folder, planned)
            if not planned.to_do:
                folder.note(self.asked, recording)
                return None, recording
        recording, runner = place.open()
        folder.note(self.asked, recording)
        planner, records = self._planner(recording, journal), Output(journal, None, in_thread=True)
        return self._work_off(Working(self.terminal, runner, planner, records, "answering"), works), recording

    def _work_off(self, run: Working, works: Sequence[Work]) -> End:
        end = run.work_off(works)
        if end.tally.failed:
            self.terminal.note("errors by cause:")
            for line in end.tally.cause_lines():
                self.terminal.note(line)
        return end

    def _journal(self, stack: ExitStack, folder: RunFolder) -> Journal:
        if self.flags.dry_run:
            return Journal.peek(folder.answers)
        folder.begin(self.asked)
        journal = Journal.open(folder.answers)
        stack.callback(journal.close)
        if journal.cut_bytes:
            self.terminal.warn(f"the last line of {folder.answers} was torn by a kill, and is cut away")
        return journal

    def _planner(self, recording: Recording, journal: Journal) -> Planner:
        return Planner(recording, journal, redo=self.flags.redo)

    def _check_stale(self, folder: RunFolder, planned: Planned) -> None:
        if planned.stale and not self.flags.redo:
            raise UsageError(
                f"{folder.path} holds answers about {summary.clips(planned.stale)} made with other settings",
                "--redo makes them again; to keep them, go back to those settings or name another folder"
                " with -o",
            )

    def _dry_run(self, folder: RunFolder, setting: Setting, recording: Recording, planned: Planned) -> None:
        each_s = None
        if folder.answers.exists():
            each_s = estimate.seconds_each(folder.answers, recording.model)
        said = answering.collect(self.benchmark, folder.answers, recording)
        foreseen = evalsummary.Foreseen(self.benchmark, said, planned, each_s)
        evalsummary.dry_run(self.terminal, foreseen, setting.differs, as_json=self.flags.json)

    def _tell(self, end: End | None, said: Sequence[Said]) -> None:
        if end is None:
            self.terminal.note("all was answered before; scored again")
        failed = sum(each.text is None for each in said)
        if failed:
            self.terminal.note(
                f"{failed} of {len(said)} questions have no answer; to try again: {self._again()}"
            )

    def _show_sweep(self, out: Path, model: str, runs: Sequence[tuple[dict[str, str], Result]]) -> None:
        from pllava_cli.evaluation import report

        for note in report.write_sweep(out, runs, defaults=self._defaults(model)):
            self.terminal.note(note)
        if self.flags.json:
            each = [{"setting": differs, "result": plain(result)} for differs, result in runs]
            self.terminal.json_line(json.dumps({"runs": each}))
        else:
            evalsummary.sweep(self.terminal, runs)
        self.terminal.note(f"the sweep's report is {out / 'sweep.html'}")

    def _defaults(self, model: str) -> dict[str, str]:
        """What a checkpoint's own settings are, as far as that is known without its weights."""
        own = registry.surveyed(registry.find(model))
        found = {
            "alpha": None if own.lora is None else f"{own.lora.alpha:g}",
            "frames": own.num_frames,
            "pooling_shape": own.pooling_shape and "x".join(map(str, own.pooling_shape)),
        }
        return {name: str(value) for name, value in found.items() if value is not None}

    def _point_to_judge(self, folder: RunFolder) -> None:
        if self.asked.is_judged:
            judge = f"pllava eval judge {shlex.quote(str(folder.path))} --judge-url URL --judge-model NAME"
            self.terminal.note(f"to have the answers judged: {judge}")

    def _again(self) -> str:
        """Return the command that goes on."""
        command = shlex.join(["pllava", *self.terminal.words])
        return command if len(command) <= LONGEST_COMMAND else "the same command"
