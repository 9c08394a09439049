"""Memory that is freed and taken again at once is not fetched from the system each time."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import pllava_cli
from pllava_cli import app
from pllava_cli.crew.assignment import Assignment, Opening
from pllava_cli.model import heap
from pllava_cli.recording import Recording, model_of
from pllava_cli.records import Decoding

_CODE = """
import resource
from pllava_cli.model import heap
{before}
for number in range(12):
    some = [bytearray({size}) for _ in range(3)]
    del some
    if number < 2:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(before: str, size: int) -> int:
    """Pages that a program has the system hand out once it has done the same twice."""
    code = _CODE.format(before=before, size=size)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(heap._function("mallopt") is None, reason="no glibc here")
@pytest.mark.parametrize("size", [8 << 20, 100 << 20])
def test_what_is_kept_is_not_fetched_again(size: int) -> None:
    assert faults("heap.keep_freed()", size) < faults("", size) / 4


@pytest.fixture
def set_to(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """What malloc is told, in place of telling it."""
    told: list[tuple[int, ...]] = []

    def option(*values: int) -> int:
        told.append(values)
        return 1

    real = heap._function
    monkeypatch.setattr(heap, "_function", lambda name: option if name == "mallopt" else real(name))
    return told


KEPT = [(-1, 1 << 30), (-4, 0)]


def test_a_program_that_uses_the_package_is_left_as_it_is(plain: Path, set_to: list[Any]) -> None:
    exact: dict[str, Any] = {"device": "cpu", "dtype": "fp32", "quantize": "none"}
    pllava_cli.load_model(plain, **exact)
    pllava_cli.Captioner(plain, **exact)
    assert set_to == []
    pllava_cli.keep_freed()
    assert set_to == KEPT


def test_a_command_keeps_what_it_frees(plain: Path, clip: Path, set_to: list[Any], isolated: Path) -> None:
    assert app.main(["caption", str(clip), "--model", str(plain), "--device", "cpu", "-q"]) == 0
    assert set_to == KEPT


def test_a_worker_keeps_what_it_frees(plain: Path, set_to: list[Any]) -> None:
    exact: dict[str, Any] = {"device": "cpu", "dtype": "fp32", "quantize": "none"}
    model = model_of(pllava_cli.Captioner(plain, **exact))
    recording = Recording(model, Decoding(8, 0.0, 1.0, None), "", "Describe it.")
    Opening({"model": plain, **exact}, Assignment(recording, (None,), 60.0, 1, 1), sharing=1)()
    assert set_to == KEPT


def test_without_glibc_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heap, "_function", lambda name: None)
    heap.keep_freed()
    heap.give_back()
