"""`pllava batch` with a real checkpoint, real clips and real decoders: no part is replaced."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pllava_cli import app
from pllava_cli.batch.journal import Journal
from pllava_cli.batch.sharding import Shard
from pllava_cli.batch.sidecar import Sidecars
from pllava_cli.inputs import clip_id
from pllava_cli.recordkey import latest
from pllava_cli.video.reader import Decoder
from tests.checkpoints import write_plain
from tests.clips import write_clip, write_scenes
from tests.commands.conftest import Result

ROOT = Path(__file__).parents[2]
CLIPS = 6
PATIENCE_S = 120.0
FEW = ("--max-new-tokens", "4")
"""The checkpoint is random and would go on for ever."""


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory, one_thread: None) -> Path:
    return write_plain(tmp_path_factory.mktemp("checkpoints") / "plain")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips, to be linked to."""
    folder = tmp_path_factory.mktemp("made")
    for number in range(2 * CLIPS):
        write_clip(folder / f"clip{number}.mp4", seed=number)
    return folder


@pytest.fixture
def clips(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of clips, named from the working directory."""
    folder = tmp_path / "clips"
    folder.mkdir()
    for number in range(CLIPS):
        os.link(made / f"clip{number}.mp4", folder / f"clip{number}.mp4")
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], checkpoint: Path) -> Callable[..., Result]:
    """Run `pllava batch` in this process."""

    def run(*arguments: object) -> Result:
        words = ["batch", "--model", str(checkpoint), *FEW, *map(str, arguments)]
        status = app.main(words)
        captured = capsys.readouterr()
        return Result(status, captured.out, captured.err)

    return run


Run = Callable[..., Result]


def records(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def answers(found: list[dict[str, Any]]) -> list[tuple[str, int, str, str | None]]:
    """What was said, in one order."""
    return sorted(
        (each["path"], each["segment"]["index"], each["question"], each["text"] or "") for each in found
    )


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


@pytest.fixture
def scenes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of a clip of three shots, one of a single shot, and one that is none."""
    pytest.importorskip("scenedetect", reason="PySceneDetect (extra: shots) is not installed")
    folder = tmp_path / "films"
    folder.mkdir()
    write_scenes(folder / "film.mp4", [20, 30, 25])
    write_scenes(folder / "still.mp4", [20])
    (folder / "broken.mp4").write_bytes(b"\0" * 5000)
    monkeypatch.chdir(tmp_path)
    return folder


def test_shots_are_records_of_their_own(run: Run, scenes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dry = run("films", "-o", "out.jsonl", "--shots", "--dry-run", "--json")
    assert dry.out, dry.err
    assert json.loads(dry.out) == json.loads(dry.out) | {"to_do": 5, "done": 0, "faults": 1}
    assert not Path("out.jsonl").exists() and not Path("out.jsonl.shots").exists()
    assert run("films", "-o", "out.jsonl", "--shots").status == 3
    found = records(Path("out.jsonl"))
    spans = sorted(
        (each["path"], each["segment"]["index"], each["segment"]["start_s"], each["status"]) for each in found
    )
    assert spans == [
        ("films/broken.mp4", 0, None, "error"),
        ("films/film.mp4", 0, 0, "ok"),
        ("films/film.mp4", 1, 0.8, "ok"),
        ("films/film.mp4", 2, 2, "ok"),
        ("films/still.mp4", 0, 0, "ok"),
    ]
    for each in found:
        if each["status"] == "ok":
            start_s, end_s = each["segment"]["start_s"], each["segment"]["end_s"]
            assert all(start_s <= at < end_s for at in each["frames"]["timestamps_s"])

    cut: list[str] = []
    shots = Decoder.shots

    def noted(decoder: Decoder, path: Path, **options: float) -> list[tuple[float, float]]:
        cut.append(path.name)
        return shots(decoder, path, **options)

    monkeypatch.setattr(Decoder, "shots", noted)
    again = run("films", "-o", "out.jsonl", "--shots", "--json")
    assert again.out, again.err
    assert json.loads(again.out) == json.loads(again.out) | {"skipped": 4, "failed": 1, "done": 0}
    assert cut == ["broken.mp4"]
    write_scenes(scenes / "still.mp4", [20, 20])
    changed = run("films", "-o", "out.jsonl", "--shots", "--dry-run", "--json")
    assert changed.out, changed.err
    assert json.loads(changed.out)["to_do"] == 3 and sorted(cut[1:]) == ["broken.mp4", "still.mp4"]


def test_shots_without_the_extra_are_refused(run: Run, clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pllava_cli.commands import batch

    monkeypatch.setattr(batch, "find_spec", {"scenedetect": None}.__getitem__)
    result = run("clips", "-o", "out.jsonl", "--shots")
    assert result.status == 2 and not Path("out.jsonl").exists()
    assert result.err == (
        "error: --shots needs PySceneDetect, which is not installed\nhint: pip install 'pllava[shots]'\n"
    )


def test_shots_are_of_whole_clips(run: Run, scenes: Path) -> None:
    result = run("films", "--shots", "--end", "1")
    assert result.status == 2 and "--shots cuts whole clips" in result.err


def test_shots_are_kept_in_no_file_of_somebody_else(run: Run, scenes: Path) -> None:
    Path("out.jsonl.shots").write_text("a list of mine\n")
    result = run("films", "-o", "out.jsonl", "--shots")
    assert result.status == 2 and "out.jsonl.shots, where shots are kept, holds something else" in result.err
    assert Path("out.jsonl.shots").read_text() == "a list of mine\n"


def test_shards_share_the_clips(run: Run, clips: Path) -> None:
    parts = [run("clips", "--dry-run", "--json", "--shard", f"{part}/3") for part in (1, 2, 3)]
    counts = [json.loads(part.out)["to_do"] if part.status == 0 else 0 for part in parts]
    ids = [clip_id(clip) for clip in clips.iterdir()]
    assert counts == [sum(Shard(part, 3).holds(each) for each in ids) for part in (1, 2, 3)]


def test_sidecars_are_written_as_it_goes(run: Run, clips: Path) -> None:
    (clips / "clip0.txt").write_text("mine")
    result = run("clips", "--sidecar", "txt", "--trigger", "mybird", "-o", "out.jsonl")
    assert result.status == 0, result.err
    assert (clips / "clip0.txt").read_text() == "mine"
    for each in records(Path("out.jsonl"))[1:]:
        text = Path(each["path"]).with_suffix(".txt").read_text()
        assert text in (f"mybird, {each['text'].strip()}\n", "mine")


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


def test_a_dry_run_names_what_cannot_be_used(run: Run, clips: Path) -> None:
    Path("list.txt").write_text("".join(f"gone{number}.mp4\n" for number in range(5)))
    words = ("clips", "--from-file", "list.txt", "--dry-run")
    few = run(*words)
    assert few.status == 0 and re.search(r"^  cannot be used +5$", few.out, re.MULTILINE)
    named = [f"warning: there is no file gone{number}.mp4" for number in range(5)]
    assert few.err.splitlines() == [*named[:3], "and 2 more that cannot be used; -v names all"]
    assert [line for line in run(*words, "-v").err.splitlines() if "gone" in line] == named


def test_without_a_file_a_sidecar_that_is_kept_is_not_made(run: Run, clips: Path) -> None:
    (clips / "clip0.txt").write_text("mine")
    result = run("clips", "--sidecar", ".txt")
    assert len(result.records) == CLIPS - 1
    assert run("clips", "--sidecar", ".txt").records == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "no clip is named"),
        (["gone.mp4"], "there is no file gone.mp4"),
        (["clips", "-o", "clips"], "is a directory"),
        (["clips", "-o", "clips/clip0.mp4"], "holds something else than records"),
        (["clips", "-o", "gone/out.jsonl"], "there is no folder gone"),
        (["clips", "-o", ""], "is empty"),
        (["clips", "twins", "--sidecar", ".txt"], "would both write"),
        (["clips", "--sidecar", ".mp4"], "would overwrite the clip"),
        (["clips", "--sidecar", ".txt", "--existing", "maybe"], "unknown"),
        (["clips", "--trigger", "x"], "--trigger is for sidecars"),
        (["clips", "--ask", " "], "expected text"),
        (["clips", "--ask", "What?", "--prompt", "Why?"], "--ask and --prompt"),
        (["clips", "--every", "soon"], "expected a length of time"),
        (["clips", "--every", "1s", "--start", "1"], "--every cuts whole clips"),
        (["clips", "--every", "1s", "--shots"], "--every and --shots both"),
        (["clips", "--workers", "0"], "from 1 to"),
        (["clips", "--workers", "many"], "whole number"),
        (["clips", "--batch-size", "100000"], "from 1 to"),
        (["clips", "--shard", "3/2"], "--shard"),
        (["clips", "--json"], "--json writes"),
        (["clips", "--redo-flagged"], "--redo-flagged needs the records"),
        (["clips", "--redo-flagged", "-o", "-"], "--redo-flagged needs the records"),
        (["clips", "--redo-flagged", "-o", "gone.jsonl"], "there is no file gone.jsonl"),
        (["clips", "--redo-flagged=", "-o", "gone.jsonl"], "names no flag"),
        (["clips", "--redo-flagged=emty", "-o", "gone.jsonl"], "there is no flag 'emty'"),
        (["clips", "--redo-flagged=torn", "-o", "gone.jsonl"], "flagged torn cannot be made again"),
        (["clips", "--redo-flagged=xyz", "-o", "gone.jsonl"], "boilerplate, near-duplicate\n"),
        (["clips", "--redo-flagged", "--redo", "-o", "gone.jsonl"], "give one of them"),
        (["--redo-flagged", "empty", "-o", "gone.jsonl"], "there is no file empty"),
        (["clips", "--engine", "slurm"], "--engine: unknown 'slurm'"),
        (["clips", "--address", "10.0.0.1:6379"], "--address is for a Ray cluster"),
        (["clips", "--actors", "2"], "--actors is for a Ray cluster"),
        (["clips", "--engine", "ray", "--devices", "cpu,cpu"], "--devices is for this machine"),
        (["clips", "--engine", "ray", "--device", "cuda:1"], "Ray chooses the GPUs"),
        (["clips", "--device", "cpu", "--devices", "cpu,cpu"], "--device and --devices"),
        (["clips", "--devices", "cuda:0,gpu1"], "'gpu1' is no device"),
        (["clips", "--devices", "all,cpu"], "'all' is no device"),
        (["clips", "--devices", ""], "'' is no device"),
        (["clips", "--devices", "cuda:1,cuda:1"], "names cuda:1 twice"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_the_checkpoint_is_loaded(
    run: Run, clips: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], said: str
) -> None:
    from pllava_cli.commands import running

    def load(*_: object) -> None:
        raise AssertionError("the checkpoint is loaded")

    monkeypatch.setattr(running, "load_captioner", load)
    Path("twins").mkdir()
    for suffix in ("mkv", "mp4"):
        os.link(clips / "clip0.mp4", f"twins/clip0.{suffix}")
    result = run(*words)
    assert result.status == 2 and result.out == "", result.err
    assert said in result.err
    assert len(result.err.splitlines()) == 2 and "\nhint: " in result.err
    assert not Path("gone.jsonl").exists()


def test_without_ray_the_way_to_it_is_told(run: Run, clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    result = run("clips", "--engine", "ray")
    assert result.status == 2 and result.out == ""
    assert "Ray, which is not installed" in result.err and "pip install 'pllava[ray]'" in result.err


def test_an_address_at_which_there_is_no_cluster_is_told(run: Run, clips: Path) -> None:
    pytest.importorskip("ray")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    result = run("clips", "--engine", "ray", "--address", f"127.0.0.1:{port}")
    assert result.status == 6 and result.out == ""
    assert f"error: there is no Ray cluster at 127.0.0.1:{port}" in result.err
    assert len([line for line in result.err.splitlines() if not line.startswith(("loading", "connect"))]) == 2


@pytest.mark.timeout(600)
def test_a_device_that_is_not_there_is_told(run: Run, clips: Path) -> None:
    result = run("clips", "--devices", "cpu,cuda:99")
    assert result.status == 6 and result.out == ""
    assert "error: --devices cuda:99: this machine has" in result.err


# With several models. Each takes as long to start as the whole program: slow, and few.


@pytest.mark.timeout(900)
def test_two_models_make_the_records_that_one_makes(run: Run, clips: Path) -> None:
    """Of the same fingerprints; a bad clip costs its record; what is done is not done again."""
    (clips / "empty.mp4").touch()
    words = ("clips", "-o", "out.jsonl", "--dtype", "fp32", "--ask", "What?", "--ask", "Who?")
    result = run(*words, "--devices", "cpu,cpu", "--json")
    assert result.status == 3, result.err
    assert json.loads(result.out) == json.loads(result.out) | {"done": CLIPS, "failed": 1}
    found = records(Path("out.jsonl"))
    assert len(found) == 2 * (CLIPS + 1)
    again = run("clips", "--dtype", "fp32", "--ask", "What?", "--ask", "Who?")
    assert answers(found) == answers(again.records)
    assert {each["fingerprint"] for each in found} == {each["fingerprint"] for each in again.records}
    (clips / "empty.mp4").unlink()
    assert "nothing is left to do" in run(*words).err


@pytest.mark.timeout(1800)
def test_a_ray_of_its_own_makes_the_records_that_one_process_makes(run: Run, clips: Path) -> None:
    pytest.importorskip("ray")
    os.link(clips / "clip0.mp4", os.fsencode(clips) + b"/two\nlines \xff.mp4")
    (clips / "empty.mp4").touch()
    result = run("clips", "-o", "out.jsonl", "--dtype", "fp32", "--engine", "ray", "--actors", "2")
    assert result.status == 3, result.err
    assert f"{CLIPS + 1} done, 1 failed" in result.err and "Traceback" not in result.err
    again = run("clips", "--dtype", "fp32")
    found = records(Path("out.jsonl"))
    assert answers(found) == answers(again.records)
    assert {each["fingerprint"] for each in found} == {each["fingerprint"] for each in again.records}


def test_a_question_that_is_too_long_is_told_once(run: Run, clips: Path) -> None:
    result = run("clips", "--ask", "bird " * 5000)
    assert result.status == 2 and "positions" in result.err and result.out == ""


def test_a_file_in_use_is_refused(run: Run, clips: Path) -> None:
    with Journal.open(Path("out.jsonl")):
        result = run("clips", "-o", "out.jsonl")
        assert result.status == 2 and "another run is writing to out.jsonl" in result.err
        assert run("clips", "-o", "out.jsonl", "--dry-run").status == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_file_that_may_not_be_written_is_refused(run: Run, clips: Path) -> None:
    Path("out.jsonl").touch(0o444)
    result = run("clips", "-o", "out.jsonl")
    assert result.status == 2 and "cannot write out.jsonl" in result.err


# In processes of their own, to be killed.


@pytest.fixture
def many(made: Path, clips: Path) -> Path:
    for number in range(CLIPS, 2 * CLIPS):
        os.link(made / f"clip{number}.mp4", clips / f"clip{number}.mp4")
    (clips / "empty.mp4").touch()
    return clips


def start(checkpoint: Path, *words: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "pllava_cli", "batch", "--model", str(checkpoint), *FEW, "clips"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [*command, "-o", "out.jsonl", "--batch-size", "1", *words], env=environment, stderr=subprocess.PIPE
    )


def wait_for_lines(process: subprocess.Popen[bytes], count: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    file = Path("out.jsonl")
    while process.poll() is None and (not file.exists() or file.read_bytes().count(b"\n") < count):
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_killed_at_any_moment_it_goes_on_where_it_was(checkpoint: Path, many: Path, run: Run) -> None:
    killed = 0
    for lines in (0, 2, 7):
        with start(checkpoint) as process:
            wait_for_lines(process, lines)
            process.kill()
        killed += process.returncode == -signal.SIGKILL
    assert killed
    assert run("clips", "-o", "out.jsonl", "--batch-size", "1").status == 3
    found = records(Path("out.jsonl"))
    good = [each for each in found if each["status"] == "ok"]
    assert len(good) == 2 * CLIPS and len(latest(found)) == 2 * CLIPS + 1
    assert run("clips", "-o", "whole.jsonl", "--batch-size", "1").status == 3
    assert answers(latest(found)) == answers(records(Path("whole.jsonl")))


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_lets_it_finish_what_is_under_way(
    checkpoint: Path, many: Path, number: signal.Signals, status: int
) -> None:
    with start(checkpoint) as process:
        wait_for_lines(process, 2)
        process.send_signal(number)
        _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == status, err
    assert b"Traceback" not in err and b"finishing what is under way" in err
    assert b"stopped; to go on: pllava batch" in err
    assert Path("out.jsonl").read_bytes().endswith(b"\n")
    assert 2 <= len(records(Path("out.jsonl"))) < 2 * CLIPS
