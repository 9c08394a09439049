"""What README tells a user to type must work as it stands there."""

import re
import shlex
from pathlib import Path

import pytest

from pllava_cli import app
from tests.checkpoints import write_plain
from tests.test_end_to_end import write_clip

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with README's clip and checkpoint in it."""
    monkeypatch.chdir(tmp_path)
    write_clip(tmp_path / "clip.mp4", frames=50)
    (tmp_path / "path" / "to").mkdir(parents=True)
    write_plain(tmp_path / "path" / "to" / "checkpoint")
    return tmp_path


def test_python_example(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = blocks("python")
    names: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), names)
    assert capsys.readouterr().out
    assert getattr(names["visual_tokens"], "shape", None) == (16, 64)


def test_commands_are_understood(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each command line of README is parsed; what it would run is left out but for its options."""
    lines = [line.removeprefix("$ ") for block in blocks("sh") + blocks("") for line in block.splitlines()]
    commands = [
        shlex.split(line.split(" >")[0], comments=True) for line in lines if line.startswith("pllava ")
    ]
    assert len(commands) > 4
    for words in commands:
        assert app.main([*words[1:], "--help"]) == 0
