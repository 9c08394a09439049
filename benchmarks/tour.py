"""A checkpoint of a released one's size from the hub to a caption and away again, every step a command.

Random weights of the exact shapes in the released layout are served by a hub on this machine, whose files
are mapped from the disk. Each step is the real command in a fresh process; a table of Markdown says how long
it took and the most memory it had. The exit status is 1 if a step fails, or does not do what it is for.

    python -m benchmarks.tour CLIP [--shape 7b] [--checkpoint FOLDER]

Needs twice the checkpoint's size of disk, and a third of it more (7b: 14.3 GB); all is deleted afterwards
but a FOLDER that was given.
"""

import argparse
import mmap
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

from benchmarks.machine import describe
from tests.hub import server

NAME, REPO = "random", "someone/random"
ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Step:
    """A command that was run to its end."""

    words: Sequence[str]
    status: int
    out: str
    seconds: float
    peak_bytes: int


def main() -> None:
    """Take the tour and print its table."""
    given = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    given.add_argument("clip", type=Path)
    given.add_argument("--shape", default="7b")
    given.add_argument("--checkpoint", type=Path)
    given.add_argument("--tokens", default="40")
    options = given.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        source = options.checkpoint or _written(Path(scratch) / "source", options.shape)
        size = sum(path.stat().st_size for path in source.iterdir())
        print(describe("torch", "transformers", "bitsandbytes", "huggingface_hub"))
        print(f"\n{options.shape} shape, {size / 1e9:.1f} GB, {options.clip.name}, {options.tokens} tokens\n")
        print("| command | seconds | peak GB | exit |\n|---|---|---|---|", flush=True)
        with _hub(source) as hub:
            sys.exit(0 if _tour(options, Path(scratch), hub) else 1)


class _Hub:
    """A hub in another process, whose memory would else count as that of the commands."""

    def __init__(self, link: "Connection[None, int]") -> None:
        self._link = link
        self.url = f"http://127.0.0.1:{link.recv()}"

    @property
    def asked(self) -> int:
        """Requests until now."""
        self._link.send(None)
        return self._link.recv()


@contextmanager
def _hub(source: Path) -> Iterator[_Hub]:
    context = get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(source, there), daemon=True)
    process.start()
    try:
        yield _Hub(here)
    finally:
        process.kill()


def _serve(source: Path, link: "Connection[int, None]") -> None:
    with server.serving() as hub:
        files = {path.name: _mapped(path) for path in sorted(source.iterdir())}
        for data in files.values():  # a hub knows them before it is asked
            server.git_hash(data)
            server.hub_hash(data)
        hub.repos[REPO] = server.Repo(files)
        link.send(hub.port)
        while True:
            link.recv()
            link.send(len(hub.requests))


def _tour(options: argparse.Namespace, scratch: Path, hub: _Hub) -> bool:
    environment = _environment(scratch, hub)
    caption = ["caption", str(options.clip), "--model", NAME, "--quantize", "4bit", "--preset", "fast"]
    caption += ["--offline", "--max-new-tokens", options.tokens]
    steps = []
    for words in (
        ["models", "pull", NAME, "--dry-run"],
        ["models", "pull", NAME],
        ["models", "verify", NAME],
        ["models", "show", NAME],
        ["models", "quantize", NAME, "--quantize", "4bit"],
        caption,
        caption,
        ["models", "rm", NAME, "--yes"],
    ):
        steps.append(_run(environment, words))
        if steps[-1].status:
            return False
    asked = hub.asked
    gone = _run(environment, caption)
    captions = [step.out for step in steps[5:7]]
    sound = [
        bool(captions[0].strip()) and captions[0] == captions[1],  # greedy, from the same save
        gone.status == 5 and hub.asked == asked,
    ]
    if not all(sound):
        print(f"\nnot as it should be: {sound}")
    return all(sound)


def _run(environment: dict[str, str], words: Sequence[str]) -> Step:
    began = time.perf_counter()
    command = [sys.executable, "-m", "pllava_cli", *words]
    with subprocess.Popen(command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        out = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)  # as `wait` does not say what was used
        process.returncode = os.waitstatus_to_exitcode(status)
    step = Step(words, process.returncode, out, time.perf_counter() - began, usage.ru_maxrss * 1024)
    shown = " ".join(word if len(word) < 40 else Path(word).name for word in words)
    print(f"| {shown} | {step.seconds:.1f} | {step.peak_bytes / 1e9:.2f} | {step.status} |", flush=True)
    return step


def _environment(scratch: Path, hub: _Hub) -> dict[str, str]:
    """Of a user who has this hub, a registry entry for the checkpoint, and empty caches."""
    (scratch / "config" / "pllava").mkdir(parents=True)
    entry = f'[checkpoints.{NAME}]\nrepo = "{REPO}"\ntemplate = "vicuna"\n'
    (scratch / "config" / "pllava" / "weights.toml").write_text(entry)
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    return kept | {
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(scratch / "hub"),
        "XDG_CONFIG_HOME": str(scratch / "config"),
        "XDG_CACHE_HOME": str(scratch / "cache"),
    }


def _written(folder: Path, shape: str) -> Path:
    command = [sys.executable, "benchmarks/random_checkpoint.py", str(folder), "--shape", shape]
    subprocess.run([*command, "--dtype", "float16"], cwd=ROOT, check=True)
    return folder


def _mapped(path: Path) -> memoryview:
    with path.open("rb") as file:
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


if __name__ == "__main__":
    main()
