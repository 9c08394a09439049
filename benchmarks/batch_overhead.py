"""What `pllava batch` itself costs a clip: finding it, planning it, showing progress, keeping its record.

The real command over many tiny files (hard links), in a process of its own, first all anew, then where all
is done. Only the decoders' pictures and the model's answers are made up on the spot; the display is on a
terminal. CPU seconds count all threads, so that other load on the machine hardly shows; wall-clock time has
the waiting for the disk in it, on which every record lies before the run goes on.

    python -m benchmarks.batch_overhead [--count 100000] [--scratch FOLDER] [--profile]
"""

import argparse
import cProfile
import json
import os
import pstats
import pty
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from benchmarks.machine import describe

ROOT = Path(__file__).parents[1]
A_FOLDER = 1000
"""Files in each folder."""
A_FILE = 10_000
"""Links to each file; ext4 allows 65,000."""


def main() -> None:
    """Print a row for each run."""
    given = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    given.add_argument("--count", type=int, default=100_000)
    given.add_argument(
        "--scratch", type=Path, help="where the files are made; their disk is part of the figures"
    )
    given.add_argument("--profile", action="store_true", help="also print where the main thread's time went")
    given.add_argument("--child", nargs=2, type=Path, help=argparse.SUPPRESS)
    options = given.parse_args()
    if options.child:
        measure(*options.child, profile=options.profile)
        return
    print(describe("torch"))
    print("\n| run | clips | ms a clip, wall | ms a clip, CPU | of the wall: disk | MB above start |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(dir=options.scratch) as scratch:
        make_files(Path(scratch).absolute() / "clips", options.count)
        for name in ("all anew", "all done"):
            found = _child(Path(scratch).absolute(), profile=options.profile)
            assert found["records"] == options.count, found
            each = {key: f"{1000 * found[key] / options.count:.3f}" for key in ("wall_s", "cpu_s", "disk_s")}
            row = [name, f"{options.count:,}", each["wall_s"], each["cpu_s"], each["disk_s"]]
            print("| " + " | ".join([*row, f"{found['grown_mb']:.0f}"]) + " |", flush=True)


def make_files(folder: Path, count: int) -> None:
    """Make `count` files that pass for clips."""
    for number in range(count):
        clip = folder / f"{number // A_FOLDER:04}" / f"clip {number:06}.mp4"
        clip.parent.mkdir(parents=True, exist_ok=True)
        if number % A_FILE == 0:
            source = clip
            source.write_bytes(bytes(1000))
        else:
            os.link(source, clip)


def _child(scratch: Path, *, profile: bool) -> dict[str, Any]:
    """Measure one run, whose stderr is a terminal."""
    ours, theirs = pty.openpty()
    threading.Thread(target=_drain, args=(ours,), daemon=True).start()
    words = [sys.executable, "-m", "benchmarks.batch_overhead"]
    words += ["--child", str(scratch / "clips"), str(scratch / "out.jsonl")]
    environment = os.environ | {"TERM": "xterm-256color"}
    words += ["--profile"] * profile
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=theirs, env=environment, cwd=ROOT, check=True)
    os.close(theirs)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    if profile:
        print(found["profile"], file=sys.stderr)
    return found


def _drain(terminal: int) -> None:
    with suppress(OSError):
        while os.read(terminal, 1 << 16):
            pass


def measure(clips: Path, out: Path, *, profile: bool) -> None:
    """Run the command in this process, and print what it took as JSON."""
    from pllava_cli import app

    _pretend()
    with tempfile.TemporaryDirectory() as warm:  # libraries and checkpoint come into memory before
        make_files(Path(warm) / "clips", 1)
        words = ["batch", "--model", "tiny"]
        assert app.main([*words, f"{warm}/clips", "-o", f"{warm}/out.jsonl"]) == 0
    profiler = cProfile.Profile()
    start_mb, _ = memory_mb(forget_peak=True)
    began_s, cpu_s = time.perf_counter(), _cpu_s()
    with _disk_time() as disk:
        if profile:
            profiler.enable()
        status = app.main([*words, str(clips), "-o", str(out)])
        profiler.disable()
    wall_s, cpu_s = time.perf_counter() - began_s, _cpu_s() - cpu_s
    assert status == 0, status
    _, peak_mb = memory_mb()
    found = {"wall_s": wall_s, "cpu_s": cpu_s, "disk_s": disk[0], "grown_mb": peak_mb - start_mb}
    with out.open("rb") as lines:
        found["records"] = sum(1 for _ in lines)
    print(json.dumps(found | ({"profile": _told(profiler)} if profile else {})))


def _pretend() -> None:
    """Put something instant in the place of decoders and model."""
    import numpy as np

    from pllava_cli import engine
    from pllava_cli.answers import Answer
    from pllava_cli.crew import assignment
    from pllava_cli.encoded import DecodedClip, SeenClip
    from pllava_cli.video.report import DecodeReport

    pictures = np.zeros((1, 1, 1, 3), np.uint8)
    indices = [10 * number + 5 for number in range(16)]
    times_s = [index / 30 for index in indices]
    report = DecodeReport(indices, times_s, 5.333333, 30.0, 640, 360, 0, "h264", 160, 160, (), "splice")

    class Look:
        def __init__(self, *_: object) -> None:
            """Take what the real one takes."""

        def __call__(self, job: Any, decoder: Any) -> DecodedClip:
            return DecodedClip(job.work.clip.path, pictures, report, 0.01)

    def encode_many(self: Any, decoded: list[DecodedClip], *, max_new_tokens: int) -> Any:
        seen = [SeenClip(each.path, report, 128, {"decode": 0.01, "encode": 0.02}) for each in decoded]
        return SimpleNamespace(clips=seen)

    def answer_each(self: Any, encoded: Any, questions: dict[int, Any], **_: Any) -> Any:
        spent = {"first_token": 0.01, "generate": 0.05}
        text = "A red ball rolls from left to right, while two blue cubes stand still in front of it."
        return {
            number: Answer(f"{text} {encoded.clips[number].path.name}", asked or "", "eos", 25, spent)
            for number, asked in questions.items()
        }

    vars(assignment)["Look"] = Look
    engine.Captioner.encode_many = encode_many  # type: ignore[method-assign]
    engine.Captioner.answer_each = answer_each  # type: ignore[method-assign]


@contextmanager
def _disk_time() -> Iterator[list[float]]:
    """Count the seconds that records waited for the disk."""
    spent, sync = [0.0], os.fsync

    def timed(descriptor: int) -> None:
        began = time.perf_counter()
        sync(descriptor)
        spent[0] += time.perf_counter() - began

    os.fsync = timed
    try:
        yield spent
    finally:
        os.fsync = sync


def memory_mb(*, forget_peak: bool = False) -> tuple[float, float]:
    """Resident memory of this process now and at its peak, from which to count anew if that is wanted."""
    if forget_peak:
        Path("/proc/self/clear_refs").write_text("5")
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    now, peak = (int(fields[name].split()[0]) / 1000 for name in ("VmRSS", "VmHWM"))
    return now, peak


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _told(profiler: cProfile.Profile) -> str:
    with tempfile.NamedTemporaryFile("w+") as file:
        pstats.Stats(profiler, stream=file).sort_stats("tottime").print_stats(25)
        file.seek(0)
        return file.read()


if __name__ == "__main__":
    main()
