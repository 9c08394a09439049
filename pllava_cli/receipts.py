"""What `pllava models pull` has fetched: the commit of a revision, and each file's size and hash.

A receipt lies beside the files it is about, in the repository's folder of the hub's cache. It goes with the
cache where that goes, and away with it, whoever deletes it. Runs keep to its commits, `verify` holds files
against its hashes, and `rm` deletes only what it lists.
"""

import json
import os
import re
import secrets
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

FILE, SCHEMA = "pllava.json", "pllava.pulled/1"
_MAX_BYTES = 16 << 20
_PARTIAL_S = 3600.0
"""Age at which a receipt that was being written is what a kill has left: writing takes milliseconds."""

COMMIT = re.compile(r"[0-9a-f]{40}")
HASH = re.compile(r"[0-9a-f]{64}|[0-9a-f]{40}")
"""The hub's two kinds: SHA-256 of a large file, or git's own SHA-1 of a small one."""
NAME = re.compile(r"\w[\w.-]{0,199}")
"""Of a file that a checkpoint needs: no separator, for it lies in the checkpoint's own folder."""


@dataclass(frozen=True)
class PulledFile:
    """One file of a commit."""

    name: str
    size: int
    """Bytes."""
    hash: str
    """SHA-256 of its bytes, or SHA-1 of it as a git blob; their lengths tell them apart."""
    ours: bool
    """Whether it was not in the cache before: if it was, it is another program's to delete."""


@dataclass(frozen=True)
class Receipt:
    """All that was fetched of one repository."""

    revisions: Mapping[str, str] = field(default_factory=dict)
    """The commit that runs keep to, by branch or tag."""
    commits: Mapping[str, tuple[PulledFile, ...]] = field(default_factory=dict)
    """The files that were asked for, by commit; they need not be here yet."""

    def files(self, revision: str) -> tuple[PulledFile, ...] | None:
        """The files of the commit that a revision is kept to, or None where nothing is known of it."""
        return self.commits.get(self.revisions.get(revision, ""))


def read(storage: Path) -> Receipt:
    """Read the receipt in a repository's folder; one that is missing or damaged says nothing."""
    try:
        with (storage / FILE).open("rb") as file:
            return _receipt(json.loads(file.read(_MAX_BYTES)))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return Receipt()


def _receipt(plain: Any) -> Receipt:
    if plain["schema"] != SCHEMA:
        raise ValueError("a later pllava wrote it")
    revisions = {str(name): _matching(COMMIT, commit) for name, commit in plain["revisions"].items()}
    commits = {
        _matching(COMMIT, commit): tuple(_file(name, each) for name, each in files.items())
        for commit, files in plain["commits"].items()
    }
    return Receipt(revisions, commits)


def _file(name: str, plain: Mapping[str, Any]) -> PulledFile:
    size = plain["size"]
    if not isinstance(size, int) or size < 0:
        raise ValueError("no size")
    return PulledFile(_matching(NAME, name), size, _matching(HASH, plain["hash"]), plain["ours"] is True)


def _matching(pattern: re.Pattern[str], text: str) -> str:
    if pattern.fullmatch(text) is None:
        raise ValueError(f"{text!r} does not belong into a receipt")
    return text


def write(storage: Path, receipt: Receipt) -> None:
    """Write a receipt, whole or not at all; one that lists nothing is deleted.

    Several runs may fetch of one repository. Of those that write at the same moment the last one's stays.

    Raises:
        OSError: It cannot be written.
    """
    _sweep(storage)
    if not receipt.commits:
        (storage / FILE).unlink(missing_ok=True)
        return
    commits = {
        commit: {each.name: {k: v for k, v in asdict(each).items() if k != "name"} for each in files}
        for commit, files in receipt.commits.items()
    }
    plain = {"schema": SCHEMA, "revisions": dict(receipt.revisions), "commits": commits}
    partial = storage / f".{FILE}.{secrets.token_hex(8)}.partial"
    try:
        with partial.open("x", encoding="utf-8") as file:
            json.dump(plain, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(storage / FILE)
    except BaseException:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise


def _sweep(storage: Path) -> None:
    """Remove what kills have left half written, but nothing that another run may be writing."""
    for left in storage.glob(f".{FILE}*.partial"):
        with suppress(OSError):  # another run was faster, or it is another user's
            if left.lstat().st_mtime < time.time() - _PARTIAL_S:
                left.unlink()
