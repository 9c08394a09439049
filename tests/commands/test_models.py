"""`pllava models`: listings for people and as data."""

import json
from pathlib import Path

import pytest

from pllava_cli import registry
from tests.commands.results import Run


def test_list_names_every_checkpoint_and_marks_the_default(run: Run) -> None:
    result = run("models", "list")
    lines = result.out.splitlines()
    assert lines[0].split() == ["NAME", "GB", "bf16", "int8", "nf4", "HERE", "SAVES", "DESCRIPTION"]
    assert [line.split()[0] for line in lines[1:]] == [each.name for each in registry.all_checkpoints()]
    assert [line.split()[0] for line in lines if " * " in line] == ["pllava-7b"]
    assert result.status == 0 and "default" in result.err


def test_list_quietly(run: Run) -> None:
    assert run("models", "list", "-q").err == ""


def test_list_as_json(run: Run, isolated: Path) -> None:
    registry.user_file().parent.mkdir(parents=True)
    registry.user_file().write_text('[checkpoints.birds]\npath = "birds"\n')
    result = run("models", "list", "--json")
    found = {each["name"]: each for each in json.loads(result.out)}
    assert found["pllava-7b"]["here"] == "no" and found["pllava-7b"]["lora"]["alpha"] == 4.0
    assert found["birds"]["path"] == str(registry.user_file().parent / "birds")
    assert result.err == ""


def test_show_says_everything_with_sources(run: Run) -> None:
    out = run("models", "show", "34b").out
    checkpoint = registry.find("34b")
    shown = {line.split()[0] for line in out.splitlines()}
    assert {
        "repo",
        "license",
        "base",
        "template",
        "parameters",
        "lora",
        "memory_gb",
        "origin",
        "here",
    } <= shown
    for source in checkpoint.source.values():
        assert source in out
    assert "pllava models pull pllava-34b" in out and "34,752,076,800" in out


def test_show_tells_an_alpha_of_none(run: Run) -> None:
    registry.user_file().parent.mkdir(parents=True, exist_ok=True)
    registry.user_file().write_text("[checkpoints.pllava-7b]\nlora = { alpha = 0 }\n")
    assert "rank 128, alpha 0, targets q_proj, v_proj" in run("models", "show", "7b").out


def test_show_a_directory(run: Run, checkpoint: Path) -> None:
    result = run("models", "show", str(checkpoint))
    assert result.status == 0
    rows = [line.split() for line in result.out.splitlines()]
    assert ["here", "yes", str(checkpoint)] in rows
    assert ["num_frames", "8", "config.json"] in rows
    assert ["pooling_shape", "8,", "12,", "12", "config.json"] in rows
    assert ["size_gb", "0.002", "*.safetensors"] in rows
    lora = next(line for line in result.out.splitlines() if line.startswith("lora"))
    assert "alpha 4" in lora and "if the folder has any" in lora


def test_show_a_directory_that_is_no_checkpoint(run: Run, checkpoint: Path) -> None:
    (checkpoint / "config.json").unlink()
    for flags in ([], ["--json"]):
        result = run("models", "show", str(checkpoint), *flags)
        assert (result.status, result.out) == (5, "")
        assert result.err.startswith(f"error: {checkpoint} has no config.json\nhint: ")


def test_list_tells_incomplete_from_missing(run: Run, checkpoint: Path) -> None:
    (checkpoint / "config.json").unlink()
    registry.user_file().parent.mkdir(parents=True)
    registry.user_file().write_text(
        f'[checkpoints.part]\npath = "{checkpoint}"\n[checkpoints.incomplete]\npath = "gone"\n'
    )
    found = {each["name"]: each["here"] for each in json.loads(run("models", "list", "--json").out)}
    assert (found["part"], found["incomplete"]) == ("incomplete", "no")


def test_show_as_json(run: Run) -> None:
    found = json.loads(run("models", "show", "7b", "--json").out)
    assert found["name"] == "pllava-7b" and found["source"]["lora"].startswith("https://arxiv.org/")


def test_show_what_there_is_not(run: Run) -> None:
    result = run("models", "show", "pllava-8b")
    assert (result.status, result.out) == (5, "")
    assert "hint: did you mean pllava-7b?" in result.err or "hint: did you mean pllava-" in result.err


@pytest.mark.parametrize("words", [["models", "list"], ["models", "show", "7b"], ["caption", "a.mp4"]])
def test_a_broken_registry_is_a_usage_error(run: Run, words: list[str]) -> None:
    registry.user_file().parent.mkdir(parents=True)
    registry.user_file().write_text("[checkpoints.x]\nframes = 3\n")
    result = run(*words)
    assert (result.status, result.out) == (2, "")
    assert "unknown key checkpoints.x.frames" in result.err
