"""Having a checkpoint of the hub on this machine: what is to be fetched, whether it fits, and fetching it."""

import shutil
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from pllava_cli import hubcache, receipts
from pllava_cli.errors import CheckpointError, UsageError
from pllava_cli.hub.failures import told
from pllava_cli.hub.fetching import fetch, partial_of
from pllava_cli.hub.hashing import Told, digest
from pllava_cli.hub.listing import Listing, RemoteFile, ask
from pllava_cli.locks import held, in_turn
from pllava_cli.receipts import COMMIT, PulledFile, Receipt

_CACHE_TAG = "Signature: 8a477f597d28d172789f06886806bc55\n"
"""Source: https://bford.info/cachedir/ (the file begins with this)."""


@dataclass(frozen=True)
class Wanted:
    """Which checkpoint is to be here."""

    repo: str
    revision: str
    """Branch, tag or commit."""
    ignore: tuple[str, ...] = ()
    """Patterns of files that are not needed."""


@dataclass(frozen=True)
class Plan:
    """What having a checkpoint here takes."""

    wanted: Wanted
    listing: Listing
    damaged: frozenset[str] = frozenset()
    """Names of files that are here and are not what the hub lists, so far as was looked."""

    @property
    def storage(self) -> Path:
        """The repository's folder in the hub's cache."""
        return hubcache.storage(self.wanted.repo)

    @property
    def folder(self) -> Path:
        """Where the files will be."""
        return self.storage / "snapshots" / self.listing.commit

    @property
    def bytes(self) -> int:
        """The size of all files."""
        return sum(each.size for each in self.listing.files)

    @property
    def missing(self) -> list[RemoteFile]:
        """The files that are not here, or not as they should be."""
        return [each for each in self.listing.files if not self.has(each)]

    @property
    def bytes_to_fetch(self) -> int:
        """What is not here yet, less the beginnings of files that an earlier run has left."""
        return sum(self._lacking(each) for each in self.missing)

    @property
    def free_bytes(self) -> int:
        """What the disk has left for the user."""
        there = next(each for each in (self.storage, *self.storage.parents) if each.exists())
        return shutil.disk_usage(there).free

    def blob(self, file: RemoteFile) -> Path:
        """Where the bytes of a file are in the hub's cache."""
        return self.storage / "blobs" / file.hash

    def has(self, file: RemoteFile) -> bool:
        """Whether a file is here, by its size."""
        return file.name not in self.damaged and hubcache.size_of(self.folder / file.name) == file.size

    def _lacking(self, file: RemoteFile) -> int:
        blob = self.blob(file)
        if file.name not in self.damaged and hubcache.size_of(blob) == file.size:
            return 0
        return max(0, file.size - (hubcache.size_of(partial_of(blob)) or 0))


def plan(wanted: Wanted, *, newest: bool = False) -> Plan:
    """See what is to be fetched.

    The hub is asked only where nothing is known of the revision, or for the newest: what was begun is gone
    on with at the commit it was begun at, and what is here whole needs no network.

    Args:
        wanted: Which checkpoint.
        newest: Ask for the commit that the revision has now.

    Raises:
        CheckpointError: The hub cannot be reached, or has no such checkpoint.
    """
    receipt = receipts.read(hubcache.storage(wanted.repo))
    known = receipt.files(wanted.revision)
    if known and not newest:
        files = tuple(RemoteFile(each.name, each.size, each.hash) for each in known)
        return Plan(wanted, Listing(receipt.revisions[wanted.revision], files))
    # What another program has fetched stays at its commit too.
    here = None if newest else hubcache.snapshot(wanted.repo, wanted.revision)
    commit = here.name if here is not None and COMMIT.fullmatch(here.name) else wanted.revision
    return Plan(wanted, ask(wanted.repo, commit, wanted.ignore))


def inspected(planned: Plan, on_bytes: Told) -> Plan:
    """Look at the files that are here byte by byte, so that the damaged ones are fetched again."""
    damaged = set()
    for each in planned.listing.files:
        if planned.has(each):
            try:
                intact = digest(planned.folder / each.name, each.hash, on_bytes) == each.hash
            except OSError:
                intact = False
            if not intact:
                damaged.add(each.name)
    return replace(planned, damaged=frozenset(damaged))


def check_space(plans: Iterable[Plan]) -> None:
    """See that what is to be fetched fits.

    Raises:
        UsageError: It does not.
    """
    plans = list(plans)
    need = sum(each.bytes_to_fetch for each in plans)
    free = min(each.free_bytes for each in plans)
    if need > free:
        raise UsageError(
            f"{need / 1e9:.2f} GB are to be fetched, and {hubcache.cache_dir()} has {free / 1e9:.2f} GB free",
            "free some space, or name another disk with HF_HUB_CACHE",
        )


