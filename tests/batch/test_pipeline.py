"""The pipeline with real decoders and an engine that only says what it is shown."""

import signal
import threading
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path
from types import SimpleNamespace

import pytest

from pllava_cli.batch.pipeline import Outcome
from pllava_cli.batch.planning import Job
from pllava_cli.encoded import DecodedClip
from pllava_cli.errors import ClipError, UsageError
from pllava_cli.video.reader import Decoder
from tests.batch.running import LOOK, Engine, job, pipeline, texts
from tests.clips import write_clip
from tests.processes import PATIENCE_S
from tests.video.amid import killing

CLIPS = 8


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("clips")
    return [write_clip(folder / f"{number}.mp4", seed=number) for number in range(CLIPS)]


def test_good_and_bad_clips_get_one_record_each(clips: list[Path], tmp_path: Path) -> None:
    empty, playlist = tmp_path / "empty.mp4", tmp_path / "playlist.mp4"
    empty.touch()
    playlist.write_text("#EXTM3U\n")
    gone = job(tmp_path / "gone.mp4", fault=UsageError("there is no file", "check the name"))
    engine = Engine()
    outcomes = list(pipeline(engine).run([gone, job(empty), *map(job, clips), job(playlist)]))
    good = [(clip.name, f"None {clip.name}") for clip in clips]
    assert texts(outcomes) == sorted(
        [*good, *((name, "") for name in ("empty.mp4", "gone.mp4", "playlist.mp4"))]
    )
    for outcome in outcomes:
        assert outcome.is_last and outcome.has_failed == (outcome.record.text is None)
        assert (outcome.record.error is None) == (outcome.record.media is not None)
    assert sorted(chain(*engine.batches)) == [clip.name for clip in clips]
    assert max(map(len, engine.batches)) <= 4


def test_several_questions_take_one_encode(clips: list[Path]) -> None:
    engine = Engine()
    questions = ("What?", "Who?")
    outcomes = list(pipeline(engine).run(job(clip, questions) for clip in clips))
    assert texts(outcomes) == sorted((clip.name, f"{q} {clip.name}") for clip in clips for q in questions)
    assert sorted(chain(*engine.batches)) == [clip.name for clip in clips]
    assert [outcome.record.question for outcome in outcomes if outcome.is_last] == ["Who?"] * CLIPS
    assert {outcome.record.task for outcome in outcomes} == {"ask"}


@pytest.mark.parametrize(
    ("batch_size", "times"), [(1, [1] * 5), (2, [2, 2, 1]), (5, [5]), (16, [5])], ids=str
)
def test_a_clip_is_asked_as_much_at_a_time_as_there_is_room_for(
    batch_size: int, times: list[int], clips: list[Path]
) -> None:
    questions = ("What?", "Who?", "Where?", "When?", "Why?")
    engine = Engine()
    outcomes = list(pipeline(engine, batch_size=batch_size).run([job(clips[0], questions)]))
    assert [outcome.record.question for outcome in outcomes] == list(questions)
    assert [outcome.is_last for outcome in outcomes] == [False] * 4 + [True]
    assert engine.batches == [["0.mp4"]] and engine.rounds == times


def test_clips_share_a_batch_whatever_is_asked_of_them(clips: list[Path]) -> None:
    """And each is asked its own questions, however many they are."""
    asked = [(None,), ("What?",), ("Who?", "Where?", "When?"), ("What?", "Who?")]
    jobs = [job(clip, asked[number % 4]) for number, clip in enumerate(clips)]
    decoded = threading.Semaphore(0)

    def look(each: Job, decoder: Decoder) -> DecodedClip:
        made = LOOK(each, decoder)
        decoded.release()
        return made

    def wait_for_all() -> None:
        if len(engine.batches) == 1:
            assert all(decoded.acquire(timeout=PATIENCE_S) for _ in clips)

    engine = Engine(encoding=wait_for_all)
    outcomes = list(pipeline(engine, batch_size=CLIPS, look=look).run(jobs))
    assert texts(outcomes) == sorted(
        (each.work.clip.path.name, f"{q} {each.work.clip.path.name}") for each in jobs for q in each.questions
    )
    for each in jobs:
        told = [outcome for outcome in outcomes if outcome.job is each]
        assert [outcome.is_last for outcome in told] == [False] * (len(each.questions) - 1) + [True]
    assert any(len({int(name[0]) % 4 for name in batch}) > 1 for batch in engine.batches)


def test_decoders_are_ahead_of_a_busy_model(clips: list[Path]) -> None:
    """While the first batch is in the model the whole next one is decoded, and little more than that."""
    decoded = threading.Semaphore(0)
    batch_size, workers = 2, 2

    def look(each: Job, decoder: Decoder) -> DecodedClip:
        made = LOOK(each, decoder)
        decoded.release()
        return made

    def wait_for_decoders() -> None:
        if len(engine.batches) == 1:
            # What was decoded last may not be there to be taken yet, one clip for each worker.
            for _ in range(len(engine.batches[0]) + batch_size + workers):
                assert decoded.acquire(timeout=PATIENCE_S)
            assert not decoded.acquire(timeout=0.05)

    engine = Engine(encoding=wait_for_decoders)
    outcomes = list(pipeline(engine, batch_size=batch_size, workers=workers, look=look).run(map(job, clips)))
    assert len(outcomes) == CLIPS
    assert len(engine.batches[1]) == batch_size


