"""`pllava merge`: what it writes, what it says and what it refuses."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pllava_cli.batch.journal import Journal
from tests.batch.made import failed, line, record
from tests.commands.results import Result, Run
from tests.disks import room

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def shards(clips: Path) -> None:
    Path("1.jsonl").write_bytes(line(record(0)) + line(failed(1)))
    Path("2.jsonl").write_bytes(line(record(1)) + line(record(2)) + line(failed(3))[:40])


def ids(file: str) -> list[str]:
    return [json.loads(each)["id"] for each in Path(file).read_text().splitlines()]


ALL = ["clip0-1", "clip1-1", "clip2-1"]
TORN = "warning: the last line of 2.jsonl was torn by a kill, and is left out\n"


def test_into_a_file(run: Run) -> None:
    result = run("merge", "1.jsonl", "2.jsonl", "-o", "all.jsonl")
    said = "4 records of 2 files: 3 answers, 0 errors, 1 superseded\n"
    assert result == Result(0, "", TORN + said)
    assert ids("all.jsonl") == ALL


def test_one_of_each_is_told_as_one(run: Run) -> None:
    Path("one.jsonl").write_bytes(line(failed(1)))
    assert run("merge", "one.jsonl", "-o", "all.jsonl").err == "1 record of 1 file: 0 answers, 1 error\n"


def test_to_stdout(run: Run) -> None:
    for words in ((), ("-o", "-")):
        result = run("merge", "1.jsonl", "2.jsonl", *words)
        assert result.status == 0 and [each["id"] for each in result.records] == ALL


def test_as_json(run: Run) -> None:
    result = run("merge", "1.jsonl", "2.jsonl", "--json", "-o", "all.jsonl")
    assert (result.status, result.err) == (0, TORN) and json.loads(result.out) == {
        "records": 3,
        "files": 2,
        "read": 4,
        "answers": 3,
        "errors": 0,
        "superseded": 1,
        "duplicates": 0,
        "torn": 1,
        "settings": 1,
    }


@pytest.mark.parametrize("output", ["1.jsonl", "./1.jsonl", "link.jsonl"])
def test_the_output_may_be_among_the_inputs(run: Run, output: str) -> None:
    Path("link.jsonl").symlink_to("1.jsonl")
    for _ in range(2):
        assert run("merge", "1.jsonl", "2.jsonl", "-o", output).status == 0
        assert ids("1.jsonl") == ALL
    assert Path("link.jsonl").is_symlink()


def test_another_file_is_only_replaced_by_force(run: Run) -> None:
    Path("mine.jsonl").write_text("mine")
    result = run("merge", "1.jsonl", "2.jsonl", "-o", "mine.jsonl")
    assert result.status == 2 and "mine.jsonl is there already" in result.err and "--force" in result.err
    assert Path("mine.jsonl").read_text() == "mine"
    assert run("merge", "1.jsonl", "2.jsonl", "-o", "mine.jsonl", "--force").status == 0
    assert ids("mine.jsonl") == ALL


def test_a_journal_in_use_is_read_but_not_replaced(run: Run) -> None:
    with Journal.open(Path("1.jsonl")) as journal:
        for words in ((), ("--force",)):
            result = run("merge", "1.jsonl", "2.jsonl", "-o", "1.jsonl", *words)
            assert result.status == 2 and "another run is writing to 1.jsonl" in result.err
        assert run("merge", "1.jsonl", "2.jsonl", "-o", "all.jsonl").status == 0
        journal.append(record(4))


def test_different_settings_are_refused_and_nothing_is_written(run: Run) -> None:
    Path("3.jsonl").write_bytes(line(record(0, system="Be brief.", text="Bird.")))
    before = Path("1.jsonl").read_bytes()
    result = run("merge", "1.jsonl", "3.jsonl", "-o", "1.jsonl")
    assert result.status == 2 and "clips/clip0.mp4 was answered with different settings" in result.err
    assert Path("1.jsonl").read_bytes() == before and run("merge", "1.jsonl", "3.jsonl").out == ""
    result = run("merge", "1.jsonl", "2.jsonl", "3.jsonl", "-o", "1.jsonl", "--newest")
    assert result.status == 0 and "the answers were made with 2 different settings" in result.err
    assert ids("1.jsonl") == ["clip1-1", "clip2-1", "clip0-1"]
    assert not list(Path().glob(".*.partial"))


def test_a_full_disk_changes_nothing(run: Run) -> None:
    before = Path("1.jsonl").read_bytes()
    with room(500):
        result = run("merge", "1.jsonl", "2.jsonl", "-o", "1.jsonl")
    assert result.status == 2 and "cannot write 1.jsonl" in result.err and "free some space" in result.err
    assert Path("1.jsonl").read_bytes() == before
    assert not list(Path().glob(".*.partial"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["gone.jsonl"], "there is no file gone.jsonl"),
        ([""], "is empty"),
        (["a.mp4"], "a.mp4, line 1 is not JSON"),
        (["1.jsonl", "-o", ""], "is empty"),
        (["1.jsonl", "-o", "gone/all.jsonl"], "there is no folder gone"),
        (["1.jsonl", "-o", ".", "--force"], "is a directory"),
        (["1.jsonl", "-o", "/dev/null", "--force"], "is not a regular file"),
        (["1.jsonl", "--json"], "--json writes the summary to stdout"),
        (["1.jsonl", "--force"], "--force is for a file that is there"),
        ([], "Missing argument"),
    ],
)
def test_usage_errors(run: Run, words: list[str], said: str) -> None:
    result = run("merge", *words)
    assert result.status == 2 and result.out == "" and said in result.err
    assert len(result.err.splitlines()) == 2


def test_stdout_that_is_one_of_the_files_is_refused() -> None:
    with Path("1.jsonl").open("ab") as out:
        done = subprocess.run(
            [sys.executable, "-m", "pllava_cli", "merge", "1.jsonl", "2.jsonl"],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=out,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert done.returncode == 2 and b"standard output is 1.jsonl" in done.stderr
    assert len(ids("1.jsonl")) == 2
