"""Memory that is freed and taken again at once is not fetched from the system each time."""

import subprocess
import sys

import pytest

from pllava_cli.model import heap

_CODE = """
import resource
from pllava_cli.model import heap
{before}
for number in range(20):
    some = [bytearray(8 << 20) for _ in range(8)]
    del some
    if number < 2:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(before: str) -> int:
    """Pages that a program has the system hand out once it has done the same twice."""
    done = subprocess.run(
        [sys.executable, "-c", _CODE.format(before=before)], capture_output=True, text=True, check=True
    )
    return int(done.stdout)


@pytest.mark.skipif(heap._function("mallopt") is None, reason="no glibc here")
def test_what_is_kept_is_not_fetched_again() -> None:
    assert faults("heap.keep_freed()") < faults("") / 4


def test_without_glibc_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heap, "_function", lambda name: None)
    heap.keep_freed()
    heap.give_back()
