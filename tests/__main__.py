"""Run every check of the project: `python -m tests`. Arguments are handed on to pytest."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
CHECKS = (
    ("ruff", "check", "."),
    ("ruff", "format", "--check", "."),
    ("mypy", "-p", "pllava_cli", "-p", "recipes"),
    ("pytest", "-n", "logical", "--maxprocesses", "4", "--dist", "loadfile", *sys.argv[1:]),
)


def main() -> int:
    """Run the checks one after another; stop at none, fail if any fails."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # the processes share the cores, and the models are small
    failed = []
    for module, *arguments in CHECKS:
        print(f"== {module} {' '.join(arguments)}".rstrip(), flush=True)
        if subprocess.run([sys.executable, "-m", module, *arguments], cwd=ROOT).returncode:
            failed.append(module)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
