"""Streams that are a terminal: control characters, progress, colour."""

import os
import pty
import select
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.command_line.conftest import SLOW, start
from tests.processes import PATIENCE_S


class Screen:
    """A process whose three streams are one terminal."""

    def __init__(self, environment: dict[str, str], *arguments: str, script: dict[str, Any]) -> None:
        self.master, slave = pty.openpty()
        streams = {"stdin": slave, "stdout": slave, "stderr": slave}
        self.process = start(environment, *arguments, script=script, start_new_session=True, **streams)
        os.close(slave)
        self.shown = b""

    def read(self, until: bytes | None = None) -> bytes:
        """Read until some text has been shown or the terminal is closed."""
        deadline = time.monotonic() + PATIENCE_S
        while until is None or until not in self.shown:
            assert time.monotonic() < deadline, self.shown
            if select.select([self.master], [], [], 1.0)[0]:
                try:
                    data = os.read(self.master, 4096)
                except OSError:  # Linux's way of saying that the other end is closed
                    data = b""
                if not data:
                    break
                self.shown += data
        return self.shown

    def close(self) -> int:
        status = self.process.wait(timeout=PATIENCE_S)
        os.close(self.master)
        return status


@pytest.fixture
def screens() -> Iterator[list[Screen]]:
    """Screens of a test, ended with it."""
    made: list[Screen] = []
    yield made
    for screen in made:
        screen.process.kill()
        screen.process.wait()


def test_terminal_never_receives_control_characters(environment: dict[str, str]) -> None:
    evil = {"answers": ["A\x1b]0;title\x07 bird\r\x9b2J.\tIt\nflies."]}
    screen = Screen(environment | {"TERM": "dumb"}, "caption", "a.mp4", script=evil)
    shown = screen.read()
    assert screen.close() == 0
    assert b"A\\x1b]0;title\\x07 bird\\r\\x9b2J.\tIt\r\nflies.\r\n" in shown
    assert b"\x1b" not in shown


def test_progress_leaves_a_clean_terminal_after_ctrl_c(
    environment: dict[str, str], screens: list[Screen]
) -> None:
    screen = Screen(environment, "caption", "a.mp4", script=SLOW)
    screens.append(screen)
    screen.read(until=b"A bird")
    screen.process.send_signal(signal.SIGINT)
    shown = screen.read()
    assert screen.close() == 130
    assert b"loading the checkpoint" in shown and b"Traceback" not in shown
    assert shown.rfind(b"\x1b[?25h") > shown.rfind(b"\x1b[?25l") >= 0, "the cursor is shown again"
    assert shown.endswith(b"A bird\r\n")


def test_two_interrupts_at_once_leave_the_cursor_shown(
    environment: dict[str, str], screens: list[Screen]
) -> None:
    for gap_s in (0.0, 0.001, 0.004):
        screen = Screen(environment, "caption", "a.mp4", "--json", script=SLOW)
        screens.append(screen)
        screen.read(until=b"answering")
        screen.process.send_signal(signal.SIGINT)
        time.sleep(gap_s)
        screen.process.send_signal(signal.SIGINT)
        shown = screen.read()
        assert screen.close() == 130
        assert shown.rfind(b"\x1b[?25h") > shown.rfind(b"\x1b[?25l") >= 0 and b"Traceback" not in shown


@pytest.mark.parametrize("variables", [{"NO_COLOR": "1"}, {"TERM": "dumb"}, {}])
def test_colour(environment: dict[str, str], variables: dict[str, str]) -> None:
    screen = Screen(environment | variables, "caption", "a.mp4", "missing.mp4", script=SLOW)
    shown = screen.read()
    assert screen.close() == 2
    assert (b"\x1b[1;31merror:\x1b[0m" in shown) is (not variables)
    assert b"there is no file missing.mp4" in shown
