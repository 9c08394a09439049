"""The benchmarks of `pllava batch`: that they look at what they say, and still fit the command."""

import json
import os
import subprocess
import sys
from mmap import mmap
from pathlib import Path

import psutil
import pytest

from benchmarks.batch_memory import Peak, watch
from benchmarks.batch_overhead import make_files, memory_mb
from pllava_cli.batch import discovery

ROOT = Path(__file__).parents[1]
LINUX = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peaks are read from /proc")


def test_files_are_clips_of_their_own_for_the_command(tmp_path: Path) -> None:
    make_files(tmp_path / "clips", 1001)
    works = list(discovery.find([str(tmp_path / "clips")], warn=pytest.fail))
    assert len({work.clip.path for work in works}) == 1001
    assert len({work.clip.path.stat().st_ino for work in works}) == 1
    assert {work.fault for work in works} == {None}


@LINUX
def test_a_peak_is_counted_from_when_it_is_forgotten() -> None:
    with mmap(-1, 80 << 20) as block:  # unlike what the allocator has, it goes back at once
        for _ in range(80):
            block.write(bytes(1 << 20))
    _, before = memory_mb()
    start, peak = memory_mb(forget_peak=True)
    _, after = memory_mb()
    assert before > start + 60 and peak >= after - 1
    assert after < before - 60


@LINUX
def test_memory_of_descendants_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mark, look = tmp_path / "it has grown", Peak.look
    grown = f"import sys; block = b'x' * 80_000_000; open({str(mark)!r}, 'x'); sys.stdin.read()"
    script = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {grown!r}])"

    def look_at_it_grown(peak: Peak, watched: psutil.Process) -> None:
        has_grown = mark.exists()
        look(peak, watched)
        if has_grown and process.stdin is not None:
            process.stdin.close()  # which ends it

    monkeypatch.setattr(Peak, "look", look_at_it_grown)
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE) as process:
        peak = watch(process)
    assert peak.processes == 2
    assert 80 < peak.pss_mb <= peak.rss_mb + 1 < 300


def test_the_overhead_is_that_of_the_command(tmp_path: Path) -> None:
    """What is pretended must still be what the command uses: else it would decode, and fail."""
    make_files(tmp_path / "clips", 3)
    words = [sys.executable, "-m", "benchmarks.batch_overhead"]
    words += ["--child", str(tmp_path / "clips"), str(tmp_path / "out.jsonl")]
    done = subprocess.run(
        words,
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["records"] == 3 and found["cpu_s"] > 0 and found["wall_s"] >= found["disk_s"] > 0
