"""What is refused: words that cannot be meant, files in use, devices and clusters that are not there."""

import os
import socket
import sys
from pathlib import Path

import pytest

from pllava_cli.batch.journal import Journal
from tests.commands.results import Run


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


@pytest.mark.timeout(600)
def test_a_device_that_is_not_there_is_told(run: Run, clips: Path) -> None:
    result = run("clips", "--devices", "cpu,cuda:99")
    assert result.status == 6 and result.out == ""
    assert "error: --devices cuda:99: this machine has" in result.err


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
