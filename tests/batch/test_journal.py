"""The journal: what survives a kill, what is refused, and what counts as done."""

import dataclasses
import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pllava_cli import records
from pllava_cli.batch.journal import Journal, StdoutJournal
from pllava_cli.errors import ExitStatus, UsageError
from pllava_cli.recordkey import Key, subject_read
from pllava_cli.terminal import OutputClosedError
from tests.batch.made import DECODING, MODEL, failed, line, record
from tests.disks import read_only_folder
from tests.locking import before_locking
from tests.processes import PATIENCE_S

ROOT = Path(__file__).parents[2]
OTHER_SETTINGS = {"model": dataclasses.replace(MODEL, quantize="4bit")}


def refusal(path: Path) -> UsageError:
    """Open a file that is no journal, and return why not; the file must be as it was."""
    before = path.read_bytes() if os.path.isfile(path) else None  # noqa: PTH113 (takes any name)
    with pytest.raises(UsageError) as caught:
        Journal.open(path)
    assert before is None or path.read_bytes() == before
    error = caught.value
    assert error.status == ExitStatus.USAGE and error.hint
    assert "\n" not in error.message + error.hint and path.name in error.message
    return error


def writer(file: Path, count: int, **options: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.batch.journal_writer", str(file), str(count)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, **options)


def test_records_come_back(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    odd = record(1, path=os.fsdecode(b"\xff \n\x7f.mp4"), text="two\nlines \u2028 🙂")
    with Journal.open(file) as journal:
        assert journal.counts == dataclasses.replace(journal.counts, done=0, failed=0)
        for made in (record(0), odd, failed(2)):
            assert journal.state(Key.of(made)) is None
            journal.append(made)
        assert [journal.state(Key.of(record(n))) for n in (0, 2, 3)] == ["done", "failed", None]
    found = [json.loads(each) for each in file.read_bytes().split(b"\n")[:-1]]
    assert [each["status"] for each in found] == ["ok", "ok", "error"]
    assert found[1]["text"] == odd.text and os.fsencode(found[1]["path"]) == b"\xff \n\x7f.mp4"
    with Journal.open(file) as journal:
        assert (journal.counts.done, journal.counts.failed, journal.cut_bytes) == (2, 1, 0)
        assert journal.state(Key.of(odd)) == "done"


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, "done"),
        ({"text": "something else", "elapsed_s": {"decode": 1.0}}, "done"),
        ({"decoding": dataclasses.replace(DECODING, stopped=None, new_tokens=None)}, "done"),
        (OTHER_SETTINGS, "stale"),
        ({"system": "Be brief."}, "stale"),
        ({"question": "Describe it in one word."}, "stale"),
        ({"task": "ask"}, None),
        ({"path": "clips/clip1.mp4"}, None),
        ({"segment": records.Segment(1, 5.0, 10.0)}, None),
        ({"file": records.File(999, 1234567890.123)}, "changed"),
        ({"file": records.File(1000, 1234567890.124)}, "changed"),
        ({"file": records.File(999, 1234567890.123)} | OTHER_SETTINGS, "changed"),
        ({"file": None}, "done"),
        ({"file": None} | OTHER_SETTINGS, "stale"),
    ],
)
@pytest.mark.parametrize("is_reopened", [True, False])
def test_state(changes: dict[str, Any], state: str | None, is_reopened: bool, tmp_path: Path) -> None:
    with Journal.open(tmp_path / "a.jsonl") as journal:
        journal.append(record(0))
        if not is_reopened:
            assert journal.state(Key.of(record(0, **changes))) == state
    if is_reopened:
        with Journal.open(tmp_path / "a.jsonl") as journal:
            assert journal.state(Key.of(record(0, **changes))) == state


def test_each_question_is_a_subject_of_its_own(tmp_path: Path) -> None:
    with Journal.open(tmp_path / "a.jsonl") as journal:
        journal.append(record(0, task="ask", question="Who?"))
        assert journal.state(Key.of(record(0, task="ask", question="Who?"))) == "done"
        assert journal.state(Key.of(record(0, task="ask", question="Where?"))) is None
        assert journal.state(Key.of(record(0, task="ask", question="Who?", **OTHER_SETTINGS))) == "stale"


