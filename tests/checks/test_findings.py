"""A file of records, looked through."""

import dataclasses
import os
from pathlib import Path
from typing import Any

import pytest

from pllava_cli import records
from pllava_cli.checks.findings import Finding, Report, examine, flagged
from pllava_cli.errors import ExitStatus, UsageError
from pllava_cli.recordkey import Key
from tests.batch.made import DECODING, failed, line, record

SUBJECTS = ["man", "woman", "dog", "cat", "horse", "bird", "child", "boat", "car", "train", "river", "house"]


@pytest.fixture(autouse=True)
def clips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the clips that the records name."""
    (tmp_path / "clips").mkdir()
    for number in range(60):
        (tmp_path / "clips" / f"clip{number}.mp4").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def good(number: int, **changes: Any) -> records.Record:
    """A caption unlike those of all other numbers."""
    said = " ".join(f"{name}{number}" for name in SUBJECTS) + "."
    return record(number, **({"text": said} | changes))


def written(*lines: bytes | records.Record) -> Path:
    file = Path("a.jsonl")
    file.write_bytes(b"".join(each if isinstance(each, bytes) else line(each) for each in lines))
    return file


def found(report: Report) -> dict[int, tuple[str, ...]]:
    return {each.line: each.flags for each in report.findings}


def stopped(why: str) -> dict[str, Any]:
    return {"decoding": dataclasses.replace(DECODING, stopped=why)}


def test_good_records() -> None:
    report = examine(written(*(good(number) for number in range(40))))
    assert (report.records, report.superseded, report.findings) == (40, 0, [])
    assert set(report.counts.values()) == {0}


def test_each_flag() -> None:
    report = examine(
        written(
            good(0),
            failed(1),
            good(2, text=" \n"),
            good(3, text="It is very good. " * 8),
            good(4, **stopped("repetition")),
            good(5, **stopped("length")),
            good(6, text="The video shows a kite over a beach with some children below."),
            good(7, text="A small brown dog chases a ball across the lawn and comes back."),
            good(8, text="A small brown dog chases a ball across the lawn and comes back."),
            good(99),
            b"no record\n",
            line(good(9))[:200],
        )
    )
    assert found(report) == {
        2: ("error",),
        3: ("empty",),
        4: ("looping",),
        5: ("looping",),
        6: ("cut-off",),
        7: ("boilerplate",),
        8: ("near-duplicate",),
        9: ("near-duplicate",),
        10: ("missing-file",),
        11: ("torn",),
        12: ("torn",),
    }
    by_line = {each.line: each for each in report.findings}
    assert by_line[2] == Finding(2, "clip1-1", "clips/clip1.mp4", ("error",), "it cannot be decoded")
    assert (by_line[8].like, by_line[9].like) == (9, 8)
    assert (by_line[11].id, by_line[11].detail) == (None, "not JSON")
    assert by_line[12].detail == "broken off in the middle"
    assert report.counts["looping"] == 2 and report.counts["torn"] == 2 and report.records == 10


def test_several_flags_of_one_record() -> None:
    report = examine(written(good(99, text="The video shows " * 20, **stopped("length"))))
    assert found(report) == {1: ("looping", "cut-off", "boilerplate", "missing-file")}


def test_flags_that_do_not_matter() -> None:
    file = written(good(99, **stopped("length")), failed(1))
    assert found(examine(file, {"cut-off"})) == {1: ("missing-file",), 2: ("error",)}
    assert found(examine(file, {"cut-off", "missing-file"})) == {2: ("error",)}
    assert examine(file, {"cut-off"}).counts["cut-off"] == 0


def test_only_the_newest_record_counts() -> None:
    report = examine(written(failed(0), good(1), good(0), failed(1), good(0)))
    assert found(report) == {4: ("error",)}
    assert (report.records, report.superseded) == (2, 3)


def test_an_opening_that_many_clips_share() -> None:
    alike = [
        good(number, text=f"We can see a {name}{number} " + good(number).text)
        for number, name in zip(range(11), SUBJECTS, strict=False)
    ]
    others = [good(number) for number in range(11, 40)]
    assert found(examine(written(*alike, *others))) == dict.fromkeys(range(1, 12), ("boilerplate",))
    assert found(examine(written(*alike[:10], *others))) == {}, "ten are not enough"
    many = [good(number) for number in range(11, 60)]
    assert found(examine(written(*alike, *many))) == {}, "eleven of sixty are not a fifth"


def test_one_clip_may_say_the_same_in_each_segment() -> None:
    same = [good(0, segment=records.Segment(index, index, index + 1)) for index in range(30)]
    assert found(examine(written(*same))) == {}


def test_answers_may_be_alike() -> None:
    answers = [good(number, task="ask", text="Yes, there is one in the picture.") for number in range(30)]
    assert found(examine(written(*answers))) == {}


def test_subjects_to_do_again() -> None:
    file = written(good(0), failed(1), good(2, **stopped("length")), b"no record\n")
    assert flagged(file) == {Key.of(each).subject for each in (failed(1), good(2))}
    assert flagged(file, {"cut-off"}) == {Key.of(good(2)).subject}


def test_names_of_any_bytes() -> None:
    Path(os.fsdecode(b"\xff\n.mp4")).touch()
    report = examine(
        written(good(0, path=os.fsdecode(b"\xff\n.mp4")), good(1, path="a\0b"), good(2, path="\ud800"))
    )
    assert found(report) == {2: ("missing-file",), 3: ("missing-file",)}


def test_odd_values_within_records() -> None:
    odd = line(good(0)).replace(b'"decoding":{', b'"decoding":7,"x":{').replace(b'"text":"man', b'"text":["')
    report = examine(written(line(good(1)), odd[: odd.index(b'"text"')] + b'"text":[1]}\n', line(good(2))))
    assert found(report) == {2: ("torn",)}
    error = line(failed(0)).replace(b'"error":{', b'"error":7,"x":{')
    assert examine(written(error)).findings[0].flags == ("error",)
    assert found(examine(written(line(good(0)).replace(b'"decoding":{', b'"decoding":7,"x":{')))) == {}


def test_huge_lines_and_much_that_is_strange() -> None:
    report = examine(written(good(0), b'{"a":"' + b"x" * (1 << 24) + b'"}\n', b"{}\n" * 500, good(1)))
    assert len(report.findings) == 501 and report.findings[0].detail == "longer than 16 MiB"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n\n",
        b'{"id": 1}\n',
        b"\0\0\0\x20ftypisom" + bytes(range(256)) * 400,
        line(record(0)).decode().encode("utf-16"),
        b"x" * (1 << 25),
        b"[" * 100_000,
        line(record(0)).replace(b"record/1", b"record/2"),
    ],
    ids=["empty", "blank", "other json", "video", "UTF-16", "one line", "deep", "newer"],
)
def test_what_holds_no_records(content: bytes) -> None:
    with pytest.raises(UsageError, match=r"a.jsonl holds no records") as caught:
        examine(written(content))
    assert caught.value.status == ExitStatus.USAGE and caught.value.hint and "\n" not in caught.value.message


def test_what_cannot_be_read() -> None:
    for name in ("gone.jsonl", "clips", "nul\0", "loop"):
        if name == "loop":
            Path(name).symlink_to(name)
        with pytest.raises(UsageError):
            examine(Path(name))
    os.mkfifo("pipe")
    with pytest.raises(UsageError, match="not a regular file"):
        examine(Path("pipe"))


def test_the_file_is_not_changed() -> None:
    file = written(good(0), line(good(1))[:100])
    before = file.read_bytes()
    examine(file)
    assert file.read_bytes() == before
