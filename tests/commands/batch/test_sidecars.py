"""`--sidecar`: the text beside its clip, of records that are made and of records that are there."""

import json
import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest

from pllava_cli.batch.sidecar import Sidecars
from tests.commands.batch.conftest import CLIPS, records
from tests.commands.results import Run


def test_sidecars_are_written_as_it_goes(run: Run, clips: Path) -> None:
    (clips / "clip0.txt").write_text("mine")
    result = run("clips", "--sidecar", "txt", "--trigger", "mybird", "-o", "out.jsonl")
    assert result.status == 0, result.err
    assert (clips / "clip0.txt").read_text() == "mine"
    for each in records(Path("out.jsonl"))[1:]:
        text = Path(each["path"]).with_suffix(".txt").read_text()
        assert text in (f"mybird, {each['text'].strip()}\n", "mine")


def test_without_a_file_a_sidecar_that_is_kept_is_not_made(run: Run, clips: Path) -> None:
    (clips / "clip0.txt").write_text("mine")
    result = run("clips", "--sidecar", ".txt")
    assert len(result.records) == CLIPS - 1
    assert run("clips", "--sidecar", ".txt").records == []


def test_what_becomes_of_sidecars_of_clips_that_are_made_again_is_told(run: Run, clips: Path) -> None:
    """A dry run counts none where the run would be refused; the run says that old texts stay."""
    kept = "sidecars that are there keep their text"
    words = ("clips", "-o", "out.jsonl", "--sidecar", "txt")
    assert run("clips", "-o", "out.jsonl").status == 0
    changed = (*words, "--prompt", "Why?")
    assert json.loads(run(*changed, "--dry-run", "--json").out)["sidecars_from_records"] == 0
    assert run(*changed).status == 2 and not list(clips.glob("*.txt"))
    assert kept not in run(*words).err
    before = {file: file.read_text() for file in clips.glob("*.txt")}
    assert kept in run(*changed, "--redo").err
    assert {file: file.read_text() for file in clips.glob("*.txt")} == before and len(before) == CLIPS


def test_sidecars_of_records_of_before_need_no_model(
    run: Run, clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pllava_cli.commands import running

    words = ("clips", "--sidecar", ".txt", "--trigger", "mybird", "-o", "out.jsonl")
    assert run("clips", "-o", "out.jsonl").status == 0
    dry = json.loads(run(*words, "--dry-run", "--json").out)
    assert dry["sidecars_from_records"] == CLIPS and not list(clips.glob("*.txt"))
    assert re.search(rf"^sidecars +{CLIPS}  to write from", run(*words, "--dry-run").out, re.MULTILINE)
    with monkeypatch.context() as patch:
        patch.setattr(running, "load_captioner", None)
        result = run(*words)
        assert result.status == 0 and f"{CLIPS} sidecars written from records" in result.err
        assert "nothing is left to do" in result.err
        for each in records(Path("out.jsonl")):
            text = Path(each["path"]).with_suffix(".txt").read_text()
            assert text == f"mybird, {each['text'].strip()}\n"
        (clips / "clip0.txt").unlink()
        (clips / "clip1.txt").unlink()
        (clips / "clip1.txt").mkdir()
        (clips / "clip2.txt").write_text("by hand")
        result = run(*words, "--existing", "overwrite", "--json")
    assert result.status == 3
    assert json.loads(result.out) == json.loads(result.out) | {
        "done": 0,
        "skipped": CLIPS - 1,
        "failed": 1,
        "sidecars_from_records": 2,
    }
    assert [cause.partition(": ")[2] for cause in json.loads(result.out)["causes"]] == [
        "what is there is no regular file"
    ]


def test_sidecars_of_records_of_before_and_of_clips_that_are_new(run: Run, clips: Path, made: Path) -> None:
    assert run("clips", "-o", "out.jsonl").status == 0
    os.link(made / "clip7.mp4", clips / "late.mp4")
    result = run("clips", "--sidecar", ".txt", "-o", "out.jsonl")
    assert result.status == 0 and f"{CLIPS} sidecars written from records" in result.err
    assert f"1 done, {CLIPS} done before, 0 failed" in result.err
    assert len(list(clips.glob("*.txt"))) == CLIPS + 1


def test_ctrl_c_among_sidecars_of_before_leaves_whole_ones(
    run: Run, clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Sidecars.write

    def interrupted(sidecars: Sidecars, *words: Any) -> bool:
        os.kill(os.getpid(), signal.SIGINT)
        return write(sidecars, *words)

    words = ("clips", "--sidecar", ".txt", "-o", "out.jsonl")
    assert run("clips", "-o", "out.jsonl").status == 0
    with monkeypatch.context() as patch:
        patch.setattr(Sidecars, "write", interrupted)
        result = run(*words)
    assert result.status == 130 and "stopped; to go on: pllava batch" in result.err, result.err
    assert "1 sidecar written from records" in result.err and len(list(clips.glob("*.txt"))) == 1
    assert f"{CLIPS - 1} sidecars written from records" in run(*words).err
