"""How a long run is stopped: the first signal lets it finish what is under way, the second ends it.

To end at once is safe at any moment, as what was written stays valid; so the second signal waits for
nothing, not even for the model to come out of the operation it is in.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

from pllava_cli.signals import Signals
from pllava_cli.terminal import Terminal

_SAID = b"\nfinishing what is under way; once more stops at once\n"


class Stopping(Signals):
    """Takes SIGINT and SIGTERM for as long as it lasts.

    Args:
        terminal: Left usable by a sudden end.
        stop: Called at the first signal, from within its handler.
    """

    def __init__(self, terminal: Terminal, stop: Callable[[], None]) -> None:
        super().__init__(self._handle)
        self._terminal, self._stop = terminal, stop
        self.status: int | None = None
        """The exit status that the first signal leads to."""

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.status is not None:
            self._terminal.abandon()
            os._exit(128 + number)
        self.status = 128 + number
        self._stop()
        if not self._terminal.quiet:
            with suppress(OSError):
                os.write(2, _SAID)  # past all buffers: a write to them may be what was interrupted
