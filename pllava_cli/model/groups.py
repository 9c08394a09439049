"""Main memory that a container or a batch system leaves to this process.

psutil tells what the whole machine has free. A process that passes the limit of its control group is killed,
not told, so the limit must be known beforehand.
"""

from collections.abc import Iterator
from pathlib import Path

OWN, MOUNTED = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")
_NEW = ("memory.max", "memory.current", "inactive_file")
_OLD = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
"""Limit, use, and what of memory.stat is given back when it is wanted: the cache of files. Sources:
https://docs.kernel.org/admin-guide/cgroup-v2.html#memory and .../cgroup-v1/memory.html."""


def bytes_left(own: Path = OWN, mounted: Path = MOUNTED) -> int | None:
    """Bytes that the control groups of this process leave; None where none of them has a limit.

    Args:
        own: Tells which groups they are.
        mounted: Where they are described.
    """
    left = (_left(folder, *names) for folder, names in _groups(own, mounted))
    return min((each for each in left if each is not None), default=None)


def _groups(own: Path, mounted: Path) -> Iterator[tuple[Path, tuple[str, str, str]]]:
    """The folder of each group that counts memory, and of those that it is part of."""
    try:
        lines = own.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):  # another system than Linux
        return
    for line in lines:
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controllers and "memory" not in controllers.split(","):
            continue
        top, names = (mounted / "memory", _OLD) if controllers else (mounted, _NEW)
        group = top / path.lstrip("/")  # in a container, what is mounted may begin with the group itself
        yield from ((each, names) for each in (group, *group.parents) if each.is_relative_to(top))


def _left(folder: Path, limit: str, used: str, cached: str) -> int | None:
    try:
        most = int((folder / limit).read_text(encoding="utf-8"))
        in_use = int((folder / used).read_text(encoding="utf-8"))
        lines = (folder / "memory.stat").read_text(encoding="utf-8").splitlines()
        free = [int(line.removeprefix(cached)) for line in lines if line.startswith(f"{cached} ")]
        return max(0, most - in_use + sum(free))
    except (OSError, ValueError):  # no such group here, or "max": it has no limit
        return None
