"""How much memory `pllava batch` takes for clips in 4K, by their number: it is to have a bound.

The real command with `tiny` over links to one clip of 3840 x 2160 pixels, and what it and its decoders hold
together, looked at twenty times a second. RSS counts memory that processes share once for each of them, PSS
once for all.

    python -m benchmarks.batch_memory [--counts 8 24] [--seconds 2] [-- more options of pllava batch]
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.machine import describe

ROOT = Path(__file__).parents[1]
LOOK_EVERY_S = 0.05
FPS = 24
SIZE_PX = (3840, 2160)


@dataclass
class Peak:
    """The most that a process and its descendants were seen to hold, in MB."""

    rss_mb: float = 0.0
    pss_mb: float = 0.0
    processes: int = 0

    def look(self, process: psutil.Process) -> None:
        """Look once."""
        with suppress(psutil.NoSuchProcess):
            found = [memory for each in _tree(process) if (memory := _memory_mb(each)) is not None]
            self.rss_mb = max(self.rss_mb, sum(rss for rss, _ in found))
            self.pss_mb = max(self.pss_mb, sum(pss for _, pss in found))
            self.processes = max(self.processes, len(found))


def main() -> None:
    """Print a row for each number of clips."""
    given = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    given.add_argument("--counts", type=int, nargs="+", default=[8, 24])
    given.add_argument("--seconds", type=float, default=2.0, help="length of the clip")
    given.add_argument("more", nargs="*", help="options of pllava batch")
    options = given.parse_args()
    print(describe("torch", "opencv-python"))
    with tempfile.TemporaryDirectory() as scratch:
        clip = write_clip(Path(scratch) / "clip.mp4", round(options.seconds * FPS))
        print("\n| clips in 4K | peak PSS, MB | peak RSS, MB | processes | seconds |\n|---|---|---|---|---|")
        for count in options.counts:
            folder = Path(scratch) / str(count)
            folder.mkdir()
            for number in range(count):
                os.link(clip, folder / f"{number:03}.mp4")
            began = time.perf_counter()
            peak = peak_of(folder, options.more)
            took_s = time.perf_counter() - began
            figures = f"{peak.pss_mb:.0f} | {peak.rss_mb:.0f} | {peak.processes} | {took_s:.0f}"
            print(f"| {count} | {figures} |", flush=True)


def write_clip(path: Path, frames: int) -> Path:
    """A clip in 4K in which everything moves."""
    import cv2
    import numpy as np

    width, height = SIZE_PX
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), FPS, SIZE_PX)
    blocks = np.random.default_rng(1).integers(0, 256, (height // 40, width // 40, 3), np.uint8)
    picture = cv2.resize(blocks, SIZE_PX, interpolation=cv2.INTER_NEAREST)
    for number in range(frames):
        writer.write(np.roll(picture, 16 * number, axis=1))
    writer.release()
    return path


def peak_of(folder: Path, more: list[str]) -> Peak:
    """Run the command over a folder and watch it."""
    words = [sys.executable, "-m", "pllava_cli", "batch", str(folder), "--model", "tiny", "--json"]
    with tempfile.TemporaryDirectory() as scratch, tempfile.TemporaryFile("w+") as summary:
        words += ["-o", f"{scratch}/out.jsonl", *more]
        with subprocess.Popen(words, stdout=summary, stderr=subprocess.DEVNULL, cwd=ROOT) as process:
            peak = watch(process)
        summary.seek(0)
        end = json.load(summary)
        assert process.returncode == 0 and end["done"] >= len(list(folder.iterdir())), end
    return peak


def watch(process: "subprocess.Popen[bytes]") -> Peak:
    """Look at a process until it ends."""
    peak, watched = Peak(), psutil.Process(process.pid)
    while process.poll() is None:
        peak.look(watched)
        time.sleep(LOOK_EVERY_S)
    return peak


def _tree(process: psutil.Process) -> list[psutil.Process]:
    return [process, *process.children(recursive=True)]


def _memory_mb(process: psutil.Process) -> tuple[float, float] | None:
    """RSS and PSS of a process; None if it has gone meanwhile."""
    try:
        memory = process.memory_full_info()
    except psutil.Error:
        return None
    return memory.rss / 1e6, memory.pss / 1e6


if __name__ == "__main__":
    main()
