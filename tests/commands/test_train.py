"""`pllava train` and `pllava models merge` as they are typed."""

import json
import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.clips import write_clip
from tests.commands.results import Run
from tests.processes import PATIENCE_S, running_children, until, until_ended
from tests.training.conftest import base, conversation, write_lines

__all__ = ["base"]


@pytest.fixture
def run(command: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command line in a folder with data.jsonl, a conversation about clip.mp4."""
    monkeypatch.chdir(tmp_path)
    write_clip(tmp_path / "clip.mp4", seed=1)
    write_lines(tmp_path / "data.jsonl", [conversation("clip.mp4")])
    return command


def test_train_use_merge_use(run: Run, base: Path, tmp_path: Path) -> None:
    words = ("--steps", "2", "--rank", "2", "--batch-size", "1", "--gradient-accumulation", "1")
    trained = run(
        "train", "data.jsonl", "--model", str(base), "-o", "out", *words, "--dtype", "fp32", "--json"
    )
    assert trained.status == 0, trained.err
    assert json.loads(trained.out) | {"loss": 0} == {
        "out": "out",
        "steps": 2,
        "examples": 1,
        "skipped": 0,
        "loss": 0,
        "eval_loss": None,
    }
    assert "--model out" in trained.err
    asked = ("clip.mp4", "What?", "--max-new-tokens", "4", "--dtype", "fp32", "--json")
    answered = run("ask", *asked, "--model", "out")
    assert answered.records[0]["model"]["alpha"] == 32.0
    assert answered.records[0]["model"]["base"] == str(base)
    shown = json.loads(run("models", "show", "./out", "--json").out)
    assert shown["base"] == str(base) and shown["lora"]["alpha"] == 32.0 and shown["lora"]["rank"] == 2
    merged = run("models", "merge", "out", "-o", "merged", "--json")
    assert merged.status == 0 and json.loads(merged.out)["alpha"] == 32.0
    again = run("ask", *asked, "--model", "merged")
    assert again.records[0]["text"] == answered.records[0]["text"]
    assert again.records[0]["model"]["alpha"] is None


def test_a_base_that_has_gone_is_told(run: Run, base: Path, tmp_path: Path) -> None:
    import shutil

    moved = shutil.copytree(base, tmp_path / "moved")
    words = ("--steps", "1", "--rank", "2", "--gradient-accumulation", "1", "--dtype", "fp32")
    assert run("train", "data.jsonl", "--model", "moved", "-o", "out", *words).status == 0
    shutil.rmtree(moved)
    lost = run("caption", "clip.mp4", "--model", "out")
    assert lost.status == 5
    assert str(moved) in lost.err and "--base" in lost.err
    found = run("caption", "clip.mp4", "--model", "out", "--base", str(base), "--max-new-tokens", "2")
    assert found.status == 0, found.err


def test_check_only(run: Run, base: Path, tmp_path: Path) -> None:
    result = run("train", "data.jsonl", "--model", str(base), "--check-only")
    assert (result.status, result.out) == (0, "")
    assert "1 conversation can be trained on" in result.err
    write_lines(tmp_path / "bad.jsonl", ["{", conversation("gone.mp4")])
    bad = run("train", "bad.jsonl", "data.jsonl", "--model", str(base), "--check-only")
    assert bad.status == 2
    assert "bad.jsonl:1: not JSON" in bad.err and "bad.jsonl:2: " in bad.err
    assert "error: 2 of 3 lines cannot be trained on\nhint: " in bad.err


@pytest.fixture
def thirty_bad(tmp_path: Path, run: Run) -> tuple[tuple[str, ...], list[tuple[str, int]]]:
    """Words that name data with many bad lines of all kinds, and where those are."""
    kinds = ["{", conversation("gone.mp4"), conversation("clip.mp4", answer="A</s>B")]
    write_lines(tmp_path / "z.jsonl", [*kinds * 9, conversation("clip.mp4")])
    write_lines(tmp_path / "a.jsonl", ["", *reversed(kinds), {"status": "error"}])
    where = [("z.jsonl", line) for line in range(1, 28)] + [("a.jsonl", line) for line in (2, 3, 4)]
    return ("z.jsonl", "data.jsonl", "--validation", "a.jsonl"), where


def test_bad_lines_are_told_in_order_and_all_of_them_as_json(
    run: Run, base: Path, thirty_bad: tuple[tuple[str, ...], list[tuple[str, int]]]
) -> None:
    words, where = thirty_bad
    result = run("train", *words, "--model", str(base), "--check-only", "--json")
    assert result.status == 2
    told = json.loads(result.out)
    counts = {name: told[name] for name in told if name != "bad_lines"}
    assert counts == {"examples": 2, "validation": 0, "bad": 30, "error_records": 1}
    assert [(each["file"], each["line"]) for each in told["bad_lines"]] == where
    lines = result.err.splitlines()
    assert lines[:20] == ["{file}:{line}: {reason}".format(**each) for each in told["bad_lines"][:20]]
    assert lines[20].startswith("and 10 more")
    assert lines[21] == "error: 30 of 32 lines cannot be trained on"


def test_check_only_with_skip_bad_tells_the_same_and_succeeds_if_something_is_left(
    run: Run, base: Path, thirty_bad: tuple[tuple[str, ...], list[tuple[str, int]]], tmp_path: Path
) -> None:
    (file, *_), _ = thirty_bad
    words = ("--model", str(base), "--check-only", "--json")
    refused = run("train", file, *words)
    skipped = run("train", file, *words, "--skip-bad")
    assert (refused.status, skipped.status) == (2, 0)
    assert refused.out == skipped.out
    told = [line for line in skipped.err.splitlines() if line.startswith(file)]
    assert told == refused.err.splitlines()[:20]
    assert "27 of 28 lines cannot be trained on and are left out" in skipped.err
    nothing = run("train", write_lines(tmp_path / "none.jsonl", ["{"]).name, *words, "--skip-bad")
    assert (nothing.status, json.loads(nothing.out)["bad"]) == (2, 1)
    assert "nothing to train on" in nothing.err


def test_data_of_another_kind_are_one_error(run: Run, base: Path, tmp_path: Path) -> None:
    text = (tmp_path / "data.jsonl").read_text() * 40
    (tmp_path / "wide.jsonl").write_bytes(text.encode("utf-16"))
    result = run("train", "wide.jsonl", "--model", str(base), "--check-only", "--json")
    assert (result.status, result.out) == (2, "")
    error, hint = result.err.splitlines()
    assert error == "error: wide.jsonl is not a text file in UTF-8: it begins with the mark of UTF-16"
    assert hint.startswith("hint: ") and "iconv" in hint


def listed(folder: Path) -> dict[str, bytes]:
    """Names and contents of all files below a folder, and names of folders."""
    return {
        str(each.relative_to(folder)): each.read_bytes() if each.is_file() else b""
        for each in folder.rglob("*")
    }


@pytest.mark.parametrize("out", ["out", "a/b/out", "empty", "empty/out"])
def test_a_failed_check_leaves_nothing(run: Run, base: Path, tmp_path: Path, out: str) -> None:
    (tmp_path / "empty").mkdir()
    write_lines(tmp_path / "bad.jsonl", [conversation("clip.mp4"), "{"])
    before = listed(tmp_path)
    result = run("train", "bad.jsonl", "--model", str(base), "-o", out)
    assert result.status == 2 and "1 of 2 lines" in result.err
    assert listed(tmp_path) == before
    (tmp_path / "other.jsonl").write_bytes(bytes(100))
    assert run("train", "other.jsonl", "--model", str(base), "-o", out).status == 2
    assert listed(tmp_path).keys() - {"other.jsonl"} == before.keys()


def test_a_failed_check_leaves_an_unfinished_run_as_it_was(
    run: Run, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pllava_cli.training.callbacks import Log

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    words = ("train", "data.jsonl", "--model", str(base), "-o", "out", "--rank", "2", "--dtype", "fp32")
    with monkeypatch.context() as patch:
        patch.setattr(Log, "on_step_end", interrupted)
        assert run(*words).status == 130
    before = listed(tmp_path / "out")
    assert {"run.json", "cache/pictures.u8"} <= before.keys()
    (tmp_path / "clip.mp4").rename(tmp_path / "moved.mp4")
    lost = run(*words)
    assert lost.status == 2 and "clip.mp4: no such file" in lost.err
    assert listed(tmp_path / "out") == before


def is_decoder(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return any("video.worker" in word for word in process.cmdline())
    return False


def test_an_interrupt_while_clips_are_looked_at(run: Run, base: Path, tmp_path: Path) -> None:
    """The decoders stand still: nothing that waits for a clip would ever end."""
    parts = (conversation("clip.mp4") | {"segment": {"start_s": number / 1000}} for number in range(500))
    write_lines(tmp_path / "many.jsonl", parts)
    words = ["train", "many.jsonl", "--model", str(base), "-o", "out", "--decode-timeout", "100000"]
    process = subprocess.Popen(
        [sys.executable, "-m", "pllava_cli", *words],
        cwd=tmp_path,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])},
        stderr=subprocess.PIPE,
        text=True,
    )
    decoders: list[psutil.Process] = []

    def decode() -> bool:
        decoders[:] = [each for each in running_children(process.pid) if is_decoder(each)]
        return bool(decoders)

    until(decode, process)
    for decoder in decoders:
        decoder.suspend()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130
    assert re.fullmatch(
        r"stopped after looking at \d+ of 500 clips; the same command goes on from there\n", err
    )
    until_ended(*decoders)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--model", "BASE"), "no folder is named for the result"),
        (("-o", "out"), "no base is named"),
        (("--model", "BASE", "-o", "out", "--rank", "0"), "--rank: expected a whole number"),
        (("--model", "BASE", "-o", "out", "--rank", "x"), "--rank: expected a whole number"),
        (("--model", "BASE", "-o", "out", "--warmup", "1"), "--warmup: expected a number from 0 to"),
        (("--model", "BASE", "-o", "out", "--learning-rate", "nan"), "--learning-rate"),
        (("--model", "BASE", "-o", "out", "--steps", "3", "--epochs", "2"), "--steps and --epochs"),
        (("--model", "BASE", "-o", "out", "--targets", ","), "--targets"),
        (("--model", "BASE", "-o", "out", "--seed", "4294967296"), "--seed"),
        (("--model", "BASE", "-o", "out", "--pooling-shape", "4"), "--pooling-shape"),
        (("--model", "BASE", "-o", "out", "--device", "cuda:7"), "cuda:7"),
        (("--model", "BASE", "-o", "out", "--validation", "gone.jsonl"), "gone.jsonl"),
        (("--model", "BASE", "-o", ""), "the name of the folder for the result is empty"),
        (("--model", "BASE", "-o", "", "--check-only"), "the name of the folder for the result is empty"),
        (("--model", "BASE", "-o", "out", "--validation", ""), "the name of the validation file is empty"),
        (("--model", "BASE", "-o", "out", ""), "the name of a data file is empty"),
        (("--model", "BASE", "-o", "out", "x" * 300), "cannot read xxx"),
        (("--model", "BASE", "-o", "x" * 300), "xxx"),
    ],
)
def test_what_cannot_be_meant(run: Run, base: Path, words: tuple[str, ...], message: str) -> None:
    result = run("train", "data.jsonl", *(str(base) if word == "BASE" else word for word in words))
    assert result.status in (2, 6)
    assert message in result.err and "hint: " in result.err
    assert not Path("out").exists()


def test_merge_needs_a_name(run: Run, base: Path) -> None:
    assert "no folder is named" in run("models", "merge", str(base)).err
    empty = run("models", "merge", str(base), "-o", "")
    assert empty.status == 2
    assert "error: the name of the folder for the result is empty\nhint: name one with -o" in empty.err
    assert run("models", "merge", "nothing-of-this-name", "-o", "out").status == 5


def test_a_pooling_shape_of_none_captions(run: Run, base: Path) -> None:
    result = run(
        "caption",
        "clip.mp4",
        "--model",
        str(base),
        "--pooling-shape",
        "none",
        "--max-new-tokens",
        "2",
        "--json",
    )
    assert result.status == 0, result.err
    assert result.records[0]["model"]["pooling_shape"] == [4, 2, 2]
