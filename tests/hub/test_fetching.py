"""A checkpoint that is not here is fetched before it runs, if the user says so, and never otherwise."""

import sys
from pathlib import Path

import pytest

from tests.clips import write_clip
from tests.commands.results import Run
from tests.hub import server
from tests.hub.test_removing import Typed


@pytest.fixture
def clip(tmp_path: Path) -> str:
    return str(write_clip(tmp_path / "clip.mp4", seed=1))


@pytest.mark.parametrize("said", [["--pull"], []], ids=["flag", "variable"])
def test_it_is_fetched_when_that_is_said(
    run: Run, snapshot: Path, clip: str, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if not said:
        monkeypatch.setenv("PLLAVA_PULL", "1")
    result = run("caption", clip, "--model", "birds", *said)
    assert snapshot.is_dir() and "to fetch" in result.err and "birds is on this machine" in result.err
    assert result.status == 5 and "config.json" in result.err  # it is one by its form only
    again = run("caption", clip, "--model", "birds", *said)
    assert "to fetch" not in again.err


@pytest.mark.parametrize("said", [["--pull"], []], ids=["said", "not said"])
def test_so_is_what_an_adapter_of_ones_own_lies_over(
    run: Run, hub: server.Hub, snapshot: Path, clip: str, tmp_path: Path, said: list[str]
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.json").write_text("{}")
    (tmp_path / "mine" / "adapter_model.safetensors").write_bytes(b"")
    (tmp_path / "mine" / "adapter_config.json").write_text('{"base_model_name_or_path": "birds"}')
    result = run("caption", clip, "--model", str(tmp_path / "mine"), *said)
    assert snapshot.is_dir() is bool(said) and result.status == 5
    assert ("is an adapter over birds: birds is not on this machine" in result.err) is not bool(said)


@pytest.mark.parametrize(("answer", "is_fetched"), [("y\n", True), ("\n", False), ("", False)])
def test_whoever_sits_there_is_asked(
    run: Run, snapshot: Path, clip: str, answer: str, is_fetched: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", Typed(answer))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    result = run("caption", clip, "--model", "birds")
    assert "birds is not on this machine. Fetch it now from someone/birds? [y/N]" in result.err
    assert snapshot.is_dir() is is_fetched
    assert ("run: pllava models pull birds" in result.err) is not is_fetched and result.status == 5


def test_nobody_there_means_no(run: Run, hub: server.Hub, clip: str) -> None:
    result = run("caption", clip, "--model", "birds")
    assert result.status == 5 and "run: pllava models pull birds" in result.err and not hub.requests


def test_offline_forbids_it(run: Run, hub: server.Hub, clip: str) -> None:
    result = run("caption", clip, "--model", "birds", "--pull", "--offline")
    assert result.status == 5 and "on a machine with a network" in result.err and not hub.requests
