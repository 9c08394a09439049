"""Decoders at work together: ahead of the taker, but not far, and never waited for longer than wanted."""

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from pllava_cli.errors import UsageError
from pllava_cli.video.pool import DecoderPool
from pllava_cli.video.reader import Decoder
from tests.clips import write_clip
from tests.processes import PATIENCE_S, running_children, until, until_ended

NEVER_S = 1e6


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("clips")
    return [write_clip(folder / f"{number}.mp4", seed=number) for number in range(4)]


def sample(clip: Path, decoder: Decoder) -> int:
    frames, _, _ = decoder.sample(clip, 2, timeout_s=NEVER_S)
    return len(frames)


def test_every_clip_is_done_once_and_errors_belong_to_their_clips(clips: list[Path], tmp_path: Path) -> None:
    gone = [tmp_path / f"gone-{number}.mp4" for number in range(20)]
    with DecoderPool(2, [*gone[:10], *clips, *gone[10:]], sample) as pool:
        found = list(pool)
    assert sorted(clip for clip, _ in found) == sorted([*clips, *gone])
    outcomes = dict(found)
    assert all(outcomes[clip] == 2 for clip in clips)
    assert all(isinstance(outcomes[clip], UsageError) for clip in gone)


def test_a_bug_is_not_taken_for_a_bad_clip(clips: list[Path]) -> None:
    def fail(clip: Path, decoder: Decoder) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), DecoderPool(2, clips, fail) as pool:
        list(pool)


def test_an_error_of_the_items_is_raised_where_outcomes_are_taken(clips: list[Path]) -> None:
    def items() -> Iterator[Path]:
        yield clips[0]
        raise UsageError("the list ends in something else", "")

    with pytest.raises(UsageError, match="something else"), DecoderPool(2, items(), sample) as pool:
        list(pool)


def test_it_works_ahead_of_the_taker_as_far_as_it_may() -> None:
    begun = threading.Semaphore(0)

    def note(number: int, decoder: Decoder) -> int:
        begun.release()
        return number

    with DecoderPool(2, range(100), note, ahead=6) as pool:
        for _ in range(6):
            assert begun.acquire(timeout=PATIENCE_S), "it waits to be asked"
        assert not begun.acquire(timeout=0.2), "it does not stop at its bound"
        taken = pool.take(4)
        assert 1 <= len(taken) <= 4
        for _ in taken:
            assert begun.acquire(timeout=PATIENCE_S)


def test_without_waiting_only_what_is_done_is_taken() -> None:
    go = threading.Event()

    def slow(number: int, decoder: Decoder) -> int:
        assert go.wait(PATIENCE_S)
        return number

    with DecoderPool(1, range(3), slow) as pool:
        assert pool.take(3, wait=False) == []
        go.set()
        assert [number for number, _ in pool] == [0, 1, 2]


def test_it_can_be_stopped_while_its_items_are_waited_for(clips: list[Path]) -> None:
    """As where a list comes through a pipe that nobody closes."""
    for_ever = threading.Event()

    def items() -> Iterator[Path]:
        yield clips[0]
        for_ever.wait()

    with DecoderPool(2, items(), sample) as pool:
        assert pool.take(5) == [(clips[0], 2)]
        threading.Timer(0.05, pool.stop).start()
        assert pool.take(5) == []
    for_ever.set()


def test_an_interruption_waits_for_no_clip_and_leaves_no_process(clips: list[Path]) -> None:
    """The decoders stand still, one before it is ready and one with a clip in hand."""
    stopped = threading.Semaphore(0)
    workers: list[psutil.Process] = []

    def hang(number: int, decoder: Decoder) -> None:
        if not workers:
            sample(clips[0], decoder)
        decoder.start()
        worker = psutil.Process(decoder.pid)
        workers.append(worker)
        worker.suspend()
        stopped.release()
        sample(clips[0], decoder)

    def interrupt() -> None:
        stopped.acquire()
        stopped.acquire()
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt), DecoderPool(2, range(40), hang) as pool:
        threading.Thread(target=interrupt, daemon=True).start()
        list(pool)
    assert len(workers) == 2
    until_ended(*workers)


def test_an_interrupt_between_two_starts_leaves_no_process(
    clips: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    start, before = threading.Thread.start, set(running_children())

    def has_begun() -> bool:
        return not before.issuperset(running_children())

    def interrupted(self: threading.Thread) -> None:
        of_pool = threading.current_thread() is threading.main_thread()  # else it is a decoder's own
        if of_pool and has_begun():
            raise KeyboardInterrupt
        start(self)
        if of_pool:
            until(has_begun)

    pool = DecoderPool(2, clips * 50, sample)
    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        pool.__enter__()
    assert not has_begun()
