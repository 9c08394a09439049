"""Progress: a moving display on a terminal, a plain line every 30 seconds anywhere else.

The caller updates it and never asks which of the three kinds it has.
"""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from threading import Event, RLock, Thread
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

PLAIN_INTERVAL_S = 30.0
"""Often enough to tell a long wait from a hang, rare enough not to fill a log."""

_WIPE = b"\r\x1b[2K\x1b[?25h"
"""Back to the line's start, erase the line, show the cursor (ECMA-48 CR and EL; DEC mode 25)."""

MOST_COUNTED = 10_000
"""Totals from here on are shown as a percentage."""


class Progress(Protocol):
    """What is under way and how far it is."""

    def update(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Show that `done` of `total` of a stage are done (0: unknown), and a note beside it."""

    def pause(self) -> None:
        """Take the display away until the next update."""

    def abandon(self) -> None:
        """Leave the screen usable at the end of the process, from within a signal handler."""


class SilentProgress:
    """Shows nothing."""

    def update(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Do nothing."""

    def pause(self) -> None:
        """Do nothing."""

    def abandon(self) -> None:
        """Do nothing."""


class LiveProgress:
    """A bar that moves in place on stderr."""

    def __init__(self) -> None:
        self._bar: RichProgress | None = None
        self._task: TaskID | None = None
        self._stage = ""

    def update(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Move the bar, and start it where there is none."""
        if self._bar is None or self._task is None:
            self._bar = _rich_bar()
            self._bar.start()
            self._task = self._bar.add_task(stage, total=None, count="")
            self._stage = stage
        if stage != self._stage:
            self._bar.reset(self._task, description=stage)
            self._stage = stage
        count = _share(done, total, "/") + (f"  {note}" if note else "")
        self._bar.update(self._task, completed=done, total=total or None, count=count)

    def pause(self) -> None:
        """Stop the bar, wipe it and show the cursor again."""
        if self._bar is not None:
            self._bar.stop()
            self.abandon()  # a stop() that an interrupt has broken off does nothing the second time
            self._bar = self._task = None

    def abandon(self) -> None:
        """Wipe the bar's line and show the cursor, past all buffers and locks."""
        if self._bar is not None:
            with suppress(OSError):
                os.write(2, _WIPE)


class PlainProgress:
    """A line on stderr whenever a wait has lasted another while.

    Args:
        write: Writes one line.
        interval_s: Seconds between lines.
    """

    def __init__(self, write: Callable[[str], None], interval_s: float = PLAIN_INTERVAL_S) -> None:
        self._write = write
        self._interval_s = interval_s
        self._state = ("", 0, 0, "")
        self._stop: Event | None = None
        self._writing = RLock()  # whoever pauses may be interrupted by a handler that pauses too

    def update(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Note where things are; the next line will say it."""
        self._state = (stage, done, total, note)
        if self._stop is None:
            self._stop = Event()
            # Its own thread: a single long step must not be silent. A daemon: it never keeps us alive.
            Thread(target=self._report, args=(self._stop, time.monotonic()), daemon=True).start()

    def pause(self) -> None:
        """Stop the lines until the next update; one that is being written comes to its end before."""
        if self._stop is not None:
            with self._writing:
                self._stop.set()
            self._stop = None

    def abandon(self) -> None:
        """Do nothing: no line of it is ever left open."""

    def _report(self, stop: Event, began: float) -> None:
        while not stop.wait(self._interval_s):
            stage, done, total, note = self._state
            beside = f", {note}" if note else ""
            far = f"{stage} {_share(done, total, ' of ')}".rstrip()
            with self._writing:
                if not stop.is_set():
                    self._write(f"{far}{beside}, {time.monotonic() - began:.0f} s\n")


def _share(done: int, total: int, of: str) -> str:
    """Frames are counted; bytes, of which nobody wants to read ten digits, are a percentage."""
    if not total:
        return ""
    return f"{done}{of}{total}" if total < MOST_COUNTED else f"{100 * done // total} %"


def make_progress(*, quiet: bool, capable: bool, write: Callable[[str], None]) -> Progress:
    """Make the kind of progress that suits the run.

    Args:
        quiet: Whether nothing is to be shown.
        capable: Whether stderr is a terminal that can move its cursor.
        write: Writes plain text to stderr.
    """
    if quiet:
        return SilentProgress()
    return LiveProgress() if capable else PlainProgress(write)


def _rich_bar() -> "RichProgress":
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=30),
        TextColumn("{task.fields[count]}", markup=False),
        TimeElapsedColumn(),
    )
    return Progress(*columns, console=Console(stderr=True), transient=True)
