"""`--shard i/N`: one part of the clips for each of N jobs that know nothing of each other.

A clip's shard follows from its id alone, so that it stays the same whatever clips are added, and all
segments and questions of a clip fall to one job.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from pllava_cli.batch.work import Work
from pllava_cli.errors import UsageError

MAX_SHARDS = 1_000_000
_HINT = "write --shard 1/4 for the first of four"


@dataclass(frozen=True)
class Shard:
    """One part of the clips."""

    index: int
    """From 1 to `count`."""
    count: int

    def holds(self, clip_id: str) -> bool:
        """Whether a clip belongs to this part."""
        digest = hashlib.sha256(clip_id.encode()).digest()
        return int.from_bytes(digest[:8]) % self.count == self.index - 1


def shard(works: Iterable[Work], part: Shard) -> Iterator[Work]:
    """Yield what falls to one part."""
    return (work for work in works if part.holds(work.clip.id))


def parse_shard(text: str | None, environment: Mapping[str, str]) -> Shard | None:
    """Read --shard; without it, Slurm's variables of a job array; without those there are no shards.

    Raises:
        UsageError: It is not `i/N` with 1 <= i <= N, or the array's tasks are not evenly spaced.
    """
    if text is None:
        return _slurm(environment) if "SLURM_ARRAY_TASK_ID" in environment else None
    match = re.fullmatch(r"\s*(\d{1,9})\s*/\s*(\d{1,9})\s*", text, re.ASCII)
    if match is None:
        raise UsageError(f"--shard: expected i/N, found {text!r}", _HINT)
    index, count = int(match[1]), int(match[2])
    if not 1 <= index <= count <= MAX_SHARDS:
        limit = f" of at most {MAX_SHARDS}" if count > MAX_SHARDS else ""
        raise UsageError(f"--shard {text}: shards are counted from 1 to N{limit}", _HINT)
    return Shard(index, count)


def _slurm(environment: Mapping[str, str]) -> Shard:
    """Turn a task of a job array into a shard.

    Source: the output environment variables in sbatch(1).
    """
    ours, first = (_number(environment, f"SLURM_ARRAY_TASK_{name}") for name in ("ID", "MIN"))
    count = _number(environment, "SLURM_ARRAY_TASK_COUNT")
    step = _number(environment, "SLURM_ARRAY_TASK_STEP", 1) or 1
    last = _number(environment, "SLURM_ARRAY_TASK_MAX", first + step * (count - 1))
    index, off = divmod(ours - first, step)
    # Tasks that failed are sent again as --array=3,7 or --array=7: how many there were at first is not told.
    is_whole = last == first + step * (count - 1) and (count > 1 or ours <= 1)
    if off or not 0 <= index < count <= MAX_SHARDS or not is_whole:
        raise UsageError(
            f"task {ours} of Slurm's array does not tell which shard it is: the tasks are not one even range",
            "say it with --shard i/N",
        )
    return Shard(index + 1, count)


def _number(environment: Mapping[str, str], name: str, default: int | None = None) -> int:
    text = environment.get(name)
    if text is None and default is not None:
        return default
    if text is None or re.fullmatch(r"\d{1,9}", text, re.ASCII) is None:
        found = "is not set" if text is None else f"is {text!r}"
        raise UsageError(f"{name} {found}, though SLURM_ARRAY_TASK_ID is set", "say it with --shard i/N")
    return int(text)
