"""How long it takes to read 16 evenly spaced frames of a clip, beside decord, PyAV and torchcodec.

python benchmarks/sampling.py --clips FOLDER [--clips FOLDER2] [--only TEXT] [--peers decord,pyav,torchcodec]

Every run is a fresh process on one core, methods take turns, and the least CPU time of all rounds counts
(user and system, of the process and its decode worker), so that other load on the machine hardly shows and
threads cost nobody anything. All methods are given the same picture numbers; their frames are compared with
ours.
"""

import argparse
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from machine import describe
from sampling_peers import PACKAGES, READERS, Request, cpu_s, quiet

CLIP_SUFFIXES = {".mp4", ".mov", ".mkv", ".webm", ".avi", ".ts", ".flv", ".mpg", ".wmv", ".gif"}
RUN_TIMEOUT_S = 600
OURS = ("pllava", "splice")


@dataclasses.dataclass
class Result:
    """What the rounds of one method on one clip came to."""

    cpu_s: float = float("inf")
    wall_s: float = float("inf")
    error: str = ""
    frames: np.ndarray | None = None


def request_for(path: Path, count: int) -> Request | None:
    """Which pictures to read, from one call of ours and one pass of PyAV over the packets."""
    import av

    from pllava_cli import PllavaError, sample_frames

    try:
        _, _, report = sample_frames(path, count)
    except PllavaError as error:
        print(f"{path.name}: {error}", file=sys.stderr)
        return None
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size and packet.pts is not None]
        tick_s = float(packets[0].time_base)
    shown = np.array(sorted(packet.pts for packet in packets if not packet.is_discard))
    keys = sorted(packet.pts for packet in packets if packet.is_keyframe)
    times_s = (shown - shown[0]) * tick_s
    indices = sorted({int(np.argmin(abs(times_s - time_s))) for time_s in report.timestamps_s})
    pts = shown[indices].tolist()
    return Request(str(path), count, indices, pts, keys, report.rotation_deg)


def run_once(method: str, request_file: Path, frames_file: Path) -> None:
    """One timed run; what the child process does."""
    quiet()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    request = Request(**json.loads(request_file.read_text()))
    read = READERS[method](request)
    cpu, wall = cpu_s(), time.perf_counter()
    frames = read()
    spent = {"cpu_s": cpu_s() - cpu, "wall_s": time.perf_counter() - wall}
    np.save(frames_file, frames)
    print("\n" + json.dumps(spent))


def measure(request: Request, methods: list[str], rounds: int, folder: Path) -> dict[str, Result]:
    """Run all methods in turns."""
    request_file = folder / "request.json"
    request_file.write_text(json.dumps(dataclasses.asdict(request)))
    results = {method: Result() for method in methods}
    for _ in range(rounds):
        for method, result in results.items():
            if result.error:
                continue
            frames_file = folder / f"{method}.npy"
            command = [sys.executable, __file__, "--run", method, str(request_file), str(frames_file)]
            try:
                done = subprocess.run(
                    command, capture_output=True, text=True, timeout=RUN_TIMEOUT_S, check=False
                )
            except subprocess.TimeoutExpired:
                result.error = "too slow"
                continue
            if done.returncode:
                print(f"{method}: {done.stderr.strip()[-500:]}", file=sys.stderr)
                result.error = "fails"
                continue
            spent = json.loads(done.stdout.strip().splitlines()[-1])
            result.cpu_s = min(result.cpu_s, spent["cpu_s"])
            result.wall_s = min(result.wall_s, spent["wall_s"])
            result.frames = np.load(frames_file) if result.frames is None else result.frames
    return results


def difference(frames: np.ndarray | None, reference: np.ndarray | None) -> str:
    """How a method's frames compare with ours."""
    if frames is None or reference is None:
        return "-"
    if frames.shape != reference.shape:
        return f"{frames.shape[2]}x{frames.shape[1]}"
    gaps = [int(np.abs(a.astype(np.int16) - b).max()) for a, b in zip(frames, reference, strict=True)]
    same = sum(gap == 0 for gap in gaps)
    return "same" if same == len(gaps) else f"{same}/{len(gaps)} same, max {max(gaps)}"


def table_row(request: Request, results: dict[str, Result]) -> str:
    """One line: our CPU seconds, each peer's with ours / peer, and how the frames compare."""
    ours = results["pllava"]
    distinct = ours.frames
    if distinct is not None and len(distinct) != len(request.indices):
        distinct = None
    cells = [Path(request.path).name]
    for method, result in results.items():
        if result.error:
            cells.append(result.error)
        elif method in OURS:
            cells.append(f"**{result.cpu_s:.3f}**" if method == "pllava" else f"{result.cpu_s:.3f}")
        else:
            cells.append(f"{result.cpu_s:.3f} ({ours.cpu_s / result.cpu_s:.2f})")
    cells += [difference(result.frames, distinct) for method, result in results.items() if method != "pllava"]
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    """Measure every clip and print a Markdown table."""
    given = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    given.add_argument(
        "--clips", action="append", type=Path, default=[], help="a folder of clips, or one clip"
    )
    given.add_argument(
        "--only", default="", help="only clips whose name contains one of these, comma-separated"
    )
    given.add_argument("--peers", default="opencv,decord,pyav,torchcodec")
    given.add_argument("--frames", type=int, default=16)
    given.add_argument("--rounds", type=int, default=3)
    given.add_argument("--run", nargs=3, help=argparse.SUPPRESS)
    asked = given.parse_args()
    if asked.run:
        run_once(asked.run[0], Path(asked.run[1]), Path(asked.run[2]))
        return
    methods = [*OURS, *(peer for peer in asked.peers.split(",") if peer)]
    if unknown := set(methods) - set(READERS):
        given.error(f"unknown peers: {', '.join(sorted(unknown))}; known: {', '.join(READERS)}")
    packages = ["opencv-python", "numpy", *(PACKAGES.get(method, method) for method in methods[2:])]
    print(describe(*dict.fromkeys(packages)))
    print(f"\n{asked.frames} frames, least CPU seconds of {asked.rounds} interleaved rounds (ours / peer)\n")
    compared = [f"{method} frames" for method in methods if method != "pllava"]
    print("| clip | " + " | ".join([*methods, *compared]) + " |")
    print("|---" * (1 + len(methods) + len(compared)) + "|")
    names = [name for name in asked.only.split(",") if name]
    for path in clips_in(asked.clips):
        if names and not any(name in path.name for name in names):
            continue
        request = request_for(path, asked.frames)
        if request:
            with tempfile.TemporaryDirectory() as folder:
                print(table_row(request, measure(request, methods, asked.rounds, Path(folder))), flush=True)


def clips_in(places: list[Path]) -> list[Path]:
    """Every clip in the given folders, by name."""
    found: list[Path] = []
    for place in places:
        inside = sorted(place.iterdir()) if place.is_dir() else [place]
        found += [path.absolute() for path in inside if path.suffix in CLIP_SUFFIXES]
    return found


if __name__ == "__main__":
    main()
