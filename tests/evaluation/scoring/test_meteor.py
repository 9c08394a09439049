"""METEOR's program: how it is told that it was given up."""

import subprocess
import time
from pathlib import Path

import pytest

from pllava_cli.evaluation.scoring import java
from pllava_cli.evaluation.scoring.java import JavaError
from pllava_cli.evaluation.scoring.meteor import meteor
from tests.evaluation import fakejava


def test_a_program_that_was_given_up_took_too_long_however_soon_its_end_is_seen(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fakejava.put(monkeypatch, tmp_path, "exec sleep 60")
    monkeypatch.setattr(java, "TIMEOUT_S", 0.1)
    kill = subprocess.Popen.kill

    def slowly(process: "subprocess.Popen[bytes]") -> None:
        """End it, and come back when its end was long seen: so it may go on a busy machine."""
        is_alive = process.poll() is None
        kill(process)
        if is_alive:
            time.sleep(0.2)

    monkeypatch.setattr(subprocess.Popen, "kill", slowly)
    with pytest.raises(JavaError, match="took longer than"):
        meteor([["a dog"]], ["a dog"])
