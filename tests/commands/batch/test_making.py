"""Folders, lists and manifests become records, those of `pllava caption`; a bad clip costs its own."""

import json
import os
import re
from pathlib import Path

import pytest

from pllava_cli import app
from pllava_cli.batch.sharding import Shard
from pllava_cli.inputs import clip_id
from tests.commands.batch.conftest import CLIPS, FEW, answers, records
from tests.commands.results import Run


def test_a_folder_becomes_records_on_stdout(run: Run, clips: Path) -> None:
    result = run("clips")
    assert result.status == 0, result.err
    assert [each["path"] for each in sorted(result.records, key=lambda each: str(each["path"]))] == [
        f"clips/clip{number}.mp4" for number in range(CLIPS)
    ]
    assert all(each["status"] == "ok" and each["decoding"]["new_tokens"] == 4 for each in result.records)
    assert f"{CLIPS} done, 0 failed" in result.err


def test_texts_are_those_of_caption(
    run: Run, clips: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And so are the fingerprints: the same settings make the same record, by whichever command."""
    result = run("clips", "--prompt", "What moves?", "--dtype", "fp32")
    names = [f"clips/clip{number}.mp4" for number in range(CLIPS)]
    words = [
        "caption",
        "--json",
        "--model",
        str(checkpoint),
        *FEW,
        "--prompt",
        "What moves?",
        "--dtype",
        "fp32",
    ]
    assert app.main([*words, *names]) == 0
    singly = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert answers(result.records) == answers(singly)
    assert {each["fingerprint"] for each in result.records} == {each["fingerprint"] for each in singly}


def test_bad_clips_cost_their_own_records(run: Run, clips: Path) -> None:
    (clips / "empty.mp4").touch()
    (clips / "cut.mp4").write_bytes((clips / "clip0.mp4").read_bytes()[:1000])
    os.link(clips / "clip1.mp4", os.fsencode(clips) + b"/two\nlines \xff.mp4")
    Path("list.txt").write_text("clips/clip1.mp4\ngone.mp4\n")
    result = run("clips", "--from-file", "list.txt", "-o", "out.jsonl")
    assert (result.status, result.out) == (3, ""), result.err
    found = records(Path("out.jsonl"))
    paths = [os.fsencode(each["path"]) for each in found]
    assert len(paths) == len(set(paths)) == CLIPS + 4 and b"clips/two\nlines \xff.mp4" in paths
    bad = {each["path"] for each in found if each["status"] == "error"}
    assert bad == {"clips/empty.mp4", "clips/cut.mp4", "gone.mp4"}
    assert "errors by cause:" in result.err and "is empty (0 bytes)" in result.err
    assert "to try the failed ones again: pllava batch" in result.err
    assert "Traceback" not in result.err


def test_all_bad_is_another_status(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.mp4").touch()
    assert run("a.mp4").status == 4


def test_questions_segments_and_manifests(run: Run, clips: Path) -> None:
    """A clip of 1.2 s in segments of 0.55 s: two, of which the second takes in the rest."""
    (clips / "own.jsonl").write_text(
        '{"path": "clip1.mp4", "start": 0.2, "end": 0.6, "question": "Is it red?", "id": "mine"}\n'
    )
    result = run("clips/clip0.mp4", "clips/own.jsonl", "--every", "0.55", "--ask", "What?", "--ask", "Who?")
    assert result.status == 0, result.err
    found = sorted((each["path"], each["segment"]["start_s"], each["question"]) for each in result.records)
    assert found == [
        *[
            ("clips/clip0.mp4", start_s, question)
            for start_s in (0.0, 0.55)
            for question in ("What?", "Who?")
        ],
        ("clips/clip1.mp4", 0.2, "Is it red?"),
    ]
    spans = [each["frames"]["timestamps_s"] for each in result.records if each["segment"]["start_s"] == 0.55]
    assert all(min(span) > 0.5 and max(span) > 0.8 for span in spans)


def test_shards_share_the_clips(run: Run, clips: Path) -> None:
    parts = [run("clips", "--dry-run", "--json", "--shard", f"{part}/3") for part in (1, 2, 3)]
    counts = [json.loads(part.out)["to_do"] if part.status == 0 else 0 for part in parts]
    ids = [clip_id(clip) for clip in clips.iterdir()]
    assert counts == [sum(Shard(part, 3).holds(each) for each in ids) for part in (1, 2, 3)]


def test_a_dry_run_names_what_cannot_be_used(run: Run, clips: Path) -> None:
    Path("list.txt").write_text("".join(f"gone{number}.mp4\n" for number in range(5)))
    words = ("clips", "--from-file", "list.txt", "--dry-run")
    few = run(*words)
    assert few.status == 0 and re.search(r"^  cannot be used +5$", few.out, re.MULTILINE)
    named = [f"warning: there is no file gone{number}.mp4" for number in range(5)]
    assert few.err.splitlines() == [*named[:3], "and 2 more that cannot be used; -v names all"]
    assert [line for line in run(*words, "-v").err.splitlines() if "gone" in line] == named
