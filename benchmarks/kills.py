"""Whether `pllava batch` loses anything, or makes it twice, when it is killed again and again.

Clips of the built-in world go through a checkpoint; at random moments while a clip is decoded, while
texts are generated, or within the write of a record, the run sends itself a signal, and is started again,
until all is done. What is then in the file is held against a run that nobody disturbed. A row of Markdown
for each signal goes to stdout, what happens meanwhile to stderr; the exit status is 1 if anything is wrong.

    python benchmarks/kills.py [--signals KILL,INT,TERM] [--kills 30] [--clips 60] [--model tiny]

The runs are forked from a process that has imported torch, which takes most of the time of a start;
from there on they are the whole command, decoders and journal included.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import mean
from typing import Any

import psutil

MARK = "PLLAVA_BENCHMARK_KILLS"
"""A variable that tells the processes of this benchmark from all others."""
MOST_BEFORE = {"decode": 6, "generate": 2, "write": 8}
"""A run is killed in one of so many first decodes, batches and writes, so that it gets on by a few clips."""
PHASES = tuple(MOST_BEFORE)
PATIENCE_S = 60.0
"""How long decoders may take to notice that nobody wants them any more."""
HEAD = (
    "| signal | kills in decode, generate, write | starts | clips | lines torn | lost | twice | different"
    " | tracebacks | wrong exit statuses | decoders left over |\n" + "|---" * 11 + "|"
)


@dataclass(frozen=True)
class Kill:
    """When a run ends itself."""

    number: int
    """Of the signal."""
    phase: str
    nth: int
    """In which call."""
    delay_s: float
    """How long after its beginning; of no account in a write."""
    share: float
    """How much of the record is written before."""

    def arm(self) -> None:
        """Lay the mine in this process."""
        import threading

        from pllava_cli.batch import journal
        from pllava_cli.engine import Captioner
        from pllava_cli.video.process import DecodeWorker

        lock, calls = threading.Lock(), 0

        def is_now() -> bool:
            nonlocal calls
            with lock:
                calls += 1
                return calls == self.nth

        def strike() -> None:
            os.kill(os.getpid(), self.number)

        def timed(owner: type, name: str) -> None:
            real = getattr(owner, name)

            def call(*words: Any, **options: Any) -> Any:
                if is_now():
                    timer = threading.Timer(self.delay_s, strike)
                    timer.daemon = True
                    timer.start()
                return real(*words, **options)

            setattr(owner, name, call)

        write = journal._write

        def torn(descriptor: int, raw: bytes) -> None:
            if is_now():
                written = int(self.share * len(raw))
                os.write(descriptor, raw[:written])
                strike()
                raw = raw[written:]
            write(descriptor, raw)

        if self.phase == "decode":
            timed(DecodeWorker, "decode")
        elif self.phase == "generate":
            timed(Captioner, "answer_many")
        else:
            journal._write = torn


def stage() -> None:
    """Import what takes long, then fork a run for each line on stdin; its status goes to stdout."""
    import pllava_cli.engine  # noqa: F401
    from pllava_cli.app import main as pllava

    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            for descriptor, name in ((0, os.devnull), (1, order["out"]), (2, order["err"])):
                os.dup2(os.open(name, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666), descriptor)
            if order["kill"] is not None:
                Kill(**order["kill"]).arm()
            os._exit(pllava(order["words"]))
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        sys.stdout.write(f"{status}\n")
        sys.stdout.flush()


@dataclass
class Row:
    """What came of the kills by one signal."""

    name: str
    kills: Counter[str] = field(default_factory=Counter)
    starts: int = 0
    clips: int = 0
    torn: int = 0
    lost: int = 0
    twice: int = 0
    different: int = 0
    tracebacks: int = 0
    statuses: int = 0
    left_over: int = 0

    @property
    def is_clean(self) -> bool:
        """Whether nothing is wrong."""
        wrong = self.lost, self.twice, self.different, self.tracebacks, self.statuses, self.left_over
        return not any(wrong)

    def __str__(self) -> str:
        phases = ", ".join(str(self.kills[phase]) for phase in PHASES)
        cells = [f"SIG{self.name}", f"{self.kills.total()}: {phases}", self.starts, self.clips, self.torn]
        cells += [self.lost, self.twice, self.different, self.tracebacks, self.statuses, self.left_over]
        return "| " + " | ".join(map(str, cells)) + " |"


class Benchmark:
    """A folder of clips, what an undisturbed run says of them, and runs that are killed."""

    def __init__(self, options: argparse.Namespace, scratch: Path) -> None:
        self._options, self._scratch = options, scratch
        self._random = random.Random(options.seed)
        self._mark = uuid.uuid4().hex
        self._stage = subprocess.Popen(
            [sys.executable, __file__, "--stage"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {MARK: self._mark, "TMPDIR": str(scratch), "TOKENIZERS_PARALLELISM": "false"},
            text=True,
        )
        self._clips = self._made(scratch / "clips")
        whole = scratch / "whole.jsonl"
        began = time.perf_counter()
        status = self._run(whole, None)
        self._truth = dict(self._found(whole))
        if status != 3 or len(self._truth) != options.clips + 1:
            raise SystemExit(f"the undisturbed run ended with {status}; {(scratch / 'err').read_text()}")
        self._tell(f"undisturbed: {time.perf_counter() - began:.0f} s")
        spent = [json.loads(line)["elapsed_s"] for line in whole.open()]
        self._longest_s = {
            "decode": mean(each["decode"] for each in spent if each),
            "generate": mean(each["generate"] for each in spent if each),
            "write": 0.0,
        }

    def close(self) -> None:
        """End the process that runs are forked from."""
        self._stage.communicate()

    def row(self, name: str) -> Row:
        """Kill runs by a signal, and see what becomes of them."""
        row, number = Row(name), int(getattr(signal, f"SIG{name}"))
        files = 0
        while row.kills.total() < self._options.kills:
            out = self._scratch / f"{name}-{files}.jsonl"
            files += 1
            self._until_done(row, number, out)
            self._compare(row, out)
        return row

    def _until_done(self, row: Row, number: int, out: Path) -> None:
        """Run and kill until a file is finished; the last kills spent, without."""
        while True:
            count = row.kills.total()
            kill = self._kill(number, PHASES[count % len(PHASES)]) if count < self._options.kills else None
            row.starts += 1
            status = self._run(out, kill)
            row.left_over += self._left_over()
            row.tracebacks += (self._scratch / "err").read_text().count("Traceback")
            is_killed = status == (-number if number == signal.SIGKILL else 128 + number)
            if kill is None or not is_killed:
                row.statuses += status != 3
                return
            row.kills[kill.phase] += 1
            row.torn += self._is_torn(out)
            done = len(dict(self._found(out))) if out.exists() else 0
            self._tell(
                f"SIG{row.name} {row.kills.total()} in {kill.phase} {kill.nth}, {done} records in {out.name}"
            )

    def _kill(self, number: int, phase: str) -> Kill:
        nth = self._random.randint(1, MOST_BEFORE[phase])
        delay_s = self._random.uniform(0, self._longest_s[phase])
        return Kill(number, phase, nth, delay_s, self._random.random())

    def _run(self, out: Path, kill: Kill | None) -> int:
        words = ["batch", str(self._clips), "-o", str(out), "--model", self._options.model]
        words += ["--batch-size", "4", "--workers", "2"]
        err = self._scratch / "err"
        err.unlink(missing_ok=True)
        order = {"words": words, "out": os.devnull, "err": str(err), "kill": kill and asdict(kill)}
        assert self._stage.stdin is not None and self._stage.stdout is not None
        self._stage.stdin.write(json.dumps(order) + "\n")
        self._stage.stdin.flush()
        return int(self._stage.stdout.readline())

    def _compare(self, row: Row, out: Path) -> None:
        found: dict[str, list[Any]] = {}
        for path, said in self._found(out):
            found.setdefault(path, []).append(said)
        row.clips += len(self._truth)
        row.lost += len(self._truth.keys() - found.keys())
        # The clip that cannot be used is tried again in every run: only its last record counts.
        row.twice += sum(len(each) > 1 and each[0][0] == "ok" for each in found.values())
        row.different += sum(each[-1] != self._truth.get(path) for path, each in found.items())

    def _found(self, file: Path) -> Iterator[tuple[str, Any]]:
        """Yield what the lines that are whole say of which clip."""
        for line in file.read_bytes().splitlines(keepends=True):
            if line.endswith(b"\n"):
                plain = json.loads(line)
                yield plain["path"], (plain["status"], plain["text"], plain["fingerprint"])

    def _is_torn(self, file: Path) -> bool:
        raw = file.read_bytes() if file.exists() else b""
        return bool(raw) and not raw.endswith(b"\n")

    def _left_over(self) -> int:
        """Count the processes of runs that are still there once all should be gone."""
        deadline = time.monotonic() + PATIENCE_S
        while (count := sum(1 for _ in self._others())) and time.monotonic() < deadline:
            time.sleep(0.05)
        return count

    def _others(self) -> Iterator[psutil.Process]:
        for process in psutil.process_iter():
            try:
                is_ours = process.environ().get(MARK) == self._mark
                if is_ours and process.pid != self._stage.pid and process.status() != psutil.STATUS_ZOMBIE:
                    yield process
            except psutil.Error:
                continue

    def _made(self, folder: Path) -> Path:
        """Make the clips, and one that cannot be used."""
        command = [sys.executable, "-m", "pllava_cli", "shapes", "make", str(folder), "-q"]
        subprocess.run([*command, "--count", str(self._options.clips), "--seed", "7"], check=True)
        (folder / "clips" / "empty.mp4").touch()
        return folder / "clips"

    def _tell(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a row for each signal; returns the exit status."""
    given = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    given.add_argument("--signals", default="KILL,INT,TERM")
    given.add_argument("--kills", type=int, default=30, help="of each signal")
    given.add_argument("--clips", type=int, default=60)
    given.add_argument("--model", default="tiny")
    given.add_argument("--seed", type=int, default=0)
    given.add_argument("--stage", action="store_true", help=argparse.SUPPRESS)
    options = given.parse_args(arguments)
    if options.stage:
        stage()
        return 0
    from machine import describe

    is_clean = True
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        benchmark = Benchmark(options, Path(scratch))
        print(describe("torch", "opencv-python"))
        print(HEAD, flush=True)
        for name in options.signals.split(","):
            row = benchmark.row(name)
            print(row, flush=True)
            is_clean = is_clean and row.is_clean
        benchmark.close()
    return 0 if is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
