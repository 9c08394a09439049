"""The folder of a run, killed between any two of the things that are done to it."""

import json
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from pllava_cli.errors import UsageError
from pllava_cli.training.output import write_whole
from pllava_cli.training.rundir import RunFolder
from tests.locking import before_locking, without_locks

FIRST, OTHER = {"rank": 4}, {"rank": 8}
WEIGHTS = "adapter_model.safetensors"
CHANGES = ("open", "os.mkdir", "os.remove", "os.rename", "os.rmdir")
"""Python's names of what changes a folder; each is told before it is done."""
SURVIVED, BROKEN = 0, 1
KILLED = 9


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill, other than a power cut, loses nothing that was written."""
    monkeypatch.setattr(os, "fsync", lambda number: None)


def killed_at(number: int, folder: Path, work: Callable[[], None]) -> int:
    """Do something in a process that ends, without a word, before its change of that number."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    count = 0

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal count
        # What removes a tree names its files by themselves, beside the number of their folder.
        by_number = event in ("os.remove", "os.rmdir") and arguments[1] != -1
        if event in CHANGES and (by_number or str(folder) in str(arguments[0])):
            count += 1
            if count == number:
                os._exit(KILLED)

    try:
        sys.addaudithook(watch)
        work()
        os._exit(SURVIVED)
    except BaseException:
        traceback.print_exc()
        os._exit(BROKEN)


@contextmanager
def begun(path: Path, recorded: dict[str, int], *, resume: bool = True) -> Iterator[RunFolder]:
    run = RunFolder(path)
    try:
        run.check()
        run.open(recorded, resume=resume)
        run.cache.mkdir(exist_ok=True)
        (run.cache / "pictures.u8").write_bytes(b"picture")
        run.record(recorded, resume=resume)
        yield run
    finally:
        run.release()


def save(run: RunFolder, step: int) -> None:
    folder = run.checkpoints / f"checkpoint-{step}"
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("optimizer.pt", "trainer_state.json"):
        (folder / name).write_text(f"{run.path} {step}")
    run.seal(step, keep=1)


def write_output(run: RunFolder) -> None:
    write_whole(run.path / "config.json", "{}")
    (run.path / "tokenizer.json").write_text("{}")
    write_whole(run.path / WEIGHTS, "weights")


def whole_run(path: Path, recorded: dict[str, int], *, resume: bool = True) -> None:
    """All of a run of three checkpoints, as a start does it: from the last of them that is whole."""
    with begun(path, recorded, resume=resume) as run:
        last = run.last_checkpoint()
        done = int(last.name.partition("-")[2]) if last else 0
        assert last is None or (last / "optimizer.pt").read_text() == f"{path} {done}"
        for step in range(done + 1, 4):
            save(run, step)
        write_output(run)
        run.finish({"steps": 3})


def state(path: Path) -> dict[str, object]:
    return dict(json.loads((path / "run.json").read_text()))


def finish_or_be_told(path: Path, recorded: dict[str, int]) -> None:
    """Give the same command again, and see that it ends as if nothing had happened."""
    try:
        whole_run(path, recorded)
    except UsageError as error:
        assert "is finished" in error.message
    assert state(path)["finished"] and state(path)["settings"] == recorded
    assert (path / WEIGHTS).read_text() == "weights"
    assert not (path / "checkpoints").exists() and not (path / "cache").exists()


def test_a_run_killed_at_any_change_goes_on(tmp_path: Path) -> None:
    for number in range(1, 200):
        path = tmp_path / str(number)
        ended = killed_at(number, path, partial(whole_run, path, FIRST))
        if ended == SURVIVED:
            break
        assert ended == KILLED
        if path.exists() and (path / "run.json").exists() and state(path).get("finished"):
            assert (path / WEIGHTS).exists()
        finish_or_be_told(path, FIRST)
    assert number > 30, "that many changes were seen"


def unfinished(path: Path) -> None:
    """A run that ended when all but the last word was written."""
    with begun(path, FIRST) as run:
        save(run, 1)
        save(run, 2)
        (run.path / "log.jsonl").write_text("{}\n")
        write_output(run)


def begin_anew(path: Path) -> None:
    with begun(path, OTHER, resume=False):
        pass


def test_a_run_begun_anew_and_killed_is_never_mistaken(tmp_path: Path) -> None:
    """What the old settings have left is never taken for the new ones', nor for finished."""
    for number in range(1, 200):
        path = tmp_path / str(number)
        unfinished(path)
        ended = killed_at(number, path, partial(begin_anew, path))
        assert ended in (SURVIVED, KILLED)
        assert "finished" not in state(path)
        if state(path)["settings"] == OTHER:
            assert {each.name for each in path.iterdir()} - {"cache"} == {"lock", "run.json"}
            finish_or_be_told(path, OTHER)
        else:
            with pytest.raises(UsageError, match="rank was 4, is 8") as caught:
                whole_run(path, OTHER)
            assert "--no-resume" in caught.value.hint
            whole_run(path, OTHER, resume=False)
        if ended == SURVIVED:
            break
    assert number > 10, "that many changes were seen"


def test_what_is_not_sound_throws_nothing_away(tmp_path: Path) -> None:
    """With --no-resume the old run goes when the new one's data have been found sound, not before."""
    path = tmp_path / "out"
    unfinished(path)
    run = RunFolder(path)
    run.open(OTHER, resume=False)
    run.retract()
    assert state(path)["settings"] == FIRST
    with begun(path, FIRST) as again:
        assert again.last_checkpoint() == path / "checkpoints" / "checkpoint-2"


def test_what_a_finished_run_could_not_remove_goes_at_the_next_start(tmp_path: Path) -> None:
    path = tmp_path / "out"
    whole_run(path, FIRST)
    (path / "checkpoints" / "checkpoint-3").mkdir(parents=True)
    with pytest.raises(UsageError, match="is finished"):
        RunFolder(path).check()
    assert not (path / "checkpoints").exists()


def test_one_process_at_a_time(tmp_path: Path) -> None:
    with begun(tmp_path, FIRST):
        with pytest.raises(UsageError, match="another process trains in") as caught:
            RunFolder(tmp_path).open(FIRST, resume=True)
        assert caught.value.hint == "name another with -o"
    with begun(tmp_path, FIRST):
        pass


def test_a_lock_that_another_start_has_just_taken_away_keeps_nobody_out(tmp_path: Path) -> None:
    """One that has found its data unsound deletes the lock that it has made; the next must not hold that."""
    run = RunFolder(tmp_path)
    with (
        before_locking((tmp_path / "lock").unlink),
        pytest.raises(UsageError, match="has just left") as caught,
    ):
        run.open(FIRST, resume=True)
    run.release()
    assert caught.value.hint == "give the same command again"
    with begun(tmp_path, FIRST):
        pass


def test_a_file_system_without_locks_is_used_without(tmp_path: Path) -> None:
    with without_locks(), begun(tmp_path, FIRST) as run:
        save(run, 1)
    assert state(tmp_path)["settings"] == FIRST


def test_a_link_in_place_of_the_lock_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "lock").symlink_to(tmp_path / "mine")
    with pytest.raises(UsageError, match="cannot write to"), begun(tmp_path / "run", FIRST):
        pytest.fail("a link was followed")
    assert (tmp_path / "mine").read_text() == "precious"
