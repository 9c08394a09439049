"""Clips an hour of `pllava batch` beside a plain loop: decode, encode and generate, one clip at a time.

Each way runs in a process of its own, loading included, in turns; both write what was said to a file.
The share of time that the model waited for decoders is `pllava batch`'s own figure.

    python benchmarks/batch.py FOLDER [--model tiny] [--rounds 3]
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from machine import describe

LOOP = """
import json, sys
from pllava_cli import Captioner, keep_freed
from pllava_cli.errors import PllavaError
captioner = Captioner(sys.argv[1])
keep_freed()  # as `pllava batch` does
with open(sys.argv[2], "w") as out:
    for clip in sys.argv[3:]:
        try:
            text = captioner.caption(clip).text
        except PllavaError as error:
            text = str(error)
        print(json.dumps({"path": clip, "text": text}), file=out, flush=True)
"""
"""What somebody would write by hand, in one process."""


def main() -> None:
    """Print both ways' clips an hour, round by round and in the middle."""
    given = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    given.add_argument("folder", type=Path)
    given.add_argument("--model", default="tiny")
    given.add_argument("--rounds", type=int, default=3)
    options = given.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        planned = _batch(options, Path(scratch) / "first.jsonl")  # warms the disk's cache, too
        clips = [json.loads(line)["path"] for line in (Path(scratch) / "first.jsonl").open()]
        print(describe("torch", "opencv-python"))
        print(f"{len(clips)} clips, {planned['failed']} of them cannot be used")
        took: dict[str, list[float]] = {"loop": [], "batch": []}
        for number in range(options.rounds):
            began = time.perf_counter()
            words = [sys.executable, "-c", LOOP, options.model, str(Path(scratch) / "loop.jsonl"), *clips]
            subprocess.run(words, check=True, stderr=subprocess.DEVNULL)
            took["loop"].append(time.perf_counter() - began)
            began = time.perf_counter()
            end = _batch(options, Path(scratch) / f"{number}.jsonl")
            took["batch"].append(time.perf_counter() - began)
            print(f"round {number + 1}: {took['loop'][-1]:.1f} s, {took['batch'][-1]:.1f} s; {end}")
    for name, seconds in took.items():
        print(f"{name}: {3600 * len(clips) / median(seconds):,.0f} clips an hour")
    print(f"ratio: {median(took['loop']) / median(took['batch']):.2f}")


def _batch(options: argparse.Namespace, out: Path) -> dict[str, object]:
    words = [sys.executable, "-m", "pllava_cli", "batch", str(options.folder), "-o", str(out)]
    done = subprocess.run(
        [*words, "--model", options.model, "--json"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    end: dict[str, object] = json.loads(done.stdout)
    return end


if __name__ == "__main__":
    main()
