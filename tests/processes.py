"""Other processes and threads, asked about in ways that hold while they end.

A process may end between two questions, and where nobody reaps orphans, as in many containers, it stays a
zombie for ever.
"""

import subprocess
import time
from collections.abc import Callable
from typing import Any

import psutil

PATIENCE_S = 120.0
"""For machines that have other things to do: on a free one nothing that is waited for takes seconds."""
LOOK_EVERY_S = 0.01


def until(holds: Callable[[], object], of: "subprocess.Popen[Any] | None" = None) -> None:
    """Wait until something holds.

    Args:
        holds: Asked again and again, in this thread.
        of: A process without which it never will: that it has ended is told at once, with what it said.
    """
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        if of is not None and of.poll() is not None and not holds():
            raise AssertionError(f"it ended with status {of.returncode}: {of.communicate()}")
        assert time.monotonic() < deadline, f"it does not happen within {PATIENCE_S:.0f} s"
        time.sleep(LOOK_EVERY_S)


def has_ended(process: psutil.Process) -> bool:
    """Whether a process has ended, whoever has its number by now."""
    try:
        return not process.is_running() or process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.NoSuchProcess:
        return True


def is_stopped(pid: int) -> bool:
    """Whether a process stands still by a SIGSTOP."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_STOPPED
    except psutil.NoSuchProcess:
        return False


def running_children(pid: int | None = None, *, recursive: bool = False) -> list[psutil.Process]:
    """The children that run still, of a process that may have ended; None: of this one."""
    try:
        children = psutil.Process(pid).children(recursive=recursive)
    except psutil.NoSuchProcess:
        return []
    return [each for each in children if not has_ended(each)]


def until_ended(*processes: psutil.Process) -> None:
    """Wait until processes have ended, whoever has started them."""
    until(lambda: all(map(has_ended, processes)))
