"""What README and docs/ tell a user to type must work as it stands there."""

import re
import shlex
from pathlib import Path

import pytest

from pllava_cli import app
from tests.checkpoints import write_plain
from tests.test_end_to_end import write_clip

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page: Path, language: str) -> list[str]:
    text = page.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with README's clip and checkpoint in it."""
    monkeypatch.chdir(tmp_path)
    write_clip(tmp_path / "clip.mp4", frames=50)
    (tmp_path / "path" / "to").mkdir(parents=True)
    write_plain(tmp_path / "path" / "to" / "checkpoint")
    return tmp_path


def test_python_example(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = blocks(README, "python")
    names: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), names)
    assert capsys.readouterr().out
    assert getattr(names["visual_tokens"], "shape", None) == (16, 64)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_are_understood(page: Path) -> None:
    """Each command line is parsed; what it would run is left out but for its options."""
    text = blocks(page, "sh") + blocks(page, "")
    lines = [line.removeprefix("$ ") for block in text for line in block.splitlines()]
    commands = [
        shlex.split(line.split(" >")[0], comments=True) for line in lines if line.startswith("pllava ")
    ]
    assert commands or page.name in ("layout.md", "tiny.md")  # of how it is made
    for words in commands:
        assert app.main([*words[1:], "--help"]) == 0


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        assert link.startswith("https://") or (page.parent / link.partition("#")[0]).exists(), link
