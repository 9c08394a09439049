"""What `pllava batch` makes of rows, windows, questions and shards that meet; the model is a stand-in."""

import json
import os
import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pllava_cli.batch.sharding import Shard
from pllava_cli.inputs import clip_id
from tests.commands.results import Result, Run
from tests.commands.standin import Stage


@pytest.fixture
def run(
    command: Run, stage: Stage, short_clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Run:
    """Run `pllava batch` in this process, beside two clips."""
    for clip in short_clips.iterdir():
        os.link(clip, tmp_path / clip.name)
    monkeypatch.chdir(tmp_path)
    return partial(command, "batch", "--model", "tiny")


def manifest(*rows: dict[str, Any]) -> str:
    Path("rows.jsonl").write_text("".join(json.dumps({"path": "clip0.mp4"} | row) + "\n" for row in rows))
    return "rows.jsonl"


def spans(result: Result) -> list[tuple[float | None, float | None]]:
    found = [json.loads(line)["segment"] for line in result.out.splitlines()]
    return sorted((each["start_s"], each["end_s"]) for each in found)


@pytest.mark.parametrize("whole_comes", [0, 1])
@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--start", "0.2", "--end", "0.6"], [(0, 0.5), (0.2, 0.6)]),
        (["--every", "0.8"], [(0, 0.5), (0, 0.8), (0.8, pytest.approx(1.2))]),
    ],
)
def test_a_row_without_a_span_is_cut_wherever_it_stands(
    run: Run, flags: list[str], expected: list[tuple[float, float]], whole_comes: int
) -> None:
    rows: list[dict[str, Any]] = [{"start": 0, "end": 0.5}]
    rows.insert(whole_comes, {})
    assert spans(run(manifest(*rows), *flags)) == expected


@pytest.mark.parametrize(
    ("flags", "expected"),
    [([], ["Describe it.", "Who?"]), (["--ask", "Where?", "--ask", "Who?"], ["Where?", "Who?"])],
)
def test_a_row_without_a_question_is_asked_what_the_command_line_asks(
    run: Run, flags: list[str], expected: list[str]
) -> None:
    """Another row of the same clip may have one of its own."""
    result = run(manifest({}, {"question": "Who?"}), *flags)
    assert sorted(json.loads(line)["question"] for line in result.out.splitlines()) == expected


def test_the_estimate_counts_the_questions_that_are_left(run: Run) -> None:
    rows = manifest({"question": "Who?"}, {"question": "Where?"}, {"question": "Why?"})
    assert run(rows, "-o", "out.jsonl").status == 0
    lines = Path("out.jsonl").read_text().splitlines()
    Path("out.jsonl").write_text(lines[0] + "\n")
    each_s = json.loads(lines[0])["elapsed_s"]["model"]
    foreseen = json.loads(run(rows, "-o", "out.jsonl", "--dry-run", "--json").out)
    assert (foreseen["to_do"], foreseen["records"]) == (1, 2)
    assert foreseen["estimate_s"] == pytest.approx(2 * each_s)


def test_records_are_no_manifest(run: Run, stage: Stage) -> None:
    """Else a caption's instruction would be asked as a question, and of the whole clip."""
    assert run("clip0.mp4", "--start", "0.2", "-o", "out.jsonl").status == 0
    made = len(stage.opened)
    refused = run("out.jsonl", "-o", "again.jsonl")
    assert refused.status == 2 and "out.jsonl, line 1 is a record" in refused.err
    assert len(stage.opened) == made and not Path("again.jsonl").exists()


def test_where_nothing_falls_to_a_shard_no_checkpoint_is_loaded(run: Run, stage: Stage) -> None:
    """The file is there all the same: whoever merges all shards names it."""
    empty = next(number for number in (1, 2) if not Shard(number, 2).holds(clip_id(Path("clip0.mp4"))))
    result = run("clip0.mp4", "--shard", f"{empty}/2", "-o", "out.jsonl")
    assert result.status == 0 and "nothing is left to do" in result.err
    assert stage.opened == [] and Path("out.jsonl").read_bytes() == b""


def test_a_shard_that_a_job_array_implies_is_told(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"ID": 1, "MIN": 0, "MAX": 1, "COUNT": 2, "STEP": 1}.items():
        monkeypatch.setenv(f"SLURM_ARRAY_TASK_{name}", str(value))
    assert "shard 2/2, as a task of Slurm's job array" in run("clip0.mp4", "clip1.mp4").err
    assert "job array" not in run("clip0.mp4", "--shard", "1/1").err


def test_clips_that_are_made_again_as_their_files_have_changed_are_told(run: Run) -> None:
    """All are, if they were copied without their times; and their sidecars keep what was said before."""
    words = ("clip0.mp4", "clip1.mp4", "-o", "out.jsonl", "--sidecar", ".txt")
    assert "changed since" not in run(*words).err
    os.utime("clip0.mp4", (0, 0))
    assert re.search(r"^  changed +1  ", run(*words, "--dry-run").out, re.MULTILINE)
    result = run(*words)
    assert "1 clip file changed since the records were made" in result.err
    assert "sidecars that are there keep their text" in result.err and "1 done, 1 done before" in result.err


def test_clips_of_other_paths_than_before_are_told(run: Run, tmp_path: Path) -> None:
    """Named by absolute paths, or from another folder, all of them would be made once more."""
    told = "out.jsonl holds none of these clips"
    assert told not in run("clip0.mp4", "-o", "out.jsonl").err
    assert told not in run("clip0.mp4", "clip1.mp4", "-o", "out.jsonl").err
    assert told in run(tmp_path / "clip0.mp4", "-o", "out.jsonl", "--dry-run").err
