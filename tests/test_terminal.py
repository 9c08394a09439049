"""What may reach a terminal, and how long waits are told."""

import time

import pytest

from pllava_cli.progress import LiveProgress, PlainProgress, SilentProgress, make_progress
from pllava_cli.terminal import Terminal, escape_controls, one_line
from tests.processes import until


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain\ttext\nhere", "plain\ttext\nhere"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("back\rspace\x08\x7f", "back\\rspace\\x08\\x7f"),
        ("C1 \x9b2J", "C1 \\x9b2J"),
        ("turned \u202etxt.exe", "turned \\u202etxt.exe"),
        ("caf\udce9", "caf\\xe9"),
        ("lone \ud800", "lone \\ud800"),
        ("Grüße, 世界 🙂", "Grüße, 世界 🙂"),
    ],
)
def test_escape_controls(text: str, shown: str) -> None:
    assert escape_controls(text) == shown


def test_one_line_has_no_newline() -> None:
    assert one_line("a\nb\tc") == "a\\nb\\tc"


def test_table_aligns(capsys: pytest.CaptureFixture[str]) -> None:
    Terminal().table([("a", "bb", "c"), ("aaa", "b", "")])
    assert capsys.readouterr().out == "a    bb  c\naaa  b\n"


def test_quiet_beats_verbose(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Terminal(quiet=True, verbose=2)
    terminal.note("note")
    terminal.detail("detail")
    terminal.warn("warning")
    terminal.heading("heading")
    terminal.error("bad", "do better")
    assert capsys.readouterr().err == "error: bad\nhint: do better\n"


def test_progress_suits_the_run() -> None:
    def write(text: str) -> None: ...

    assert isinstance(make_progress(quiet=True, capable=True, write=write), SilentProgress)
    assert isinstance(make_progress(quiet=False, capable=True, write=write), LiveProgress)
    assert isinstance(make_progress(quiet=False, capable=False, write=write), PlainProgress)


def test_plain_progress_tells_bytes_as_a_percentage() -> None:
    lines: list[str] = []
    progress = PlainProgress(lines.append, interval_s=0.01)
    progress.update("loading", 1_500_000_000, 2_000_000_000)
    until(lambda: lines)
    progress.pause()
    assert lines[0].startswith("loading 75 %, ")


def test_plain_progress_tells_of_long_waits_only_while_they_last() -> None:
    lines: list[str] = []
    progress = PlainProgress(lines.append, interval_s=0.01)
    progress.update("loading", 0, 0)
    progress.update("encoding", 3, 16)
    until(lambda: lines and lines[-1].startswith("encoding 3 of 16, "))
    progress.pause()
    told = len(lines)
    time.sleep(0.1)
    assert len(lines) == told


def test_an_abandoned_bar_gives_the_cursor_back(capfd: pytest.CaptureFixture[str]) -> None:
    progress = LiveProgress()
    progress.abandon()
    assert capfd.readouterr().err == ""
    progress.update("encoding", 1, 2)
    capfd.readouterr()
    progress.abandon()
    assert capfd.readouterr().err.endswith("\x1b[?25h")
    progress.pause()


def test_plain_progress_is_silent_on_short_waits(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Terminal()
    terminal.progress.update("loading", 1, 2)
    terminal.pause()
    assert capsys.readouterr().err == ""
