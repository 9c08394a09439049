"""Deleting what `pllava models pull` has fetched, and nothing else."""

import shutil
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from pllava_cli import hubcache, receipts
from pllava_cli.errors import CheckpointError, UsageError
from pllava_cli.hub.fetching import partial_of
from pllava_cli.locks import held
from pllava_cli.receipts import PulledFile, Receipt


@dataclass(frozen=True)
class Removal:
    """What is to be deleted of a repository."""

    storage: Path
    """The repository's folder in the hub's cache."""
    revision: str
    commits: dict[str, tuple[PulledFile, ...]]
    """Its commits that no other revision is kept to, and their files."""

    @property
    def links(self) -> list[Path]:
        """Where the files appear, of those that were fetched by us."""
        return [
            self.storage / "snapshots" / commit / each.name
            for commit, files in self.commits.items()
            for each in files
            if each.ours
        ]

    @property
    def blobs(self) -> list[Path]:
        """Where their bytes are, whole or not, but for those that another snapshot needs."""
        ours = {each.hash for files in self.commits.values() for each in files if each.ours}
        gone = set(self.links)
        needed = {
            each.readlink().name
            for each in self.storage.glob("snapshots/**/*")
            if each.is_symlink() and each not in gone
        }
        return [self.storage / "blobs" / name for name in sorted(ours - needed)]

    @property
    def bytes(self) -> int:
        """What that frees on the disk."""
        paths = {each.resolve() for each in self.links}
        paths |= {path for blob in self.blobs for path in (blob, partial_of(blob))}
        needed = {each.resolve() for each in self.storage.glob("snapshots/**/*") if each not in self.links}
        return sum(hubcache.size_of(each) or 0 for each in paths - needed)


def plan(name: str, repo: str, revision: str) -> Removal:
    """See what `pllava models pull` has fetched of a checkpoint, whole or not.

    Raises:
        CheckpointError: It has fetched nothing of it.
    """
    storage = hubcache.storage(repo)
    receipt = receipts.read(storage)
    if receipt.files(revision) is None:
        if hubcache.snapshot(repo, revision) is None:
            raise CheckpointError(f"{name} is not on this machine", "`pllava models list` says what is")
        raise CheckpointError(
            f"{name} was not fetched by `pllava models pull`, and pllava deletes only what was",
            f"delete it with the program that fetched it, or run: hf cache rm model/{repo}",
        )
    return _unshared(Removal(storage, revision, dict(receipt.commits)), receipt)


def unused(removal: Removal) -> AbstractContextManager[int]:
    """Keep runs that fetch out of the repository's folder, to be held while something of it is deleted.

    Raises:
        UsageError: On entering: there is such a run.
        OSError: On entering: the folder cannot be opened.
    """
    busy = UsageError("another run is fetching or deleting it", "wait for it to end, or end it")
    return held(removal.storage, busy, follow_symlinks=True)


def carry_out(removal: Removal) -> None:
    """Delete it: first what makes the checkpoint appear whole, last the note of what there was to delete.

    Args:
        removal: As `plan` returns it, and `unused`.

    Raises:
        OSError: Something cannot be deleted; the same again goes on.
    """
    storage = removal.storage
    # While the user was asked, another run may have fetched the same commit by another name.
    removal = _unshared(removal, receipts.read(storage))
    blobs = removal.blobs
    for path in removal.links:
        path.unlink(missing_ok=True)
    for blob in blobs:
        blob.unlink(missing_ok=True)
        partial_of(blob).unlink(missing_ok=True)
    for commit in removal.commits:
        with suppress(OSError):  # not empty: another program's files are in it
            (storage / "snapshots" / commit).rmdir()
    _delete_refs(removal)
    receipts.write(storage, _without(receipts.read(storage), removal))
    for name in ("refs", "blobs", "snapshots"):
        with suppress(OSError):
            (storage / name).rmdir()
    if not any((storage / name).exists() for name in ("blobs", "snapshots", receipts.FILE)):
        shutil.rmtree(storage, ignore_errors=True)  # what is left is the library's own notes


def _unshared(removal: Removal, receipt: Receipt) -> Removal:
    """Without the commits that other revisions are kept to."""
    kept = {commit for each, commit in receipt.revisions.items() if each != removal.revision}
    commits = {commit: files for commit, files in removal.commits.items() if commit not in kept}
    return replace(removal, commits=commits)


def _delete_refs(removal: Removal) -> None:
    """Delete the names of commits of which nothing is left."""
    for ref in removal.storage.glob("refs/**/*"):
        commit = ref.read_text(encoding="utf-8", errors="replace").strip() if ref.is_file() else ""
        if commit in removal.commits and not (removal.storage / "snapshots" / commit).exists():
            ref.unlink()


def _without(receipt: Receipt, removal: Removal) -> Receipt:
    return replace(
        receipt,
        revisions={name: commit for name, commit in receipt.revisions.items() if name != removal.revision},
        commits={commit: files for commit, files in receipt.commits.items() if commit not in removal.commits},
    )
