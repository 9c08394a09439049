"""The manual pages: as the commands are, and as the reader wants them."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from pllava_cli import app, manpages, settings
from pllava_cli.errors import ExitStatus

MAN = Path(__file__).parents[1] / "man"
ALL = sorted(MAN.glob("man?/*"))


def test_committed_pages_are_what_would_be_written() -> None:
    """If this fails: python -m pllava_cli.manpages man."""
    assert {path.name: path.read_text() for path in (MAN / "man1").iterdir()} == manpages.pages()


def test_there_is_a_page_for_every_command() -> None:
    names = {"pllava", "pllava-caption", "pllava-ask", "pllava-batch", "pllava-check", "pllava-doctor"}
    models = ("", "-list", "-show", "-pull", "-verify", "-rm", "-merge", "-quantize")
    names |= {f"pllava-models{name}" for name in models}
    benchmarks = ("", "-mvbench", "-mc", "-vcgbench", "-videoqa", "-captions", "-judge")
    names |= {f"pllava-eval{name}" for name in benchmarks}
    names |= {"pllava-train", "pllava-shapes", "pllava-shapes-make", "pllava-merge"}
    assert set(manpages.pages()) == {f"{name}.1" for name in names}
    assert {path.name for path in (MAN / "man5").iterdir()} == {
        "pllava-weights.5",
        "pllava-records.5",
        "pllava-training.5",
    }


def test_pages_tell_everything() -> None:
    page = manpages.pages()["pllava-caption.1"]
    for status in (*ExitStatus, app.OUTPUT_CLOSED):
        assert f".B {int(status)}\n" in page
    for name in settings.OPTIONS:
        assert f"PLLAVA_{name.upper()}" in page
        assert "\\-\\-" + name.replace("_", "\\-") in page


def test_pages_say_what_a_status_means_there() -> None:
    pages = manpages.pages()
    assert ".B 3\nSomething is flagged.\n" in pages["pllava-check.1"]
    assert ".B 3\nSome clips failed, others succeeded.\n" in pages["pllava-batch.1"]


def variables(name: str) -> set[str]:
    """The settings whose variables a page lists."""
    return set(re.findall(r"\bPLLAVA_(\w+)", manpages.pages()[f"{name}.1"])) - {"DEBUG"}


def test_pages_list_the_variables_that_the_command_reads() -> None:
    everything = {name.upper() for name in settings.OPTIONS}
    assert variables("pllava") == variables("pllava-caption") == variables("pllava-batch") == everything
    assert variables("pllava-ask") == everything - {"PROMPT", "PROMPT_FILE"}
    assert variables("pllava-models-merge") == {"ALPHA", "BASE", "DTYPE", "OFFLINE"}
    assert {"MODEL", "FRAMES", "SEED", "SYSTEM_FILE"} < variables("pllava-train")
    assert not {"ALPHA", "PRESET", "PROMPT", "TEMPERATURE"} & variables("pllava-train")
    for name in ("pllava-shapes", "pllava-shapes-make", "pllava-models-list", "pllava-models-show"):
        assert variables(name) == set()


def test_pages_tell_of_the_store_and_of_the_judges_key() -> None:
    found = manpages.pages()
    assert "$XDG_CACHE_HOME/pllava/visual" in found["pllava-eval-mvbench.1"].partition(".SH FILES")[2]
    for name in ("PLLAVA_JUDGE_KEY", "OPENAI_API_KEY"):
        told = found["pllava-eval-judge.1"].partition(".SH ENVIRONMENT")[2]
        assert f".B {name}\n" in told and f".B {name}\n" not in found["pllava-eval-vcgbench.1"]


def test_what_is_missing_of_mvbench_is_told_as_it_is() -> None:
    page = " ".join(manpages.pages()["pllava-eval-mvbench.1"].split())
    assert (
        "whose video is missing counts as wrong" in page and "entry that lacks something, is left out" in page
    )


def test_every_command_tells_its_exit_statuses() -> None:
    for name, page in manpages.pages().items():
        is_group = ".SH COMMANDS" in page and name != "pllava.1"
        assert (".SH EXIT STATUS" in page) != is_group


def test_defaults_are_told() -> None:
    page = manpages.pages()["pllava-shapes-make.1"]
    for default in ("clips (100).", "in common (0).", "shows (1\\-4).", "(auto)."):
        assert default in " ".join(page.split())


def test_writing_twice_gives_the_same(tmp_path: Path) -> None:
    assert manpages.main([str(tmp_path)]) == 0
    written = {path.name: path.read_bytes() for path in (tmp_path / "man1").iterdir()}
    assert written == {name: text.encode() for name, text in manpages.pages().items()}


def test_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert manpages.main([]) == 2
    assert capsys.readouterr().err.startswith("usage:")


@pytest.mark.skipif(shutil.which("mandoc") is None, reason="mandoc is not installed")
@pytest.mark.parametrize("path", ALL, ids=lambda path: path.name)
def test_lint(path: Path) -> None:
    command = ["mandoc", "-Tlint", "-Wwarning", str(path)]
    found = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
    # No date: it would change with every build, or lie.
    assert [line for line in found if "missing date" not in line] == []


@pytest.mark.skipif(shutil.which("man") is None, reason="man is not installed")
@pytest.mark.parametrize("path", ALL, ids=lambda path: path.name)
def test_man_shows_it(path: Path) -> None:
    plain = os.environ | {"LC_ALL": "C"}  # else it complains where the machine's own is not installed
    shown = subprocess.run(["man", "-l", str(path)], env=plain, capture_output=True, text=True, check=True)
    assert "NAME" in shown.stdout and "SEE ALSO" in shown.stdout and shown.stderr == ""