def carry_out(planned: Plan, on_bytes: Told) -> None:
    """Fetch what is missing, and note it in the receipt.

    Whatever breaks it off, what has come stays, and the same again goes on with it. Until every file is
    here the checkpoint counts as incomplete; if the revision had another commit before, as that one.

    Args:
        planned: As `plan` or `inspected` returns it.
        on_bytes: Told the bytes that have come; a negative number for those that are given up.

    Raises:
        CheckpointError: The hub cannot be reached, or gives something else than it has promised.
        UsageError: The disk is full or may not be written to, or another run fetches or deletes the same.
    """
    storage = planned.storage
    busy = UsageError(f"another run is deleting {planned.wanted.repo}", "wait for it to end")
    with told(planned.wanted.repo, planned.wanted.revision):
        storage.mkdir(parents=True, exist_ok=True)
        with held(storage, busy, is_shared=True, follow_symlinks=True):
            _carry_out(planned, on_bytes)


def _carry_out(planned: Plan, on_bytes: Told) -> None:
    wanted, storage, commit = planned.wanted, planned.storage, planned.listing.commit
    missing = planned.missing
    # The hub's own programs take a repository without the second for a damaged one.
    for name in ("blobs", "snapshots"):
        (storage / name).mkdir(exist_ok=True)
    _tag(storage.parent)
    # Else a run that begins beside another may lose what that one notes, or take its files for another
    # program's, which `rm` never deletes.
    with in_turn(storage / "blobs"):
        receipt = _noted(planned, receipts.read(storage))
        if receipt.files(wanted.revision) is None:
            receipt = _kept_to(receipt, wanted.revision, commit)
        receipts.write(storage, receipt)
    for each in missing:
        _clear(planned, each)
    for each in missing:
        _check_index(planned)  # which comes before the weights
        fetch(wanted.repo, commit, each, planned.blob(each), on_bytes)
    _check_index(planned)
    with in_turn(storage / "blobs"):
        # Fetching takes hours, and another run may have noted something else meanwhile.
        now = receipts.read(storage)
        now = replace(now, commits={**now.commits, commit: receipt.commits[commit]})
        receipts.write(storage, _kept_to(now, wanted.revision, commit))
        _write_ref(storage, wanted.revision, commit)


def _noted(planned: Plan, receipt: Receipt) -> Receipt:
    """The receipt with the plan's files in it."""
    commit = planned.listing.commit
    before = {each.name: each.ours for each in receipt.commits.get(commit, ())}
    elsewhere = {each.hash: each.ours for files in receipt.commits.values() for each in files}
    files = []
    for each in planned.listing.files:
        is_new = not planned.has(each) and hubcache.size_of(planned.blob(each)) is None
        ours = before.get(each.name, elsewhere.get(each.hash, is_new))
        files.append(PulledFile(each.name, each.size, each.hash, ours))
    return replace(receipt, commits={**receipt.commits, commit: tuple(files)})


def _kept_to(receipt: Receipt, revision: str, commit: str) -> Receipt:
    return replace(receipt, revisions={**receipt.revisions, revision: commit})


def _tag(cache: Path) -> None:
    """Tell programs that make backups what the folder is, as the hub's library does."""
    if not (cache / "CACHEDIR.TAG").exists():
        (cache / "CACHEDIR.TAG").write_text(_CACHE_TAG, encoding="utf-8")


def _check_index(planned: Plan) -> None:
    """Refuse a repository whose index, once it is here, names weight files that are not listed."""
    if (planned.folder / hubcache.INDEX).is_file():
        listed = {each.name for each in planned.listing.files}
        lacking = [name for name in hubcache.missing_weights(planned.folder) if name not in listed]
        if lacking:
            raise CheckpointError(
                f"{planned.wanted.repo} has no {lacking[0]:.200}, which its own index names",
                "name another repository; if it has been completed since, --newest fetches that",
            )


def _clear(planned: Plan, file: RemoteFile) -> None:
    """Take away what stands where a file is to be and is not that file."""
    link, blob = planned.folder / file.name, planned.blob(file)
    is_damaged = file.name in planned.damaged
    if is_damaged or hubcache.size_of(blob) not in (None, file.size):
        blob.unlink(missing_ok=True)
    if is_damaged or hubcache.size_of(link) != file.size:  # it may be the file itself, in a copied cache
        link.unlink(missing_ok=True)


def _write_ref(storage: Path, revision: str, commit: str) -> None:
    """Let other programs find the commit under the revision's name, as the hub's library does."""
    ref = storage / "refs" / revision
    if COMMIT.fullmatch(revision) or ".." in ref.parts or ref.exists():
        return  # what another program has fetched later is its own affair
    ref.parent.mkdir(parents=True, exist_ok=True)
    ref.write_text(commit, encoding="utf-8")
