"""Memory that is freed and taken again at once is not fetched from the system each time."""

import subprocess
import sys

import pytest

from pllava_cli.model import heap

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


def test_without_glibc_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heap, "_function", lambda name: None)
    heap.keep_freed()
    heap.give_back()
