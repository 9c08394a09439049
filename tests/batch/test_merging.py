"""Record files of several runs: which records stay, and what is refused."""

import dataclasses
import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from pllava_cli.batch.journal import Journal
from pllava_cli.batch.merging import Merging
from pllava_cli.errors import UsageError
from pllava_cli.recordkey import Key
from pllava_cli.records import File, Record, Segment
from tests.batch.made import DECODING, MODEL, failed, line, record

OTHER = {"model": dataclasses.replace(MODEL, quantize="4bit")}


def at(minute: int) -> str:
    return f"2026-01-01T00:{minute:02}:00.000+00:00"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(name: str, *made: Record | bytes) -> Path:
    Path(name).write_bytes(b"".join(each if isinstance(each, bytes) else line(each) for each in made))
    return Path(name)


def merged(*files: Path, **options: Any) -> tuple[list[dict[str, Any]], Merging]:
    merging = Merging(files, **options)
    merging.survey()
    lines = list(merging.chosen())
    assert all(each.endswith(b"\n") and each.count(b"\n") == 1 for each in lines)
    counts = merging.counts
    assert counts.read == counts.records + counts.superseded + counts.duplicates
    assert counts.records == len(lines)
    return [json.loads(each) for each in lines], merging


def texts(*files: Path, **options: Any) -> list[str | None]:
    return [each["text"] for each in merged(*files, **options)[0]]


def refused(*files: Path, **options: Any) -> UsageError:
    with pytest.raises(UsageError) as caught:
        Merging(files, **options).survey()
    assert caught.value.hint and "\n" not in caught.value.message + caught.value.hint
    return caught.value


def test_shards_become_one_file(folder: Path) -> None:
    """Records are copied byte for byte, in the order of the files."""
    odd = record(1, path="clips/\udcff \n\x7f.mp4", text="two\nlines \u2028 🙂")
    one, two = write("1.jsonl", record(0), odd), write("2.jsonl", failed(3), record(2))
    merging = Merging([one, two])
    merging.survey()
    assert b"".join(merging.chosen()) == one.read_bytes() + two.read_bytes()
    counts = merging.counts
    assert (counts.files, counts.read, counts.answers, counts.errors) == (2, 4, 3, 1)
    assert (counts.superseded, counts.duplicates, counts.torn, counts.settings) == (0, 0, 0, 1)


def test_a_merged_file_is_a_journal_of_all(folder: Path) -> None:
    made = [record(0), record(1, task="ask", question="Who?"), record(2, segment=Segment(1, 5.0, 10.0))]
    write("out.jsonl", *merged_lines(*(write(f"{number}.jsonl", each) for number, each in enumerate(made))))
    with Journal.open(Path("out.jsonl")) as journal:
        assert [journal.state(Key.of(each)) for each in made] == ["done"] * 3


def merged_lines(*files: Path) -> list[bytes]:
    merging = Merging(files)
    merging.survey()
    return list(merging.chosen())


@pytest.mark.parametrize("order", list(itertools.permutations("abc")))
def test_an_answer_goes_before_an_error_and_then_what_was_made_later(
    folder: Path, order: tuple[str, ...]
) -> None:
    write("a.jsonl", record(0, text="early", created=at(1)), failed(1, created=at(1)))
    write("b.jsonl", record(0, text="late", created=at(2)), record(1, text="good", created=at(2)))
    write("c.jsonl", failed(0, created=at(3)), failed(1, created=at(3)), failed(2, created=at(3)))
    found, merging = merged(*(Path(f"{name}.jsonl") for name in order))
    assert {each["text"] for each in found} == {"late", "good", None} and len(found) == 3
    assert (merging.counts.answers, merging.counts.errors, merging.counts.superseded) == (2, 1, 4)


def test_within_a_file_the_later_line_counts(folder: Path) -> None:
    """Whatever the clock said, as for all who read it; and whatever settings, as after --redo."""
    one = write("a.jsonl", record(0, text="first", created=at(9)), record(0, text="last", created=at(1)))
    assert texts(one) == ["last"]
    redone = write("b.jsonl", record(0, text="first"), record(0, text="redone", **OTHER), failed(0))
    assert texts(redone) == ["redone"]


def test_times_of_other_tools(folder: Path) -> None:
    """In other words, in other zones, without one (taken for UTC), or none at all: older than any."""
    rows = [
        ("none", None),
        ("naive", "2026-01-01T12:00:00"),
        ("zone", "2026-01-01T16:30:00+04:00"),
        ("zulu", "2026-01-01T13:00:00Z"),
    ]
    for (older, one), (newer, other) in itertools.combinations(rows, 2):
        for name, text, created in (("a", newer, other), ("b", older, one)):
            plain = record(0, text=text).as_dict() | {"created": created}
            Path(f"{name}.jsonl").write_text(json.dumps(plain) + "\n")
        assert texts(Path("a.jsonl"), Path("b.jsonl")) == [newer]


def test_of_equal_times_the_file_named_last_counts(folder: Path) -> None:
    one, two = (write(f"{text}.jsonl", record(0, text=text, created=at(1))) for text in ("a", "b"))
    assert texts(one, two) == ["b"] and texts(two, one) == ["a"]


