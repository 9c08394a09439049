"""The real command in a process of its own, which stands still in the midst of a record: there is no earlier
and no later for whoever stops or kills it then."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.processes import is_stopped, until

ROOT = Path(__file__).parents[2]
_CODE = """
import os, signal, sys
from pllava_cli.batch import growing
write, left = growing._write, int(sys.argv.pop(1))
def halting(descriptor, raw):
    global left
    left -= 1
    if left == -1:
        written = os.write(descriptor, raw[: len(raw) // 2])
        signal.raise_signal(signal.SIGSTOP)  # of this very thread, which goes no further
        raw = raw[written:]
    write(descriptor, raw)
growing._write = halting
from pllava_cli.__main__ import main
main()
"""


def halted(whole: int, *words: str, **options: Any) -> subprocess.Popen[bytes]:
    """Start a command, and wait until it has written so many records and half of one more.

    SIGCONT lets it go on as if nothing had been.
    """
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "TMPDIR": str(Path.cwd())}
    command = [sys.executable, "-c", _CODE, str(whole), *words]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, **options)
    until(lambda: is_stopped(process.pid), process)
    return process
