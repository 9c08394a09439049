"""How the process ends: with a signal, with the run, and with nothing left behind."""

import os
import signal
import subprocess
import sys

import pytest

import pllava_cli
from tests.command_line.conftest import SLOW, start
from tests.processes import PATIENCE_S


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_keep_what_was_said_and_end_its_line(
    environment: dict[str, str], number: signal.Signals, status: int
) -> None:
    with start(environment, "caption", "a.mp4", "b.mp4", script=SLOW) as process:
        assert process.stdout is not None
        said = process.stdout.read(len("A bird"))
        process.send_signal(number)
        rest, err = process.communicate(timeout=PATIENCE_S)
    assert (said + rest, process.returncode) == (b"A bird\n", status)
    assert err == b"==> a.mp4 <==\n"


def test_an_ignored_interrupt_stays_ignored(environment: dict[str, str]) -> None:
    def ignore() -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    slow = {"answers": [["A bird", " flies."]], "pause_s": 2.0}
    with start(environment, "caption", "a.mp4", script=slow, preexec_fn=ignore) as process:
        assert process.stdout is not None
        said = process.stdout.read(len("A bird"))
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=PATIENCE_S)
    assert (said + rest, process.returncode) == (b"A bird flies.\n", 0)


def test_the_process_ends_with_the_run(environment: dict[str, str]) -> None:
    """Nothing of Python's own leaving runs, which an interrupt could break off."""
    code = (
        "import atexit, sys, time; atexit.register(lambda: print('left late'));"
        "sys.argv[1:] = ['--version']; from pllava_cli.__main__ import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (0, f"pllava {pllava_cli.__version__}\n".encode())


def test_the_decode_worker_ends_with_the_process(environment: dict[str, str]) -> None:
    code = (
        "import sys; from pllava_cli.video import reader;"
        "reader.start_decoder(); print(reader.decoder_pid(), flush=True);"
        "sys.argv[1:] = ['--version']; from pllava_cli.__main__ import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True)
    with pytest.raises(ProcessLookupError):
        os.kill(int(done.stdout.split()[0]), 0)