def test_the_same_record_is_there_once(folder: Path) -> None:
    same = line(record(0))
    one = write("a.jsonl", same, record(1), same[:-1] + b"\r\n")
    two = write("b.jsonl", b"\xef\xbb\xbf" + line(record(2)), same[:-1])
    found, merging = merged(one, two, two)
    assert [each["id"] for each in found] == ["clip0-1", "clip1-1", "clip2-1"]
    assert (merging.counts.duplicates, merging.counts.superseded) == (4, 0)


def test_questions_segments_and_paths_are_kept_apart(folder: Path) -> None:
    made = [
        record(0),
        record(0, segment=Segment(0, 0.0, 5.0)),
        record(0, segment=Segment(1, 5.0, 9.0)),
        record(0, task="ask", question="Who?"),
        record(0, task="ask", question="Where?"),
        record(0, path="./clips/clip0.mp4"),
    ]
    found, merging = merged(*(write(f"{number}.jsonl", each) for number, each in enumerate(made)))
    assert len(found) == len(made) and merging.counts.settings == 1


@pytest.mark.parametrize(
    ("changes", "count"),
    [
        ({"system": "Be brief."}, 2),
        ({"question": "Describe it in one word."}, 2),
        (OTHER, 2),
        ({"decoding": dataclasses.replace(DECODING, max_new_tokens=9)}, 2),
        ({"decoding": dataclasses.replace(DECODING, seed=9, stopped="length", new_tokens=9)}, 1),
        ({"task": "ask", "question": "Who?"}, 1),
        ({"task": "ask", "question": "Who?"} | OTHER, 2),
    ],
)
def test_settings_are_counted(folder: Path, changes: dict[str, Any], count: int) -> None:
    one, two = write("a.jsonl", record(0)), write("b.jsonl", record(1, **changes))
    assert merged(one, two)[1].counts.settings == count


def test_answers_with_different_settings_are_refused(folder: Path) -> None:
    one = write("a.jsonl", record(0, text="old", created=at(1)), record(1, text="old", created=at(1)))
    two = write("b.jsonl", record(0, text="new", created=at(2), **OTHER), record(1, created=at(2), **OTHER))
    error = refused(one, two)
    assert error.message == (
        "clips/clip0.mp4 was answered with different settings in a.jsonl and b.jsonl, and 1 more"
    )
    assert "--newest" in error.hint
    assert texts(one, two, is_newest=True)[0] == "new" == texts(two, one, is_newest=True)[0]


def test_an_error_with_different_settings_is_no_reason_to_refuse(folder: Path) -> None:
    one, two = write("a.jsonl", record(0)), write("b.jsonl", failed(0, **OTHER), failed(1))
    assert len(merged(one, two)[0]) == 2


def test_one_path_for_two_clips_is_refused(folder: Path) -> None:
    """Runs in different folders; on another machine the ids differ, but hardly the size."""
    one = write("a.jsonl", record(0, file=File(1000, 1.0)))
    other = write("b.jsonl", record(0, id="clip0-2", file=File(2000, 2.0)))
    copied = write("c.jsonl", record(0, id="clip0-2", file=File(1000, 2.0)))
    changed = write("d.jsonl", record(0, file=File(3000, 2.0)))
    gone = write("e.jsonl", failed(0, id="clip0-2", file=None))
    error = refused(one, other, is_newest=True)
    assert "clips/clip0.mp4 is one clip in a.jsonl and another in b.jsonl (1000 and 2000" in error.message
    for two in (copied, changed, gone):
        assert len(merged(one, two)[0]) == 1


def test_a_last_line_that_a_kill_has_torn_is_left_out(folder: Path) -> None:
    whole = line(record(1))
    for kept in (1, 30, len(whole) // 2, len(whole) - 2):
        found, merging = merged(write("a.jsonl", record(0), whole[:kept]), write("b.jsonl", record(2)))
        assert [each["id"] for each in found] == ["clip0-1", "clip2-1"]
        assert merging.torn == [Path("a.jsonl")] and merging.counts.torn == 1
    assert len(merged(write("a.jsonl", record(0), whole[:-1]))[0]) == 2
    assert len(merged(write("a.jsonl", record(0), bytes(500)))[0]) == 1


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"{}\n", "not a record of pllava"),
        (b"no json\n", "not JSON"),
        (b"\xff\n", "not UTF-8"),
        (b'{"schema":"pllava.record/2"}\n', "which this version does not know"),
        (line(record(1))[:60] + b"\n", "not JSON"),
    ],
)
def test_a_line_that_is_no_record_is_named(folder: Path, raw: bytes, why: str) -> None:
    error = refused(write("a.jsonl", record(0)), write("b.jsonl", record(1), b"\n", raw, record(2)))
    assert error.message.startswith("b.jsonl, line 3 is ") and why in error.message


def test_files_without_records(folder: Path) -> None:
    assert merged(write("a.jsonl"), write("b.jsonl", b"\n\n"))[0] == []
    assert refused(Path("gone.jsonl")).message == "there is no file gone.jsonl"
    assert "is a directory" in refused(folder).message


def test_a_file_that_grows_meanwhile_is_taken_as_it_was(folder: Path) -> None:
    one = write("a.jsonl", record(0))
    merging = Merging([one])
    merging.survey()
    write("a.jsonl", one.read_bytes(), record(1))
    assert [json.loads(each)["id"] for each in merging.chosen()] == ["clip0-1"]
    write("a.jsonl", record(1))
    with pytest.raises(UsageError, match="has changed while it was read"):
        list(merging.chosen())
