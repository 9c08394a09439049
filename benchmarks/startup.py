"""How long a help page takes to appear, beside a Python that does nothing.

python benchmarks/startup.py [--rounds 15]
"""

import argparse
import statistics
import subprocess
import sys
import time

from machine import describe

COMMANDS = {
    "python -c pass": [sys.executable, "-c", "print()"],
    "pllava --help": [sys.executable, "-m", "pllava_cli", "--help"],
    "pllava caption --help": [sys.executable, "-m", "pllava_cli", "caption", "--help"],
}


def first_output_s(command: list[str]) -> float:
    """Seconds from start to the first byte on stdout."""
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout
        process.stdout.read(1)
        elapsed = time.perf_counter() - began
        process.stdout.read()
    return elapsed


def main() -> None:
    """Print a table of minimum and median over interleaved rounds."""
    given = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    given.add_argument("--rounds", type=int, default=15)
    rounds = given.parse_args().rounds
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(rounds):
        for name, command in COMMANDS.items():
            times[name].append(first_output_s(command))
    print(describe("typer", "rich"), f"\n\n{rounds} interleaved rounds, milliseconds to the first output\n")
    print("| command | min | median |\n|---|---|---|")
    for name, seen in times.items():
        print(f"| `{name}` | {min(seen) * 1e3:.0f} | {statistics.median(seen) * 1e3:.0f} |")


if __name__ == "__main__":
    main()
