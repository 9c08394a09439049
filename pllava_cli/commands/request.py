"""What one run of `pllava batch` is asked for, once its flags are read."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pllava_cli.batch.sharding import Shard
from pllava_cli.batch.sidecar import Sidecars
from pllava_cli.commands.staffing import Needs
from pllava_cli.settings import Settings


@dataclass(frozen=True)
class Sources:
    """Which clips, which parts of them, and what is asked."""

    paths: Sequence[str]
    lists: Sequence[str]
    nul: bool
    """Whether names in lists end in NUL bytes."""
    recursive: bool
    questions: tuple[str | None, ...]
    """None: a caption. Rows of a manifest that have questions of their own keep to them."""
    window: tuple[float | None, float | None]
    """Start and end of each clip, seconds; rows that have their own keep to them."""
    every_s: float | None
    """Length of the segments that clips are cut into."""
    shots: bool
    """Whether clips are cut at their shots."""
    shard: Shard | None


@dataclass(frozen=True)
class Request:
    """One run."""

    sources: Sources
    settings: Settings
    output: Path | None
    """None: standard output."""
    sidecars: Sidecars | None
    redo: bool
    """Whether what was made with other settings is made again."""
    redo_flagged: frozenset[str]
    """What is made again that `pllava check` flags with one of these; the rest stays, whatever made it."""
    dry_run: bool
    json: bool
    needs: Needs
    """What it wants of its models."""
