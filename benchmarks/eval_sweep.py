"""What a sweep over alpha costs beside one run, with clips seen once for all its settings and without.

The real command, `pllava eval mvbench` with the checkpoint that comes with the tool, over an MVBench in
miniature, every row in a process of its own with a cache of its own. The aim is a sweep of eight alphas
within 2.5 times the time of one run. CPU seconds are those of the process and of all that it starts; beside
other load they say more than seconds by the clock do.

    python -m benchmarks.eval_sweep [--each 4] [--alphas 0,4,...] [--rounds 2] [--threads N]
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.machine import describe
from tests.evaluation.miniature import mvbench

ROOT = Path(__file__).parents[1]
ALPHAS = "0,4,8,16,32,64,96,128"
"""The checkpoint's own is 64."""
NOT_KEPT = "--no-keep-visual"
"""The flag without which visual tokens are kept."""


@dataclass(frozen=True)
class Row:
    """A command that is measured."""

    name: str
    alphas: str
    is_kept: bool
    """Whether visual tokens are kept."""
    is_known: bool = False
    """Whether an earlier run has kept them all."""


def main() -> None:
    """Print a row for each way to run, beside one run that keeps what it sees."""
    given = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    given.add_argument("--each", type=int, default=4, help="questions of each of the 20 tasks")
    given.add_argument("--alphas", default=ALPHAS)
    given.add_argument("--rounds", type=int, default=2, help="the least of so many is told")
    given.add_argument("--threads", type=int, help="of torch; else as many as there are cores")
    given.add_argument("--scratch", type=Path, help="where files are made; their disk is part of the figures")
    options = given.parse_args()
    if options.threads:
        os.environ["OMP_NUM_THREADS"] = str(options.threads)
    own, count = "64", len(options.alphas.split(","))
    rows = [
        Row("one run, nothing kept", own, is_kept=False),
        Row("one run, kept from now on", own, is_kept=True),
        Row("one run, all known", own, is_kept=True, is_known=True),
        Row(f"{count} alphas, nothing kept", options.alphas, is_kept=False),
        Row(f"{count} alphas, kept from the first on", options.alphas, is_kept=True),
        Row(f"{count} alphas, all known", options.alphas, is_kept=True, is_known=True),
    ]
    print(describe("torch", "transformers"))
    with tempfile.TemporaryDirectory(dir=options.scratch) as scratch:
        data = mvbench(Path(scratch).absolute() / "data", each=options.each)
        least = {row: (float("inf"), float("inf")) for row in rows}
        for number in range(options.rounds):
            for row in rows:
                work = Path(scratch).absolute() / f"{number}-{rows.index(row)}"
                wall_s, cpu_s = measure(row, data, work)
                least[row] = (min(least[row][0], wall_s), min(least[row][1], cpu_s))
    print(f"{20 * options.each} questions\n\n| what | s | times one run | CPU s | times one run |")
    print("|---|---|---|---|---|")
    one = least[rows[1]]
    for row in rows:
        pairs = [(each, each / beside) for each, beside in zip(least[row], one, strict=True)]
        print("| " + " | ".join([row.name, *(f"{value:.2f}" for pair in pairs for value in pair)]) + " |")


def measure(row: Row, data: Path, work: Path) -> tuple[float, float]:
    """Run the command; returns the seconds it took, by the clock and of the processors.

    Args:
        row: Which.
        data: The benchmark.
        work: A folder for its cache and what it writes, not there yet.
    """
    cache = work / "cache"
    cache.mkdir(parents=True)
    if row.is_known:
        _run(Row("", "64", is_kept=True), data, work / "before", cache)
    began_s, cpu_s = time.perf_counter(), _cpu_s()
    _run(row, data, work / "out", cache)
    return time.perf_counter() - began_s, _cpu_s() - cpu_s


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _run(row: Row, data: Path, out: Path, cache: Path) -> None:
    words = [sys.executable, "-m", "pllava_cli", "eval", "mvbench", "--data", str(data), "-o", str(out)]
    words += ["--model", "tiny", "--dtype", "fp32", "--device", "cpu", "--alpha", row.alphas, "--json"]
    words += [] if row.is_kept else [NOT_KEPT]
    environment = os.environ | {"XDG_CACHE_HOME": str(cache), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(words)}\n{done.stderr}")
    json.loads(done.stdout)
    is_there = any((cache / "pllava").rglob("*.safetensors"))
    assert is_there == row.is_kept, "visual tokens are not where they should be"


if __name__ == "__main__":
    main()