def test_the_newest_record_counts(tmp_path: Path) -> None:
    history = [failed(0), record(0), record(0, **OTHER_SETTINGS), failed(1), record(2), failed(2)]
    states = []
    with Journal.open(tmp_path / "a.jsonl") as journal:
        for made in history:
            journal.append(made)
            states.append(journal.state(Key.of(record(0))))
        assert (journal.counts.done, journal.counts.failed) == (1, 2)
    assert states == ["failed", "done", "stale", "stale", "stale", "stale"]
    with Journal.open(tmp_path / "a.jsonl") as journal:
        assert (journal.counts.done, journal.counts.failed) == (1, 2)
        assert [journal.state(Key.of(record(n))) for n in range(3)] == ["stale", "failed", "failed"]


def test_records_of_one_subject() -> None:
    made = [failed(0), record(1), record(0), record(1, **OTHER_SETTINGS), record(0, task="ask")]
    found = [json.loads(line(each)) for each in made]
    kept = list({subject_read(each): each for each in found}.values())  # the newest of each
    assert [(each["path"], each["status"], each["task"]) for each in kept] == [
        ("clips/clip0.mp4", "ok", "caption"),
        ("clips/clip1.mp4", "ok", "caption"),
        ("clips/clip0.mp4", "ok", "ask"),
    ]
    assert kept[1]["model"]["quantize"] == "4bit"


def test_numbers_that_another_tool_has_rewritten_are_the_same(tmp_path: Path) -> None:
    made = record(0, file=records.File(5, 100.0), segment=records.Segment(0, 1.0, 2.0))
    rewritten = line(made).replace(b'"mtime_s":100.0', b'"mtime_s":100').replace(b"1.0,", b"1,")
    assert rewritten != line(made)
    (tmp_path / "a.jsonl").write_bytes(rewritten)
    with Journal.open(tmp_path / "a.jsonl") as journal:
        assert journal.state(Key.of(made)) == "done"


def test_torn_at_every_byte_of_the_last_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.fsync", lambda _: None)  # thousands of them: slow, and no power is cut here
    whole = [line(record(0)), line(record(1, text="🙂 é"))]
    for first in (whole[0], b""):
        for kept in range(len(whole[1])):
            file = tmp_path / f"{len(first)}-{kept}.jsonl"
            file.write_bytes(first + whole[1][:kept])
            with Journal.open(file) as journal:
                is_whole = kept == len(whole[1]) - 1  # only its end is missing
                assert journal.state(Key.of(record(1))) == ("done" if is_whole else None)
                assert journal.counts.done == bool(first) + is_whole
                assert journal.cut_bytes == (0 if is_whole else kept)
                journal.append(record(2))
            expected = first + (whole[1] if is_whole else b"")
            assert file.read_bytes().startswith(expected)
            assert json.loads(file.read_bytes()[len(expected) :])["id"] == "clip2-1"


@pytest.mark.parametrize("tail", [b"\0" * 4096, line(record(1))[:300] + b"\0" * 200], ids=["zeros", "both"])
def test_what_a_power_cut_leaves_is_cut_away(tmp_path: Path, tail: bytes) -> None:
    file = tmp_path / "a.jsonl"
    file.write_bytes(line(record(0)) + tail)
    with Journal.open(file) as journal:
        assert (journal.counts.done, journal.cut_bytes) == (1, len(tail))
    assert file.stat().st_size == len(line(record(0)))


