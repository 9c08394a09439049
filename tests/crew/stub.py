"""Workers without a model: runners that say which process they are in, and die when a clip tells them to.

What a clip is named decides: `poison` kills its worker, `once` kills the first one that takes it, `half`
kills the first one once its first answer has arrived, which the file `arrived` tells, `bug` raises, `late`
warns, `wait` waits until the file `go` is there.
"""

import os
import signal
from collections.abc import Generator, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from pllava_cli import inputs
from pllava_cli.answers import Answer
from pllava_cli.batch.pipeline import Outcome
from pllava_cli.batch.planning import Job
from pllava_cli.batch.work import Work
from pllava_cli.crew.worker import Station
from pllava_cli.errors import CheckpointError
from tests.batch.running import RECORDING
from tests.processes import until


@dataclass
class Runner:
    """Does one job at a time."""

    folder: Path
    batch_size: int = 2
    waited_s: float = 0.0
    worked_s: float = 0.0
    is_stopping: bool = False
    late: list[str] = field(default_factory=list)

    def stop(self) -> None:
        self.is_stopping = True

    def run(self, jobs: Iterable[Job]) -> Generator[Outcome, None, None]:
        for job in jobs:
            kind = job.work.clip.path.name.partition("-")[0]
            self.act(kind)
            self.worked_s += 1
            for question in job.questions:
                yield self.answered(job, question)
                if kind == "half" and question != job.questions[-1]:
                    until((self.folder / "arrived").exists)
                    self.die_once(kind)
            if self.is_stopping:
                return

    def act(self, kind: str) -> None:
        if kind == "poison":
            os.kill(os.getpid(), signal.SIGKILL)
        elif kind == "once":
            self.die_once(kind)
        elif kind == "late":
            self.late.append("the disk is full")
        elif kind == "bug":
            raise ZeroDivisionError("of a clip")
        elif kind == "wait":
            until((self.folder / "go").exists)

    def die_once(self, kind: str) -> None:
        mark = self.folder / f"died-{kind}"
        if not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)

    def answered(self, job: Job, question: str | None) -> Outcome:
        answer = Answer(str(os.getpid()), question, "eos", 1, {})
        work = job.work
        record = RECORDING.record(work.clip, work.segment, question, file=job.file, answer=answer)
        return Outcome(job, record, question == job.questions[-1], False)


@dataclass(frozen=True)
class Opener:
    folder: Path
    does: str = "load"
    """Or `die`, `refuse`, or `load once`: refuse from the second time on."""
    together: int = 1
    """How many load at the same time: none is ready long before another."""

    def __call__(self) -> Station:
        mark = self.folder / self.does
        if self.does == "refuse" or (self.does == "load once" and mark.exists()):
            raise CheckpointError("there is no such checkpoint", "name another")
        if self.does == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        mark.write_text(str(os.getpid()))
        (self.folder / f"loading-{os.getpid()}").touch()
        until(lambda: len(list(self.folder.glob("loading-*"))) >= self.together)
        runner = Runner(self.folder)
        return Station(runner, 1, "here", ("it is odd",), ("it is a stub",), runner.late)


def job(name: str, questions: tuple[str | None, ...] = (None,)) -> Job:
    work = Work(inputs.Clip(Path(name), name), questions=questions)
    return Job(work, questions, None)


def jobs(*names: str, plain: int = 0) -> list[Job]:
    """Jobs of clips that tell their worker something, then plain ones."""
    return [job(name) for name in names] + [job(f"plain-{number}") for number in range(plain)]
