"""One run of `pllava eval`: questions through the pipeline of `pllava batch` under one setting, then scored.

A run is a folder: the answers as records, and what they come to. What is answered stays answered, so that
a run that was stopped goes on, and other rules of scoring need no model.
"""

import shlex
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from pllava_cli.batch import estimate
from pllava_cli.batch.journal import Journal
from pllava_cli.batch.output import Output
from pllava_cli.batch.planning import Planned, Planner
from pllava_cli.batch.tally import cause_lines
from pllava_cli.batch.work import Work
from pllava_cli.commands import places, working
from pllava_cli.commands.evaluation import display
from pllava_cli.commands.evaluation.flags import EvalFlags
from pllava_cli.commands.evaluation.results import finish
from pllava_cli.commands.evaluation.sweeping import Setting
from pllava_cli.commands.staffing import Needs
from pllava_cli.commands.summary import LONGEST_COMMAND, End
from pllava_cli.commands.working import Working
from pllava_cli.errors import ExitStatus, UsageError
from pllava_cli.evaluation.answering import pipeline
from pllava_cli.evaluation.asked import Asked
from pllava_cli.evaluation.items import Benchmark, Result, Said
from pllava_cli.evaluation.rundir import RunFolder
from pllava_cli.phrases import counted, share
from pllava_cli.recording import Recording
from pllava_cli.settings import Settings
from pllava_cli.terminal import Terminal


@dataclass(frozen=True)
class Run:
    """A run that has come to its end, or was stopped."""

    result: Result | None
    """None: it was stopped, or nothing was to be changed."""
    status: int


@dataclass(frozen=True)
class Evaluation:
    """One command: a benchmark's questions, put under one setting or under several."""

    terminal: Terminal
    flags: EvalFlags
    asked: Asked
    benchmark: Benchmark
    needs: Needs

    def run(self, folder: RunFolder, setting: Setting, fitted: Settings) -> Run:
        """Answer what is not answered, and score it."""
        with ExitStack() as stack:
            end, recording = self._answer(stack, folder, setting, fitted)
        if recording is None:
            return Run(None, ExitStatus.OK)
        if end is not None and end.stopped is not None:
            done = counted(end.tally.done, "more clip")
            self.terminal.note(f"stopped; {done} answered; to go on: {self._again()}")
            return Run(None, end.stopped)
        said = pipeline.collect(self.benchmark, folder.answers, recording)
        result = finish(self.terminal, folder, self.asked, self.benchmark, said, recording)
        self._tell(end, said)
        return Run(result, display.status(said, self.benchmark))

    def _answer(
        self, stack: ExitStack, folder: RunFolder, setting: Setting, fitted: Settings
    ) -> tuple[End | None, Recording | None]:
        """Answer what is not answered.

        Returns:
            How that ended, None: nothing was left to be done; and with what settings answers are made,
            None: it was only asked what would be done.
        """
        works = pipeline.works(self.benchmark)
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
            for line in cause_lines(end.causes):
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
                f"{folder.path} holds answers about {counted(planned.stale, 'clip')}"
                " made with other settings",
                "--redo makes them again; to keep them, go back to those settings or name another folder"
                " with -o",
            )

    def _dry_run(self, folder: RunFolder, setting: Setting, recording: Recording, planned: Planned) -> None:
        each_s = None
        if folder.answers.exists():
            each_s = estimate.seconds_each(folder.answers, recording.model)
        said = pipeline.collect(self.benchmark, folder.answers, recording)
        foreseen = display.Foreseen(self.benchmark, said, planned, each_s)
        display.dry_run(self.terminal, foreseen, setting.differs, as_json=self.flags.json)

    def _tell(self, end: End | None, said: Sequence[Said]) -> None:
        if end is None:
            self.terminal.note("all was answered before; scored again")
        failed = sum(each.text is None for each in said)
        if failed:
            told = share(failed, len(said), "question", "has no answer", "have no answer")
            self.terminal.note(f"{told}; to try again: {self._again()}")

    def _again(self) -> str:
        """Return the command that goes on."""
        command = shlex.join(["pllava", *self.terminal.words])
        return command if len(command) <= LONGEST_COMMAND else "the same command"
