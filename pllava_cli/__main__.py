"""`python -m pllava_cli`, and what the `pllava` command calls.

Once the run is over the process ends at once. Python would first take torch apart, a second in which
nothing is left to do and a Ctrl-C would end a finished run by a signal.
"""

import os
import signal
import sys
from contextlib import suppress
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line and exit with its status."""
    try:
        try:
            from pllava_cli.app import main as run

            status = run()
        finally:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
    except KeyboardInterrupt:  # before or after the run, which handles its own
        status = 130
    _leave(status)


def _leave(status: int) -> NoReturn:
    """End the process now, doing by hand what of Python's own leaving is needed."""
    reader = sys.modules.get("pllava_cli.video.reader")
    if reader is not None:
        reader.stop_decoder()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):  # closed or gone: the run has reported it
            stream.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