def test_blank_lines_a_mark_and_other_line_ends_are_no_harm(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    content = b"\xef\xbb\xbf" + line(record(0)).replace(b"\n", b"\r\n") + b"\n  \n" + line(record(1)) + b"\n"
    file.write_bytes(content)
    with Journal.open(file) as journal:
        assert journal.counts.done == 2
    assert file.read_bytes() == content


def change(**fields: Any) -> bytes:
    return (json.dumps(json.loads(line(record(0))) | fields) + "\n").encode()


@pytest.mark.parametrize(
    "content",
    {
        "other json": b'{"id": 1}\n',
        "json without an end": b'{"id": 1}',
        "a list": b"[1, 2]\n",
        "a number": b"17",
        "text": b"hello\n",
        "a torn line of something else": line(record(0)) + b'{"path": "a.mp',
        "video": b"\0\0\0\x20ftypisom\0\0\2\0" + bytes(range(256)) * 40,
        "binary without line ends": bytes(range(11, 256)) * 400,
        "UTF-16": line(record(0)).decode().encode("utf-16"),
        "not UTF-8": line(record(0)).replace(b"Bird", b"B\xffrd"),
        "deep": b"[" * 100_000 + b"\n",
        "a long number": b'{"schema":"pllava.record/1","x":' + b"9" * 10_000 + b"}\n",
        "not a number": line(record(0)).replace(b'"alpha":4.0', b'"alpha":NaN'),
        "a newer schema": line(record(0)).replace(b"record/1", b"record/2"),
        "a broken line within": line(record(0))[:100] + b"\n" + line(record(1)),
        "zeros within": line(record(0)) + b"\0" * 100 + b"\n" + line(record(1)),
        "a line too long": line(record(0)) + b'{"a":"' + b"x" * (1 << 24) + b'"}\n',
        "lacks a path": change().replace(b'"path"', b'"Path"'),
        "path is a number": change(path=1),
        "file is a text": change(file="a"),
        "segment is null": change(segment=None),
        "segment is infinite": change().replace(b'"index": 0', b'"index": 1e999'),
        "status is odd": change(status="good"),
    }.items(),
    ids=lambda each: each[0],
)
def test_what_holds_anything_else_is_refused_and_left_alone(
    tmp_path: Path, content: tuple[str, bytes]
) -> None:
    file = tmp_path / "a.jsonl"
    file.write_bytes(content[1])
    refusal(file)


def test_refusal_names_the_line(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(line(record(0)) + b"\n{}\n")
    assert "line 3 is not a record" in refusal(tmp_path / "a.jsonl").message
    (tmp_path / "clip.mp4").write_bytes(b"\0\0\0\x20ftypisom")
    assert "holds something else than records" in refusal(tmp_path / "clip.mp4").message


def test_places_where_no_journal_can_be(tmp_path: Path) -> None:
    (tmp_path / "folder.jsonl").mkdir()
    assert "is a directory" in refusal(tmp_path / "folder.jsonl").message
    (tmp_path / "loop.jsonl").symlink_to("loop.jsonl")
    refusal(tmp_path / "loop.jsonl")
    (tmp_path / "nowhere.jsonl").symlink_to("gone/a.jsonl")
    assert "link to nowhere" in refusal(tmp_path / "nowhere.jsonl").message
    os.mkfifo(tmp_path / "pipe.jsonl")
    assert "not a regular file" in refusal(tmp_path / "pipe.jsonl").message
    (tmp_path / "file").touch()
    refusal(tmp_path / "file" / "a.jsonl")
    refusal(tmp_path / ("x" * 300))
    refusal(tmp_path / "nul\0.jsonl")
    with pytest.raises(UsageError, match=r"there is no folder .*gone"):
        Journal.open(tmp_path / "gone" / "a.jsonl")


@pytest.fixture
def ordinary() -> Iterator[Path]:
    """A folder that an ordinary user can enter and not write to, and such a user."""
    with read_only_folder("a.jsonl", line(record(0))) as folder:
        yield folder


@pytest.mark.parametrize("name", ["a.jsonl", "new.jsonl"])
def test_read_only_files_and_folders(ordinary: Path, name: str) -> None:
    error = refusal(ordinary / name)
    assert "permission denied" in error.message


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "link.jsonl").symlink_to("real.jsonl")
    with Journal.open(tmp_path / "link.jsonl") as journal:
        journal.append(record(0))
        assert "another run is writing" in refusal(tmp_path / "real.jsonl").message
    assert (tmp_path / "link.jsonl").is_symlink() and (tmp_path / "real.jsonl").stat().st_size > 0


def test_one_run_at_a_time(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    with Journal.open(file) as journal:
        assert "another run is writing to" in refusal(file).message
        with writer(file, 1, stderr=subprocess.PIPE) as process:
            _, err = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 1 and "another run is writing to" in err
        journal.append(record(0))
    with Journal.open(file) as journal:
        assert journal.counts.done == 1


def test_a_file_that_another_run_has_just_replaced_is_not_added_to(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    with Journal.open(file) as journal:
        journal.append(record(0))
    with (
        before_locking(lambda: file.rename(tmp_path / "moved.jsonl") and file.write_text("theirs")),
        pytest.raises(UsageError, match="another run has just written"),
    ):
        Journal.open(file)
    assert file.read_text() == "theirs" and (tmp_path / "moved.jsonl").read_bytes().count(b"\n") == 1


def test_a_file_system_without_locks_is_used_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lacking(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("fcntl.flock", lacking)
    monkeypatch.setattr("os.fsync", lacking)
    with Journal.open(tmp_path / "a.jsonl") as journal:
        journal.append(record(0))
        assert journal.state(Key.of(record(0))) == "done"


@pytest.mark.parametrize("how", ["removed", "replaced"])
def test_a_file_that_goes_while_it_is_written_is_noticed(tmp_path: Path, how: str) -> None:
    file = tmp_path / "a.jsonl"
    with Journal.open(file) as journal:
        journal.append(record(0))
        file.rename(tmp_path / "moved.jsonl")
        if how == "replaced":
            file.write_text("somebody else's")
        with pytest.raises(UsageError, match="removed or replaced"):
            journal.append(record(1))
        assert journal.state(Key.of(record(1))) is None
    assert (tmp_path / "moved.jsonl").read_bytes().count(b"\n") == 1


def test_a_full_disk_leaves_whole_lines(tmp_path: Path) -> None:
    """A limit on the size of files makes a short write and then an error, as a full disk does."""
    file = tmp_path / "a.jsonl"
    room = 3 * len(line(record(0))) + 100

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))

    with writer(file, 50, stderr=subprocess.PIPE, preexec_fn=limited) as process:
        out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1 and err.count("\n") == 1
    assert "cannot write" in err and "free some space" in err
    kept = file.read_bytes()
    assert kept.endswith(b"\n") and len(kept) <= room
    assert [json.loads(each)["id"] for each in kept.splitlines()] == [
        f"clip{number}-1" for number in out.split()[1:]
    ]


def test_a_disk_that_fails_to_sync_keeps_the_record_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a.jsonl"
    with Journal.open(file) as journal:
        journal.append(record(0))
        before = file.read_bytes()

        def full(_: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("os.fsync", full)
        with pytest.raises(UsageError, match="no space left on device"):
            journal.append(record(1))
        monkeypatch.undo()
        assert file.read_bytes() == before and journal.state(Key.of(record(1))) is None
        journal.append(record(1))
    assert file.read_bytes().count(b"\n") == 2


def test_killed_at_random_moments_nothing_is_lost_or_twice(tmp_path: Path) -> None:
    file, count, safe = tmp_path / "a.jsonl", 4000, set[int]()
    for attempt in range(8):
        with writer(file, count) as process:
            assert process.stdout is not None and process.stdout.readline() == "open\n"
            told = process.stdout.readline() if attempt % 2 else ""  # and soon after it, or soon after that
            time.sleep(random.Random(attempt).uniform(0.0, 0.15))
            process.send_signal(signal.SIGKILL)
            told += process.stdout.read()
        # The last line of the pipe may itself be torn.
        safe.update(int(number) for number in told.rpartition("\n")[0].split())
        complete = file.read_bytes().rpartition(b"\n")[0]
        found = [json.loads(each) for each in complete.splitlines()]
        assert len({each["id"] for each in found}) == len(found)
        assert {f"clip{number}-1" for number in safe} <= {each["id"] for each in found}
    assert safe
    remaining = max(safe) + 20
    with writer(file, remaining) as process:
        process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
    names = [json.loads(each)["id"] for each in file.read_bytes().splitlines()]
    assert names == [f"clip{number}-1" for number in range(remaining)]


def test_a_stream_of_records_knows_nothing_of_before() -> None:
    said: list[str] = []
    with StdoutJournal(said.append) as journal:
        journal.append(record(0))
        journal.append(failed(1))
        assert journal.state(Key.of(record(0))) is None
        assert (journal.counts.done, journal.counts.failed) == (1, 1)
    assert [json.loads(each)["status"] for each in said] == ["ok", "error"]


def test_a_closed_stream_is_not_counted() -> None:
    def closed(_: str) -> None:
        raise OutputClosedError

    journal = StdoutJournal(closed)
    with pytest.raises(OutputClosedError):
        journal.append(record(0))
    assert journal.counts.done == 0
