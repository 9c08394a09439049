"""A crew of real processes with a stub for the model: what is handed out, and what is done about deaths."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pllava_cli.batch.pipeline import Outcome
from pllava_cli.batch.planning import Job
from pllava_cli.crew.crew import MOST_DEATHS, Crew, Voice
from pllava_cli.crew.events import Event
from pllava_cli.crew.post import Member
from pllava_cli.crew.process import ProcessMember
from pllava_cli.errors import CheckpointError, DeviceError, UsageError
from tests.batch.running import RECORDING
from tests.crew.stub import Opener, job, jobs
from tests.processes import running_children, until, until_ended

ROOT = Path(__file__).parents[2]


@dataclass
class Heard:
    """What was said."""

    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    details: list[str] = field(default_factory=list)
    reacting: Callable[[str], object] = lambda text: None
    """Called with each warning."""

    @property
    def voice(self) -> Voice:
        return Voice(self.warn, self.notes.append, self.details.append)

    def warn(self, text: str) -> None:
        self.warnings.append(text)
        self.reacting(text)

    @property
    def deaths(self) -> list[str]:
        return [each for each in self.warnings if "has died" in each]


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def crew(tmp_path: Path, heard: Heard) -> Callable[..., Crew]:
    def make(*does: str) -> Crew:
        """A crew with a worker for each of the words, which say how it loads."""
        together = sum(each.startswith("load") for each in does)

        def hire(number: int, report: Callable[[Event], None]) -> Member:
            return ProcessMember(Opener(tmp_path, does[number], together), report, {})

        return Crew(hire, len(does), RECORDING, heard.voice)

    return make


Make = Callable[..., Crew]


def names(outcomes: list[Outcome], *, failed: bool = False) -> list[str]:
    return sorted(each.clip.name for each in outcomes if each.has_failed == failed)


def pids(outcomes: list[Outcome]) -> set[int]:
    return {int(each.record.text) for each in outcomes if each.record.text}


def test_each_job_is_done_once_and_all_workers_have_some(crew: Make, heard: Heard) -> None:
    before = running_children()
    with crew("load", "load") as workers:
        assert workers.batch_size == 4
        outcomes = list(workers.run(jobs(plain=40)))
        assert set(running_children()) <= set(before), "they have ended by themselves"
    assert names(outcomes) == sorted(f"plain-{number}" for number in range(40))
    assert len(pids(outcomes)) == 2 and os.getpid() not in pids(outcomes)
    assert workers.worked_s == 40
    assert heard.warnings == ["it is odd"] and heard.notes == ["it is a stub"]


def test_what_comes_up_on_the_way_is_told_once(crew: Make, heard: Heard) -> None:
    with crew("load", "load") as workers:
        assert len(list(workers.run(jobs("late-1", "late-2", "late-3", plain=4)))) == 7
    assert heard.warnings == ["it is odd", "the disk is full"]


def test_there_may_be_nothing_to_do(crew: Make) -> None:
    with crew("load", "load") as workers:
        assert list(workers.run([])) == []


def test_a_worker_that_is_held_up_holds_up_no_other(crew: Make, tmp_path: Path) -> None:
    """It has no more than a batch and what its decoders are about, which wait with it."""
    seen = []
    with crew("load", "load") as workers:
        for outcome in workers.run(jobs("wait-0", plain=60)):
            seen.append(outcome)
            if len(seen) == 50:
                (tmp_path / "go").touch()
    assert len(names(seen)) == 61
    assert "wait-0" in [each.clip.name for each in seen[50:]]


def test_a_worker_killed_from_outside_costs_nothing(crew: Make, heard: Heard) -> None:
    outcomes: list[Outcome] = []
    with crew("load", "load") as workers:
        for outcome in workers.run(jobs(plain=200)):
            outcomes.append(outcome)
            if len(outcomes) == 3:
                os.kill(int(outcome.record.text or ""), signal.SIGKILL)
    assert names(outcomes) == sorted(f"plain-{number}" for number in range(200))
    (death,) = heard.deaths
    assert "killed by SIGKILL" in death


@pytest.mark.parametrize("clip", ["once-0", "plain-0"])
def test_a_worker_that_is_alone_is_replaced(crew: Make, heard: Heard, clip: str) -> None:
    outcomes: list[Outcome] = []
    with crew("load") as workers:
        for outcome in workers.run(jobs(clip, "plain-1", plain=8)):
            outcomes.append(outcome)
            if len(outcomes) == 1 and not heard.deaths:
                os.kill(int(outcome.record.text or ""), signal.SIGKILL)
    assert len(names(outcomes)) == 10 and len(heard.deaths) == 1
    assert len(pids(outcomes)) == (1 if clip == "once-0" else 2)


def test_a_clip_that_kills_its_worker_twice_fails_alone(crew: Make, heard: Heard) -> None:
    outcomes = []
    with crew("load", "load") as workers:
        outcomes = list(workers.run(jobs("plain-a", "poison-0", "poison-1", plain=30)))
    assert names(outcomes, failed=True) == ["poison-0", "poison-1"]
    assert len(names(outcomes)) == 31
    for each in outcomes:
        if each.has_failed:
            assert each.is_last and each.record.error is not None
            assert "two workers died while they had it" in each.record.error.message
            assert "killed by SIGKILL" in each.record.error.message
    assert 3 <= len(heard.deaths) <= 4


def test_a_bug_costs_its_clip_and_is_told(crew: Make, heard: Heard) -> None:
    with crew("load") as workers:
        outcomes = list(workers.run(jobs("bug-0", plain=5)))
    assert names(outcomes, failed=True) == ["bug-0"] and len(outcomes) == 6
    assert "ZeroDivisionError: of a clip" in heard.deaths[0]
    assert any("Traceback" in each for each in heard.details)


def test_answers_given_before_a_death_are_not_given_again(crew: Make, tmp_path: Path) -> None:
    outcomes: list[Outcome] = []
    with crew("load") as workers:
        for outcome in workers.run([job("half-0", ("What?", "Who?", "Where?")), *jobs(plain=3)]):
            outcomes.append(outcome)
            (tmp_path / "arrived").touch()
    asked = [each.record.question for each in outcomes if each.clip.name == "half-0"]
    assert asked == ["What?", "Who?", "Where?"]
    assert [each.is_last for each in outcomes if each.clip.name == "half-0"] == [False, False, True]
    assert not any(each.has_failed for each in outcomes) and len(pids(outcomes)) == 2


def test_what_cannot_be_loaded_is_told_at_once(crew: Make) -> None:
    before = running_children()
    with pytest.raises(CheckpointError, match="no such checkpoint"), crew("load", "refuse"):
        pass
    until(lambda: set(running_children()) <= set(before))


def test_a_place_whose_workers_die_as_they_load_is_given_up(crew: Make, heard: Heard) -> None:
    with crew("load", "die") as workers:
        outcomes = list(workers.run(jobs(plain=10)))
    assert len(names(outcomes)) == 10
    assert len(heard.deaths) <= MOST_DEATHS


def test_when_no_worker_is_left_the_run_ends(crew: Make, heard: Heard) -> None:
    with pytest.raises(DeviceError, match="killed by SIGKILL") as raised, crew("die"):
        pass
    assert len(heard.deaths) == MOST_DEATHS and raised.value.status == 6
    assert raised.value.hint == "see -vv; free memory, if it is that", "it had no clips yet"


def test_where_they_die_over_several_clips_fewer_are_advised(crew: Make) -> None:
    with pytest.raises(DeviceError, match="killed by SIGKILL") as raised, crew("load") as workers:
        list(workers.run(jobs(*(f"poison-{number}" for number in range(MOST_DEATHS)))))
    assert raised.value.hint == "see -vv; a smaller --batch-size takes less memory"


def test_a_replacement_that_cannot_load_costs_only_its_place(
    crew: Make, heard: Heard, tmp_path: Path
) -> None:
    heard.reacting = lambda text: (tmp_path / "go").touch() if "going on without" in text else None
    with crew("load", "load once") as workers:
        os.kill(int((tmp_path / "load once").read_text()), signal.SIGKILL)
        outcomes = list(workers.run(jobs("wait-0", "wait-1", plain=8)))
    assert len(names(outcomes)) == len(set(names(outcomes))) == 10
    assert heard.warnings[-1] == "going on without worker 2: there is no such checkpoint"


def test_stopping_finishes_what_is_under_way(crew: Make) -> None:
    outcomes = []
    with crew("load", "load") as workers:
        for outcome in workers.run(jobs(plain=10_000)):
            outcomes.append(outcome)
            if len(outcomes) == 5:
                workers.stop()
    assert 5 <= len(outcomes) < 10_000
    assert len(names(outcomes)) == len(set(names(outcomes)))


def test_it_can_be_stopped_while_the_next_clip_is_awaited(crew: Make) -> None:
    for_ever = threading.Event()

    def slowly() -> Iterator[Job]:
        yield job("plain-0")
        for_ever.wait()

    outcomes = []
    with crew("load") as workers:
        for outcome in workers.run(slowly()):
            outcomes.append(outcome)
            threading.Timer(0.1, workers.stop).start()
    for_ever.set()
    assert len(outcomes) == 1


def test_what_ends_the_jobs_ends_the_run(crew: Make) -> None:
    def broken() -> Iterator[Job]:
        yield job("plain-0")
        raise UsageError("the list holds a NUL byte", "name a text file")

    with pytest.raises(UsageError, match="NUL"), crew("load") as workers:
        list(workers.run(broken()))


_PARENT = """
import sys, time
from pathlib import Path
from pllava_cli.crew.crew import Crew, Voice
from pllava_cli.crew.process import ProcessMember
from tests.batch.running import RECORDING
from tests.crew.stub import Opener, jobs
folder = Path(sys.argv[1])
hire = lambda number, report: ProcessMember(Opener(folder), report, {})
with Crew(hire, 2, RECORDING, Voice(print, print, print)) as crew:
    print("ready", flush=True)
    list(crew.run(jobs("wait-0", "wait-1", "wait-2", "wait-3")))
"""


def test_workers_die_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _PARENT, str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        while parent.stdout.readline() != b"ready\n":
            assert parent.poll() is None
        workers = running_children(parent.pid, recursive=True)
        assert len(workers) == 2
        parent.kill()
    until_ended(*workers)
