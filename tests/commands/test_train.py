"""`pllava train` and `pllava models merge` as they are typed."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pllava_cli import app
from tests.clips import write_clip
from tests.commands.conftest import Result
from tests.training.conftest import base, conversation, write_lines

__all__ = ["base"]

Run = Callable[..., Result]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command line in a folder with data.jsonl, a conversation about clip.mp4."""
    monkeypatch.chdir(tmp_path)
    write_clip(tmp_path / "clip.mp4", seed=1)
    write_lines(tmp_path / "data.jsonl", [conversation("clip.mp4")])

    def run(*words: str) -> Result:
        status = app.main(words)
        captured = capsys.readouterr()
        return Result(status, captured.out, captured.err)

    return run


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
    assert "1 conversations can be trained on" in result.err
    write_lines(tmp_path / "bad.jsonl", ["{", conversation("gone.mp4")])
    bad = run("train", "bad.jsonl", "data.jsonl", "--model", str(base), "--check-only")
    assert bad.status == 2
    assert "bad.jsonl:1: not JSON" in bad.err and "bad.jsonl:2: " in bad.err
    assert "error: 2 of 3 lines cannot be trained on\nhint: " in bad.err


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
    ],
)
def test_what_cannot_be_meant(run: Run, base: Path, words: tuple[str, ...], message: str) -> None:
    result = run("train", "data.jsonl", *(str(base) if word == "BASE" else word for word in words))
    assert result.status in (2, 6)
    assert message in result.err and "hint: " in result.err
    assert not Path("out").exists()


def test_merge_needs_a_name(run: Run, base: Path) -> None:
    assert "no folder is named" in run("models", "merge", str(base)).err
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
