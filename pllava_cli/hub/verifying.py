"""Whether a checkpoint's files are what they should be: by the hub's hashes, else by their form."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pllava_cli import hubcache
from pllava_cli.errors import CheckpointError
from pllava_cli.hub import structure
from pllava_cli.hub.hashing import Told, digest
from pllava_cli.hub.listing import ADAPTER, FILES
from pllava_cli.receipts import HASH, PulledFile

OK = "ok"
_SHOWN_DIGITS = 12


@dataclass(frozen=True)
class Expected:
    """What is known of a file. None: not known."""

    size: int | None = None
    hash: str | None = None


@dataclass(frozen=True)
class Finding:
    """What was found of one file."""

    file: str
    state: str
    """`ok`, `missing`, `truncated`, `damaged` or `unreadable`."""
    checked: str
    """By what: `sha256`, `git-sha1`, or `form`: sizes and headers only."""
    reason: str = ""
    """What is wrong, if it is not ok."""


def expectations(folder: Path, pulled: tuple[PulledFile, ...] | None) -> dict[str, Expected]:
    """Return the files that a checkpoint must have, and what is known of each.

    Args:
        folder: Where it is.
        pulled: What `pllava models pull` has noted, if it has.

    Without a note, the hub's cache says by the names of its blobs which hash each file has; a folder of the
    user's says nothing, and may hold notes and results that are no part of a checkpoint.
    """
    if pulled is not None:
        return {each.name: Expected(each.size, each.hash) for each in pulled}
    found = {
        each.name: Expected(hash=_blob_hash(each))
        for pattern in ("*.safetensors", "*.json")
        for each in sorted(folder.glob(pattern))
        if each.suffix != ".json" or each.name in FILES or _blob_hash(each) is not None
    }
    weights = {name for name in found if name.endswith(".safetensors")}
    required = (
        {"config.json"} if weights == {ADAPTER} else {"config.json", "tokenizer.json", *_weights(folder)}
    )
    return {name: Expected() for name in sorted(required - found.keys())} | found


def _weights(folder: Path) -> list[str]:
    try:
        return hubcache.missing_weights(folder)
    except CheckpointError:  # of the index, which is looked at itself
        return []


def _blob_hash(path: Path) -> str | None:
    """The hash of a file of the hub's cache: the name of what the snapshot's link leads to."""
    name = path.readlink().name if path.is_symlink() else ""
    return name if HASH.fullmatch(name) else None


def verify(folder: Path, files: Mapping[str, Expected], on_bytes: Told) -> list[Finding]:
    """Look at every file.

    Args:
        folder: Where they are.
        files: What each must be.
        on_bytes: Told the bytes read.
    """
    found = [_look(folder / name, expected, on_bytes) for name, expected in files.items()]
    if hubcache.INDEX in files and all(each.state == OK for each in found):
        return [_with_index(folder, each) for each in found]
    return found


def _look(path: Path, expected: Expected, on_bytes: Told) -> Finding:
    checked = "form" if expected.hash is None else ("sha256" if len(expected.hash) == 64 else "git-sha1")
    try:
        size = hubcache.size_of(path)
        if size is None:
            return Finding(path.name, "missing", checked, "is not there")
        if expected.size is not None and size < expected.size:
            reason = f"is cut short: {size} of {expected.size} bytes"
            return Finding(path.name, "truncated", checked, reason)
        if expected.hash is None:
            return _judged(path, structure.fault(path), checked)
        actual = digest(path, expected.hash, on_bytes)
        if actual == expected.hash:
            return Finding(path.name, OK, checked)
        kind = f"{checked} is {actual[:_SHOWN_DIGITS]}, the hub's is {expected.hash[:_SHOWN_DIGITS]}"
        return _judged(path, structure.fault(path) or kind, checked)
    except OSError as error:
        return Finding(path.name, "unreadable", checked, f"cannot be read: {error.strerror or error}")


def _judged(path: Path, fault: str | None, checked: str) -> Finding:
    if fault is None:
        return Finding(path.name, OK, checked)
    return Finding(path.name, "truncated" if fault.startswith("is cut short") else "damaged", checked, fault)


def _with_index(folder: Path, finding: Finding) -> Finding:
    """The finding of a shard that is whole by itself, but not what the index says is in it."""
    if finding.checked != "form" or not finding.file.endswith(".safetensors"):
        return finding
    try:
        promised = hubcache.read_json(folder / hubcache.INDEX)["weight_map"].items()
        names = {tensor for tensor, shard in promised if shard == finding.file}
        lacking = sorted(names - structure.header(folder / finding.file).keys())
    except (CheckpointError, KeyError, AttributeError, TypeError, ValueError):
        return finding
    if not lacking:
        return finding
    more = f" and {len(lacking) - 1} more" if len(lacking) > 1 else ""
    return Finding(
        finding.file, "damaged", "form", f"lacks the tensor {lacking[0]}{more} that the index names"
    )
