"""`pllava check`: what it shows and how it ends."""

import json
import re
from pathlib import Path

import pytest

from pllava_cli.commands.check import MEANINGS, MOST_ROWS
from tests.batch.made import failed, line, record
from tests.commands.results import Result, Run


def write(*made: bytes) -> None:
    Path("r.jsonl").write_bytes(b"".join(made))


def caption(number: int, name: str, **changes: object) -> bytes:
    said = " ".join(f"word{number}-{place}" for place in range(12))
    return line(record(number, path=name, **({"text": said} | changes)))


def test_all_is_well(run: Run) -> None:
    write(caption(0, "a.mp4"), caption(1, "b.mp4"))
    assert run("check", "r.jsonl") == Result(0, "records: 2, flagged: 0\n", "")


def test_what_is_flagged_is_listed(run: Run) -> None:
    write(line(failed(0, path="a.mp4")), caption(1, "a.mp4"), caption(2, "c\n.mp4"), b"{}\n")
    write(Path("r.jsonl").read_bytes(), line(failed(3, path="b.mp4")))
    result = run("check", "r.jsonl")
    assert (result.status, result.err) == (3, "")
    head, *rows = [re.split("  +", each) for each in result.out.splitlines() if each]
    assert head == ["records: 3, flagged: 3, superseded: 1"]
    assert rows == [
        ["error", "1", MEANINGS["error"]],
        ["missing-file", "1", MEANINGS["missing-file"]],
        ["torn", "1", MEANINGS["torn"]],
        ["line", "flags", "clip"],
        ["3", "missing-file", "c\\n.mp4"],
        ["4", "torn", "not a record of pllava"],
        ["5", "error", "b.mp4", "it cannot be decoded"],
    ]


def test_json_has_all(run: Run) -> None:
    write(caption(0, "a.mp4"), *(line(failed(number, path=f"{number}.mp4")) for number in range(1, 200)))
    result = run("check", "--json", "r.jsonl")
    report = json.loads(result.out)
    assert result.status == 3 and result.out.count("\n") == 1
    assert report.keys() == {"file", "records", "superseded", "counts", "flagged"}
    assert report["counts"].keys() == MEANINGS.keys() and report["counts"]["error"] == 199
    assert report["flagged"][0] == {
        "line": 2,
        "id": "clip1-1",
        "path": "1.mp4",
        "flags": ["error", "missing-file"],
        "detail": "it cannot be decoded",
        "like": None,
    }
    listed = run("check", "r.jsonl")
    assert len(listed.out.splitlines()) == MOST_ROWS + 6
    assert listed.err == f"and {199 - MOST_ROWS} more: --json lists all\n"


def test_near_duplicates_name_each_other(run: Run) -> None:
    write(caption(0, "a.mp4"), caption(0, "b.mp4"))
    out = run("check", "r.jsonl").out
    assert "like line 2" in out and "like line 1" in out


def test_flags_can_be_ignored(run: Run) -> None:
    write(caption(0, "gone.mp4"), line(failed(1, path="b.mp4")))
    assert run("check", "--ignore", "missing-file, error", "r.jsonl").status == 0
    assert run("check", "--ignore", "error", "r.jsonl").status == 3


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["check", "gone.jsonl"], "there is no file gone.jsonl"),
        (["check", "."], "is a directory"),
        (["check", ""], "is empty"),
        (["check", "a.mp4"], "a.mp4 holds no records: line 1 is not JSON"),
        (["check", "--ignore", "lopping", "a.mp4"], "did you mean looping?"),
        (["check", "--ignore", "x", "a.mp4"], "choose among error, empty"),
    ],
)
def test_usage_errors(run: Run, words: list[str], said: str) -> None:
    result = run(*words)
    assert result.status == 2 and result.out == "" and said in result.err
    assert len(result.err.splitlines()) == 2


def test_every_flag_has_a_meaning() -> None:
    from pllava_cli.checks.findings import FLAGS

    assert tuple(MEANINGS) == FLAGS
