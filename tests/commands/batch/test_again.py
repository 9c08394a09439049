"""A file of records that is there: what is done, what is made again, and what is left as it is."""

import json
import os
import re
from pathlib import Path

import pytest

from tests.commands.batch.conftest import CLIPS, latest, records
from tests.commands.results import Run


def test_what_is_done_is_not_done_again_and_what_failed_is(run: Run, clips: Path, made: Path) -> None:
    (clips / "late.mp4").touch()
    assert run("clips", "-o", "out.jsonl").status == 3
    before = Path("out.jsonl").read_bytes()
    (clips / "late.mp4").unlink()
    os.link(made / "clip7.mp4", clips / "late.mp4")
    dry = run("clips", "-o", "out.jsonl", "--dry-run", "--json")
    assert json.loads(dry.out) == json.loads(dry.out) | {"to_do": 1, "done": CLIPS, "stale": 0, "failed": 1}
    assert json.loads(dry.out)["estimate_s"] > 0
    result = run("clips", "-o", "out.jsonl", "--json")
    assert result.status == 0, result.err
    assert json.loads(result.out)["done"] == 1 and json.loads(result.out)["skipped"] == CLIPS
    after = Path("out.jsonl").read_bytes()
    assert after.startswith(before) and after.count(b"\n") == CLIPS + 2
    assert all(each["status"] == "ok" for each in latest(records(Path("out.jsonl"))))
    again = run("clips", "-o", "out.jsonl")
    assert again.status == 0 and "nothing is left to do" in again.err
    assert Path("out.jsonl").read_bytes() == after


@pytest.mark.parametrize(
    "change", [("--prompt", "Why?"), ("--system", "Be brief."), ("--frames", "2"), ("--keep-tokens", "0.5")]
)
def test_a_changed_setting_is_noticed(run: Run, clips: Path, change: tuple[str, str]) -> None:
    assert run("clips", "-o", "out.jsonl").status == 0
    before = Path("out.jsonl").read_bytes()
    result = run("clips", "-o", "out.jsonl", *change)
    assert result.status == 2 and f"{CLIPS} clips made with other settings" in result.err
    assert "--redo" in result.err and "loading" not in result.err
    assert Path("out.jsonl").read_bytes() == before
    assert "--redo would make them again" in run("clips", "-o", "out.jsonl", "--dry-run", *change).out
    assert run("clips", "-o", "out.jsonl", "--redo", *change).status == 0
    found = records(Path("out.jsonl"))
    assert len(found) == 2 * CLIPS
    assert {each["fingerprint"] for each in latest(found)} == {found[-1]["fingerprint"]}


def spoil(file: Path, *clips: str) -> None:
    """Empty the captions of clips."""
    found = records(file)
    for each in found:
        if Path(each["path"]).stem in clips:
            each["text"] = ""
    file.write_text("".join(json.dumps(each) + "\n" for each in found))


def test_what_is_flagged_is_made_again_and_the_rest_stays(run: Run, clips: Path) -> None:
    """With another prompt; the clip that is new is made as well."""
    (clips / "clip5.mp4").rename("later.mp4")
    assert run("clips", "-o", "out.jsonl").status == 0
    spoil(Path("out.jsonl"), "clip1", "clip3")
    Path("later.mp4").rename(clips / "clip5.mp4")
    before = Path("out.jsonl").read_bytes()
    words = ("clips", "-o", "out.jsonl", "--redo-flagged=empty,looping", "--prompt", "Why?")
    dry = run(*words, "--dry-run", "--json")
    expected = {"to_do": 3, "flagged": 2, "same": 0, "stale": CLIPS - 3, "done": 0}
    assert json.loads(dry.out) == json.loads(dry.out) | expected
    assert re.search(r"^  flagged +2$", run(*words, "--dry-run").out, re.MULTILINE)
    result = run(*words)
    assert result.status == 0, result.err
    assert "2 clips flagged: to be made again" in result.err
    assert f"{CLIPS - 3} clips made with other settings: kept" in result.err
    after = Path("out.jsonl").read_bytes()
    assert after.startswith(before) and after.count(b"\n") == CLIPS - 1 + 3
    made = {Path(each["path"]).stem: each["question"] for each in latest(records(Path("out.jsonl")))}
    assert {name for name, question in made.items() if question == "Why?"} == {"clip1", "clip3", "clip5"}
    again = run(*words)
    assert again.status == 0 and "0 clips flagged" in again.err and "nothing is left to do" in again.err


def test_what_would_come_out_the_same_is_not_made_again(
    run: Run, clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pllava_cli.commands import running

    assert run("clips", "-o", "out.jsonl").status == 0
    spoil(Path("out.jsonl"), "clip1")
    before = Path("out.jsonl").read_bytes()
    monkeypatch.setattr(running, "load_captioner", None)  # it is not even loaded
    result = run("clips", "-o", "out.jsonl", "--redo-flagged=empty")
    assert result.status == 0 and "1 clip flagged, but made with these very settings" in result.err
    assert "change --max-new-tokens" in result.err and "nothing is left to do" in result.err
    assert Path("out.jsonl").read_bytes() == before
    dry_run = run("clips", "-o", "out.jsonl", "--redo-flagged=empty", "--dry-run").out
    assert re.search(r"^  flagged +1  would come out the same again", dry_run, re.MULTILINE)
    for words in (("--redo-flagged",), ("--redo-flagged", "-q"), ("--redo-flagged=all",)):
        dry = json.loads(run("clips", "-o", "out.jsonl", *words, "--dry-run", "--json").out)
        assert dry["same"] == CLIPS, "cut off after four tokens, all of them"
