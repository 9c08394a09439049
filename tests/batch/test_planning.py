"""What is left to be done, and what a run says of itself."""

import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pllava_cli.batch.estimate import seconds_each
from pllava_cli.batch.foresight import Foreseen
from pllava_cli.batch.journal import Journal
from pllava_cli.batch.planning import Job, Planner
from pllava_cli.batch.tally import Tally, cause, cause_lines, duration
from pllava_cli.batch.work import Work
from pllava_cli.errors import UsageError
from pllava_cli.phrases import figure
from pllava_cli.recordkey import Key
from pllava_cli.records import File, Record, Segment
from tests.batch.made import failed, line, outcome, record
from tests.batch.running import RECORDING
from tests.batch.tree import works as works


def to_be(work: Work, question: str | None = None) -> Record:
    """The record of a work as if it had been answered."""
    made = RECORDING.record(work.clip, work.segment, question, file=File.of(work.clip.path))
    return replace(made, text="A bird.")


def planner(journal: Journal, *, redo: bool = False) -> Planner:
    return Planner(RECORDING, journal, redo=redo)


def names(jobs: Iterator[Job]) -> list[str]:
    return [job.work.clip.path.name for job in jobs]


def test_what_is_done_is_left_out(works: list[Work], tmp_path: Path) -> None:
    a, b, c, _ = works
    with Journal.open(tmp_path / "out.jsonl") as journal:
        journal.append(to_be(a))
        journal.append(replace(to_be(b), system="another text"))
        journal.append(replace(to_be(c), text=None, error=failed().error))
        plan = planner(journal)
        assert names(plan.jobs(works)) == ["c.mp4", "d.mp4"]
        planned = plan.planned
        assert (planned.seen, planned.to_do, planned.done) == (4, 2, 1)
        assert (planned.stale, planned.failed, planned.faults) == (1, 1, [])
        assert names(planner(journal, redo=True).jobs(works)) == ["b.mp4", "c.mp4", "d.mp4"]


def test_a_file_that_has_changed_is_done_again(works: list[Work], tmp_path: Path) -> None:
    with Journal.open(tmp_path / "out.jsonl") as journal:
        journal.append(to_be(works[0]))
        works[0].clip.path.write_bytes(b"another clip")
        plan = planner(journal)
        assert names(plan.jobs(works[:1])) == ["a.mp4"]
        assert (plan.planned.to_do, plan.planned.changed) == (1, 1)


def test_what_is_flagged_is_done_again_unless_it_would_come_out_the_same(
    works: list[Work], tmp_path: Path
) -> None:
    a, b, c, d = works
    with Journal.open(tmp_path / "out.jsonl") as journal:
        for made in (to_be(a), replace(to_be(b), system="other"), replace(to_be(c), system="other")):
            journal.append(made)
        journal.append(to_be(d))
        flagged = {Key.of(to_be(work)).subject for work in (a, b)}
        plan = Planner(RECORDING, journal, redo=False, flagged=flagged)
        assert names(plan.jobs(works)) == ["b.mp4"]
        planned = plan.planned
        assert (planned.to_do, planned.flagged, planned.same, planned.stale, planned.done) == (1, 1, 1, 1, 2)
        drawn = replace(RECORDING, decoding=replace(RECORDING.decoding, temperature=0.5))
        assert names(Planner(drawn, journal, redo=False, flagged=flagged).jobs(works)) == ["a.mp4", "b.mp4"]


@pytest.mark.parametrize(("seed", "count"), [(None, 1), (3, 0)])
def test_what_is_drawn_without_a_seed_does_not_come_out_the_same(
    works: list[Work], tmp_path: Path, seed: int | None, count: int
) -> None:
    drawn = replace(RECORDING, decoding=replace(RECORDING.decoding, temperature=0.5, seed=seed))
    work = works[0]
    made = drawn.record(work.clip, work.segment, None, file=File.of(work.clip.path))
    with Journal.open(tmp_path / "out.jsonl") as journal:
        journal.append(replace(made, text="A bird."))
        plan = Planner(drawn, journal, redo=False, flagged={Key.of(made).subject})
        assert len(list(plan.jobs([work]))) == count == plan.planned.flagged == 1 - plan.planned.same


def test_what_is_flagged_stays_once_its_clip_is_gone(works: list[Work], tmp_path: Path) -> None:
    with Journal.open(tmp_path / "out.jsonl") as journal:
        made = replace(to_be(works[0]), system="other")
        journal.append(made)
        works[0].clip.path.unlink()
        plan = Planner(RECORDING, journal, redo=False, flagged={Key.of(made).subject})
        assert list(plan.jobs(works[:1])) == []


