"""What a figure was measured on, in one line for the results."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def describe(*packages: str) -> str:
    """The processor, its cores, memory, Python, and the versions of `packages`."""
    names = [
        line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")
    ]
    total = [int(line.split()[1]) for line in _lines("/proc/meminfo") if line.startswith("MemTotal")]
    parts = [names[0] if names else platform.processor(), f"{os.cpu_count()} cores"]
    if total:
        parts.append(f"{total[0] / 2**20:.0f} GiB")
    parts.append(f"Python {platform.python_version()}")
    return ", ".join(parts + [f"{name} {_version(name)}" for name in packages])


def _lines(file: str) -> list[str]:
    path = Path(file)
    return path.read_text().splitlines() if path.exists() else []


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"
