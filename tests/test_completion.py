"""Completion in shells: scripts, names of commands, checkpoints and values."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def test_completion_offers_names_and_leaves_files_to_the_shell() -> None:
    def complete(words: str) -> list[str]:
        variables = {
            "_PLLAVA_COMPLETE": "complete_bash",
            "COMP_WORDS": words,
            "COMP_CWORD": str(words.count(" ")),
        }
        command = [sys.executable, "-m", "pllava_cli"]
        done = subprocess.run(
            command, env=os.environ | variables, cwd=ROOT, capture_output=True, text=True, check=True
        )
        return done.stdout.split()

    assert complete("pllava cap") == ["caption"]
    assert complete("pllava caption --model pllava-1") == ["pllava-13b"]
    assert complete("pllava models show llava-v1.6-3") == ["llava-v1.6-34b"]
    assert complete("pllava ask --preset ") == ["standard", "fast"]
    assert complete("pllava caption --dtype b") == ["bf16"]
    assert complete("pllava caption ") == []


def test_completion_survives_a_broken_registry() -> None:
    folder = Path(os.environ["XDG_CONFIG_HOME"]) / "pllava"
    folder.mkdir(parents=True)
    (folder / "weights.toml").write_text("not = [toml")
    variables = {
        "_PLLAVA_COMPLETE": "complete_bash",
        "COMP_WORDS": "pllava caption --model x",
        "COMP_CWORD": "3",
    }
    command = [sys.executable, "-m", "pllava_cli"]
    done = subprocess.run(command, env=os.environ | variables, cwd=ROOT, capture_output=True, check=False)
    assert (done.stdout.strip(), done.stderr) == (b"", b"")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(shell: str) -> None:
    variables = {"_PLLAVA_COMPLETE": f"source_{shell}"}
    command = [sys.executable, "-m", "pllava_cli"]
    done = subprocess.run(
        command, env=os.environ | variables, cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "_PLLAVA_COMPLETE" in done.stdout and done.stderr == ""