@pytest.mark.parametrize("fit", [1, 2, 3])
def test_a_batch_that_does_not_fit_is_halved(clips: list[Path], fit: int) -> None:
    engine = Engine(fit=fit)
    run = pipeline(engine, batch_size=8)
    ready = threading.Semaphore(0)
    engine.encoding = lambda: ready.acquire(timeout=0.01)
    outcomes = list(run.run(map(job, clips)))
    assert texts(outcomes) == [(clip.name, f"None {clip.name}") for clip in clips]
    assert max(map(len, engine.batches)) <= fit and run.batch_size >= 1


def test_one_clip_that_does_not_fit_fails_with_a_hint(clips: list[Path]) -> None:
    outcomes = list(pipeline(Engine(fit=0)).run(map(job, clips)))
    assert texts(outcomes) == [(clip.name, "") for clip in clips]
    for outcome in outcomes:
        assert outcome.record.error is not None
        assert (outcome.record.error.code, outcome.record.error.hint) == ("device", "use fewer")


def test_answers_given_before_the_memory_was_full_are_kept(clips: list[Path]) -> None:
    engine, questions = Engine(fit_answers=1), ("What?", "Who?", "Where?", "When?", "Why?")
    outcomes = list(pipeline(engine, batch_size=2).run(job(clip, questions) for clip in clips))
    assert texts(outcomes) == sorted((clip.name, f"{q} {clip.name}") for clip in clips for q in questions)
    assert len(engine.asked) == len(set(engine.asked))


def test_a_question_that_cannot_be_asked_costs_no_other(clips: list[Path]) -> None:
    engine = Engine(refuses={"What?": UsageError("too long", "shorten it")})
    outcomes = list(pipeline(engine).run([job(clips[0], ("What?", "Who?")), job(clips[1])]))
    assert texts(outcomes) == [("0.mp4", ""), ("0.mp4", "Who? 0.mp4"), ("1.mp4", "None 1.mp4")]
    assert [outcome.has_failed for outcome in outcomes if outcome.clip == clips[0]] == [True, True]


def test_a_clip_that_is_removed_meanwhile_is_an_error(clips: list[Path], tmp_path: Path) -> None:
    doomed = tmp_path / "doomed.mp4"
    doomed.write_bytes(clips[0].read_bytes())

    def jobs() -> Iterator[Job]:
        made = job(doomed)
        doomed.unlink()
        yield made
        yield job(clips[1])

    outcomes = list(pipeline(Engine()).run(jobs()))
    assert texts(outcomes) == [("1.mp4", "None 1.mp4"), ("doomed.mp4", "")]
    (failed,) = [outcome.record for outcome in outcomes if outcome.has_failed]
    assert failed.error is not None and "no such file" in failed.error.message and failed.file is not None


def test_a_killed_decoder_costs_one_clip(clips: list[Path]) -> None:
    fatal = replace(LOOK, preprocess=SimpleNamespace(clip_pictures=killing(signal.SIGKILL)))

    def look(each: Job, decoder: Decoder) -> DecodedClip:
        return (fatal if each.work.clip.path == clips[2] else LOOK)(each, decoder)

    outcomes = list(pipeline(Engine(), look=look).run(map(job, clips)))
    assert len(outcomes) == CLIPS
    (failed,) = [outcome for outcome in outcomes if outcome.has_failed]
    assert failed.clip == clips[2] and failed.record.error is not None
    assert "crashed (killed by SIGKILL)" in failed.record.error.message


def test_stopping_finishes_what_is_under_way(clips: list[Path]) -> None:
    engine = Engine()
    run = pipeline(engine, batch_size=2)
    outcomes: list[Outcome] = []
    for outcome in run.run(map(job, clips)):
        outcomes.append(outcome)
        run.stop()
    assert len(outcomes) == len(engine.batches[0]) and len(engine.batches) == 1


def test_it_can_be_stopped_while_the_next_clip_is_awaited(clips: list[Path]) -> None:
    for_ever = threading.Event()

    def jobs() -> Iterator[Job]:
        yield job(clips[0])
        for_ever.wait()

    run = pipeline(Engine())
    outcomes = []
    for outcome in run.run(jobs()):
        outcomes.append(outcome)
        threading.Timer(0.1, run.stop).start()
    for_ever.set()
    assert len(outcomes) == 1


def test_what_ends_the_jobs_ends_the_run(clips: list[Path]) -> None:
    def jobs() -> Iterator[Job]:
        yield job(clips[0])
        raise UsageError("the list holds a NUL byte", "name a text file")

    with pytest.raises(UsageError, match="NUL"):
        list(pipeline(Engine()).run(jobs()))


def test_a_bug_is_no_bad_clip(clips: list[Path]) -> None:
    def look(each: Job, decoder: Decoder) -> DecodedClip:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(pipeline(Engine(), look=look).run(map(job, clips)))


def test_seconds_of_a_record_are_its_share_of_the_model(clips: list[Path]) -> None:
    outcomes = list(pipeline(Engine()).run(map(job, clips)))
    for outcome in outcomes:
        assert outcome.record.elapsed_s.keys() == {"decode", "encode", "first_token", "generate", "model"}
    error = ClipError("x", "y")
    (failed,) = pipeline(Engine(refuses={None: error})).run([job(clips[0])])
    assert failed.record.elapsed_s.keys() == {"decode"}
