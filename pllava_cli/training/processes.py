"""The processes of one run, where accelerate has started several: who goes first, and who speaks.

The main one alone reads what nobody has read yet, writes and speaks. The others wait until it has, so
that two never write one file, and an error is told once.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from pllava_cli.errors import ExitStatus

PATIENCE = timedelta(days=7)
"""How long a process waits for another; the library's 10 or 30 minutes are too few to decode many clips."""


def count() -> int:
    """How many processes the run has."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_main() -> bool:
    """Whether this is the one that writes and speaks."""
    return os.environ.get("RANK", "0") == "0"


def local_number() -> int:
    """The number of this process on its machine."""
    return int(os.environ.get("LOCAL_RANK", "0"))


@contextmanager
def main_first(*, on_cpu: bool) -> Iterator[None]:
    """Let the main process go before the others.

    Args:
        on_cpu: Whether the run uses no GPU; asked once, when the processes meet.

    Raises:
        SystemExit: The main process has ended meanwhile, and has said why.
    """
    if count() == 1:
        yield
        return
    from accelerate import PartialState

    state = PartialState(cpu=on_cpu, timeout=PATIENCE)
    if is_main():
        yield
        state.wait_for_everyone()
        return
    try:
        state.wait_for_everyone()
    except RuntimeError:  # the connection is closed
        raise SystemExit(ExitStatus.BUG) from None
    yield


def wait_for_all() -> None:
    """Wait until every process has come here."""
    if count() > 1:
        from accelerate import PartialState

        PartialState().wait_for_everyone()


class Silent:
    """A reporter for the processes that do not speak."""

    def progress(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Show nothing."""

    def say(self, text: str) -> None:
        """Say nothing."""

    def warn(self, text: str) -> None:
        """Warn of nothing."""
