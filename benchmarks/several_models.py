"""What it costs to have clips captioned elsewhere: one process, two on this machine, two actors of Ray.

Each way runs in turn, in processes of its own. Beside the whole time stands the time of a clip once
models are loaded, from the first record to the last, by the records' own clocks. On one CPU the models
share what one has alone, so what two take longer for a clip is the cost of handing it over.

    python benchmarks/several_models.py FOLDER [--model tiny] [--rounds 3] [--ways one,devices,ray]
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from statistics import median

from machine import describe

WAYS = {
    "one": ["--device", "cpu"],
    "devices": ["--devices", "cpu,cpu"],
    "ray": ["--engine", "ray", "--device", "cpu", "--actors", "2"],
}


def main() -> None:
    """Print each way's times, round by round and in the middle."""
    given = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    given.add_argument("folder", type=Path)
    given.add_argument("--model", default="tiny")
    given.add_argument("--rounds", type=int, default=3)
    given.add_argument("--ways", default=",".join(WAYS))
    options = given.parse_args()
    print(describe("torch", "opencv-python", "ray"))
    took: dict[str, list[tuple[float, float]]] = {way: [] for way in options.ways.split(",")}
    for number in range(options.rounds):
        for way, times in took.items():
            times.append(_run(options, WAYS[way]))
            print(f"round {number + 1}, {way}: {times[-1][0]:.1f} s, {times[-1][1]:.3f} s a clip", flush=True)
    for way, times in took.items():
        whole, each = (median(column) for column in zip(*times, strict=True))
        print(f"{way}: {whole:.1f} s, {each:.3f} s a clip")


def _run(options: argparse.Namespace, words: list[str]) -> tuple[float, float]:
    """Return the seconds that a run took, and those of a clip without the start."""
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "out.jsonl"
        command = [sys.executable, "-m", "pllava_cli", "batch", str(options.folder), "-o", str(out)]
        began = time.perf_counter()
        subprocess.run([*command, "--model", options.model, *words], check=True, stderr=subprocess.DEVNULL)
        took = time.perf_counter() - began
        made = [datetime.fromisoformat(json.loads(line)["created"]) for line in out.open()]
    return took, (max(made) - min(made)).total_seconds() / max(1, len(made) - 1)


if __name__ == "__main__":
    main()
