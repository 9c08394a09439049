"""Receipts: written whole by any number of runs at a time, and nothing is left of those that were killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pllava_cli import receipts
from pllava_cli.receipts import PulledFile, Receipt


def receipt(digit: str) -> Receipt:
    commit = digit * 40
    return Receipt({"main": commit}, {commit: (PulledFile("config.json", 2, "0" * 40, ours=True),)})


ONE, OTHER = receipt("1"), receipt("2")


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def test_what_is_written_is_read(tmp_path: Path) -> None:
    mask = os.umask(0o027)
    try:
        receipts.write(tmp_path, ONE)
    finally:
        os.umask(mask)
    assert receipts.read(tmp_path) == ONE and names(tmp_path) == [receipts.FILE]
    assert (tmp_path / receipts.FILE).stat().st_mode & 0o777 == 0o640, "others that may, read it too"
    receipts.write(tmp_path, Receipt())
    assert receipts.read(tmp_path) == Receipt() and names(tmp_path) == []


@pytest.mark.parametrize("when", ["half written", "written"])
def test_two_at_the_same_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str) -> None:
    """While one is at it, another begins and ends."""
    pending = [OTHER]

    def interrupted(*arguments: object, **options: object) -> None:
        if when == "written":
            genuine(*arguments, **options)
        if pending:
            receipts.write(tmp_path, pending.pop())
            assert receipts.read(tmp_path) == OTHER
        if when == "half written":
            genuine(*arguments, **options)

    place, name = (os, "fsync") if when == "written" else (receipts.json, "dump")  # type: ignore[attr-defined]
    genuine = getattr(place, name)
    monkeypatch.setattr(place, name, interrupted)
    receipts.write(tmp_path, ONE)
    assert receipts.read(tmp_path) == ONE and names(tmp_path) == [receipts.FILE]


def test_an_error_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    receipts.write(tmp_path, ONE)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        receipts.write(tmp_path, OTHER)
    assert receipts.read(tmp_path) == ONE and names(tmp_path) == [receipts.FILE]


_KILLED = """
import os, sys
from pathlib import Path
from pllava_cli import receipts
os.fsync = lambda descriptor: os.kill(os.getpid(), 9)
commit = "1" * 40
receipts.write(Path(sys.argv[1]), receipts.Receipt({"main": commit}, {commit: ()}))
"""


def test_what_a_kill_has_left_is_no_receipt_and_goes_in_time(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", _KILLED, tmp_path], env=os.environ, check=False)
    assert done.returncode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".") and receipts.read(tmp_path) == Receipt()
    receipts.write(tmp_path, ONE)
    assert left.exists(), "another run may be writing it"
    earlier = time.time() - 3700
    fixed = tmp_path / f".{receipts.FILE}.partial"  # as they were called before
    fixed.touch()
    for each in (left, fixed, tmp_path / receipts.FILE):
        os.utime(each, (earlier, earlier))
    receipts.write(tmp_path, OTHER)
    assert receipts.read(tmp_path) == OTHER and names(tmp_path) == [receipts.FILE]