def test_of_several_questions_only_those_that_are_flagged_are_asked_again(
    works: list[Work], tmp_path: Path
) -> None:
    work = replace(works[0], questions=("What?", "Who?", "Where?"))
    with Journal.open(tmp_path / "out.jsonl") as journal:
        made = [replace(to_be(work, question), system="other") for question in ("What?", "Who?")]
        for each in made:
            journal.append(each)
        plan = Planner(RECORDING, journal, redo=False, flagged={Key.of(made[1]).subject})
        (job,) = plan.jobs([work])
        assert job.questions == ("Who?", "Where?")


def test_questions_that_are_answered_are_not_asked_again(works: list[Work], tmp_path: Path) -> None:
    work = replace(works[0], questions=("What?", None, "Who?"))
    with Journal.open(tmp_path / "out.jsonl") as journal:
        journal.append(to_be(work, "What?"))
        (job,) = planner(journal).jobs([work])
        assert job.questions == (None, "Who?") and job.file == File.of(work.clip.path)


def test_nothing_is_done_twice_in_a_run(works: list[Work], tmp_path: Path) -> None:
    part = replace(works[0], segment=Segment(1, 0.5, 1.0))
    with Journal.open(tmp_path / "out.jsonl") as journal:
        jobs = list(planner(journal).jobs([works[0], part, works[0], part]))
    assert [job.work for job in jobs] == [works[0], part]


def test_works_are_counted_while_they_are_done(works: list[Work]) -> None:
    foreseen = Foreseen(iter(works))
    assert [next(foreseen) for _ in works] == works
    assert next(foreseen, None) is None and next(foreseen, None) is None
    assert foreseen.total == 4


def test_nobody_waits_for_works_that_do_not_come(works: list[Work]) -> None:
    for_ever = threading.Event()

    def slowly() -> Iterator[Work]:
        yield works[0]
        for_ever.wait()
        raise UsageError("the list holds a NUL byte", "")

    foreseen = Foreseen(slowly())
    assert next(foreseen) == works[0] and foreseen.total is None
    for_ever.set()
    for _ in range(2):
        with pytest.raises(UsageError, match="NUL"):
            next(foreseen)


def test_causes_leave_the_name_out() -> None:
    tally = Tally()
    for number, text in enumerate(
        ["{}: the decoder crashed", "{}: the decoder crashed", "there is no file {}"]
    ):
        error = failed(number).error
        assert error is not None
        path = f"odd\nname{number}.mp4"
        shown = path.replace("\n", "\\n") if number else path
        error = replace(error, message=text.format(shown))
        tally.count(outcome(record(number, path=path, text=None, error=error)))
    tally.count(outcome(record()))
    assert (tally.done, tally.failed) == (1, 3)
    assert tally.causes == Counter({"the decoder crashed": 2, "there is no file …": 1})
    assert cause_lines(tally.causes)[0].split() == ["2", "the", "decoder", "crashed"]


@pytest.mark.parametrize(
    ("path", "message", "expected"),
    [
        ("x/my clip.mp4", "x/my clip.mp4: cannot write x/my clip.0-1.5.txt: no", "cannot write …: no"),
        ("a", "a: cannot write a.txt: a disk is full", "cannot write …: … disk is full"),
        ("a.mp4", "a.mp4: no decoder for aa.mp4, as a.mp4, has", "no decoder for aa.mp4, as …, has"),
        ("/x/(1).mp4", "there is no file /x/(1).mp4", "there is no file …"),
    ],
)
def test_a_name_is_left_out_where_it_stands_alone(path: str, message: str, expected: str) -> None:
    assert cause(message, path) == expected


@pytest.mark.parametrize(("value", "said"), [(0, "0"), (0.5234, "0.523"), (99.6, "100"), (2610.4, "2610")])
def test_figures_are_no_powers_of_ten(value: float, said: str) -> None:
    assert figure(value) == said


def test_what_stands_beside_the_progress() -> None:
    now = [100.0]
    tally = Tally(clock=lambda: now[0])
    assert tally.note(0, None, 0.0) == ""
    for number in range(4):
        tally.count(outcome(failed(number) if number == 3 else record(number)))
    now[0] += 120.0
    assert tally.note(6, 20, 0.25) == ("6 done before, 1 failed, 2 clips/min, 5 min left, model waits 25%")


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.4, "0 s"), (89, "89 s"), (91, "2 min"), (3600, "60 min"), (9000, "2 h 30 min"), (200_000, "2 d 8 h")],
)
def test_durations_are_for_people(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_an_estimate_is_of_the_same_model(tmp_path: Path) -> None:
    file = tmp_path / "out.jsonl"
    other = replace(record().model, dtype="fp32")
    made = [
        record(1, elapsed_s={"model": 2.0}),
        record(2, elapsed_s={"model": 4.0}),
        record(3, elapsed_s={"model": 100.0}, model=other),
        record(4),
        failed(5, elapsed_s={"model": 50.0}),
    ]
    file.write_bytes(b"".join(map(line, made)) + b'{"torn')
    assert seconds_each(file, record().model) == 3.0
    assert seconds_each(file, replace(other, quantize="4bit")) is None
