"""What is refused before anything is asked: words that cannot be meant, and folders of something else."""

import shutil
from pathlib import Path

import pytest

from tests.commands.results import Run
from tests.commands.standin import Stage


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["mvbench"], "MVBench's folder is not named"),
        (["mvbench", "--data", "nowhere"], "there is no folder"),
        (["mvbench", "--data", "clips"], "is not MVBench"),
        (["mvbench", "--data", "clips", "--tasks", ","], "--tasks names nothing"),
        (["mvbench", "--data", "clips", "--tasks", ""], "--tasks names nothing"),
        (["videoqa", "--set", "msvd", "--data", "x" * 300], "there is no folder"),
        (["mc", "gone.jsonl"], "there is no file"),
        (["mc", ""], "is empty"),
        (["mc", "clips/clip0.mp4"], "clip0.mp4"),
        (["mc", "questions.jsonl", "--scoring", "kind"], "--scoring: unknown 'kind'"),
        (["mc", "questions.jsonl", "--sample", "0"], "--sample 0 is not from 1"),
        (["mc", "questions.jsonl", "--sample", "few"], "--sample: expected a whole number"),
        (["mc", "questions.jsonl", "--sample-seed", "1"], "--sample-seed is for a sample"),
        (["mc", "questions.jsonl", "--sample", "1", "--sample-seed", "x"], "--sample-seed: expected"),
        (["mc", "questions.jsonl", "--keep-visual-gb", "much"], "--keep-visual-gb: expected a number"),
        (["mc", "questions.jsonl", "--keep-visual-gb", "0"], "--keep-visual-gb 0 is not from 0.1"),
        (["mc", "questions.jsonl", "--keep-visual-gb", "nan"], "--keep-visual-gb nan is not from 0.1"),
        (["mc", "questions.jsonl", "--keep-visual-gb", "5", "--no-keep-visual"], "for tokens that are kept"),
        (["mc", "questions.jsonl", "--alpha", "4,,8"], "--alpha: expected a number, found ''"),
        (["mc", "questions.jsonl", "--frames", "4,0"], "--frames: "),
        (["mc", "questions.jsonl", "--pooling-shape", "2x2"], "--pooling-shape: "),
        (["mc", "questions.jsonl", "--alpha", ",".join(map(str, range(300)))], "more than 256"),
        (["mc", "questions.jsonl", "--actors", "2"], "--actors is for a Ray cluster"),
        (["mc", "questions.jsonl", "--workers", "0"], "--workers 0 is not from 1"),
        (["mc", "questions.jsonl", "--model", "pllava-8b"], "there is no checkpoint 'pllava-8b'"),
        (["mc", "questions.jsonl", "-o", "questions.jsonl"], "is not a directory"),
        (["mc", "questions.jsonl", "-o", "clips"], "holds no evaluation"),
        (["mc", "questions.jsonl", "-o", ""], "the name of the folder for the result is empty"),
        (["mc", "questions.jsonl", "--system", "see <image>"], "holds <image>"),
        (["captions", "questions.jsonl"], "the folder of the clips is not named"),
        (["captions", "questions.jsonl", "--captions", "x.jsonl", "--dry-run"], "--dry-run means nothing"),
        (["captions", "questions.jsonl", "--captions", "x.jsonl", "--alpha", "4"], "--alpha means nothing"),
        (
            ["captions", "questions.jsonl", "--captions", "x.jsonl", "--no-keep-visual"],
            "no checkpoint is run",
        ),
        (
            ["judge", "nowhere", "--judge-url", "http://localhost:1/v1", "--judge-model", "m"],
            "holds no evaluation",
        ),
        (["judge", "out"], "no judge is named"),
        (["judge", "out", "--judge-url", "http://localhost:1/v1"], "the judge's model is not named"),
    ],
)
def test_what_cannot_be_meant_is_refused(run: Run, stage: Stage, words: list[str], said: str) -> None:
    before = sorted(Path().rglob("*"))
    refused = run(*words)
    assert refused.status in (2, 5) and refused.out == "" and said in refused.err, refused.err
    assert len(refused.err.splitlines()) <= 2 and stage.opened == []
    assert sorted(Path().rglob("*")) == before


def test_a_folder_of_another_evaluation_is_left_alone(run: Run, questions: Path) -> None:
    assert run("mc", "questions.jsonl", "-o", "out").status == 0
    shutil.copy(questions, "others.jsonl")
    refused = run("mc", "others.jsonl", "-o", "out")
    assert refused.status == 2 and "holds an evaluation of mc over" in refused.err
    Path("out/asked.json").write_text("{")
    refused = run("mc", "questions.jsonl", "-o", "out")
    assert refused.status == 2 and "asked.json" in refused.err
    Path("out/asked.json").write_text('{"schema": "pllava.eval-run/1", "asked": 7, "recording": null}')
    refused = run("mc", "questions.jsonl", "-o", "out")
    assert refused.status == 2 and "lacks fields" in refused.err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not JSON"),
        (b"{", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        ('{"schema": "é"}'.encode("utf-16"), "is not UTF-8"),
        (b"7", "was not written by this version"),
        (b'{"schema": "pllava.eval-run/2"}', "was not written by this version"),
        (b'{"schema": "pllava.eval-run/1"}', "lacks fields"),
    ],
    ids=range(7),
)
def test_a_broken_note_of_what_was_asked_is_no_benchmarks_file(
    run: Run, content: bytes, message: str
) -> None:
    """Nothing can be downloaded again; and no file of the folder is touched."""
    Path("out").mkdir()
    Path("out/asked.json").write_bytes(content)
    Path("out/answers.jsonl").write_bytes(b"")
    judge = ("judge", "out", "--judge-url", "http://localhost:1/v1", "--judge-model", "m")
    for words in (("mc", "questions.jsonl", "-o", "out"), judge):
        refused = run(*words)
        assert refused.status == 2 and message in refused.err and "asked.json" in refused.err
        assert "hint: put back what `pllava eval` wrote there" in refused.err
    assert Path("out/asked.json").read_bytes() == content


@pytest.mark.parametrize("name", ["answers.jsonl", "report.md"])
def test_what_is_in_the_way_is_in_a_folder_that_may_be_another(run: Run, name: str) -> None:
    assert run("mc", "questions.jsonl", "-o", "out").status == 0
    Path("out", name).unlink()
    Path("out", name).mkdir()
    refused = run("mc", "questions.jsonl", "-o", "out")
    assert refused.status == 2 and f"out/{name} is a directory" in refused.err
    assert "hint: name another folder with -o" in refused.err
