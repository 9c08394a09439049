"""The packed saves that `pllava models quantize` keeps: whose they are, what they take, and deleting them.

They lie in `$XDG_CACHE_HOME/pllava/quantized`, each with a record of what it was made from. What has no such
record is not known for ours and stays. Nothing here needs the libraries that read weights.
"""

import os
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pllava_cli import configfile, hubcache
from pllava_cli.errors import CheckpointError, UsageError
from pllava_cli.locks import held
from pllava_cli.model.record import RECORD_FILE, Record, parsed
from pllava_cli.receipts import COMMIT
from pllava_cli.registry import Checkpoint

_WRITTEN = re.compile(
    r"model-\d{5}-of-\d{5}\.safetensors|shard-\d+|((model\.safetensors\.index|config|generation_config"
    r"|preprocessor_config|tokenizer|tokenizer_config|added_tokens|special_tokens_map|quantized)\.json"
    r"(\.partial)?)"
)
"""The files that a save consists of, or those of one that was broken off."""


@dataclass(frozen=True)
class Save:
    """One packed save, whole or broken off."""

    folder: Path
    record: Record

    def as_dict(self) -> dict[str, Any]:
        """The save as plain data for JSON."""
        kept = {key: getattr(self.record, key) for key in ("quantize", "dtype", "alpha")}
        return {"folder": str(self.folder), **kept, "bytes": self.bytes, "is_whole": self.is_whole}

    @property
    def is_whole(self) -> bool:
        """Whether it has got its name: else it is being written, or a kill has left it."""
        return not self.folder.name.startswith(".")

    @property
    def files(self) -> list[Path]:
        """What it consists of, the record last; anything else in the folder is not ours."""
        found = [
            each
            for each in self.folder.iterdir()
            if _WRITTEN.fullmatch(each.name) and (each.is_symlink() or each.is_file())
        ]
        return sorted(found, key=lambda file: (file.name == RECORD_FILE, file.name))

    @property
    def bytes(self) -> int:
        """What it takes on the disk; a run that is writing it renames files, and at last the folder."""
        total = 0
        with suppress(FileNotFoundError):
            for each in self.files:
                total += each.lstat().st_size
        return total

    def __str__(self) -> str:
        how = f"{self.record.quantize} in {self.record.dtype}"
        if self.record.alpha is not None:
            how += f" at alpha {self.record.alpha:g}"
        return how if self.is_whole else f"{how}, broken off"


def quantized_dir() -> Path:
    """The folder of all saves that are found again."""
    return configfile.cache_dir() / "quantized"


def identity(folder: Path | None) -> str:
    """What tells a source from others; a repository of the hub is one source, whatever its commit."""
    if folder is None:
        return ""
    whole = Path(os.path.realpath(folder))
    return str(whole.parents[1] if is_commit(whole) else whole)


def is_commit(folder: Path) -> bool:
    """Whether a folder is a commit of the hub's cache, models--OWNER--NAME/snapshots/COMMIT.

    Those never change. A folder of the user's own may be called snapshots too, and a training may write into
    what is in it again and again.
    """
    storage, snapshots = folder.parent.parent.name, folder.parent.name
    in_cache = storage.startswith("models--") and snapshots == "snapshots"
    return in_cache and COMMIT.fullmatch(folder.name) is not None


def true_path(file: Path) -> Path:
    """A weight file by its folder's own path, whatever links lead there.

    The file itself may be a link, as in the hub's cache, where its name says more than where it leads.
    """
    return Path(os.path.realpath(file.parent), file.name)


def all_saves() -> dict[str, list[Save]]:
    """All saves by what they were made from, as `identity` names it."""
    found: dict[str, list[Save]] = {}
    with suppress(OSError):  # none was ever made, or nobody may look
        for folder in sorted(quantized_dir().iterdir()):
            if folder.is_symlink() or not folder.is_dir():
                continue
            with suppress(CheckpointError, OSError, ValueError):  # no record, or a path that cannot be
                file = folder / RECORD_FILE
                record = parsed(hubcache.read_json(file), file)
                found.setdefault(identity(Path(record.source)), []).append(Save(folder, record))
    return found


def saves_of(checkpoint: Checkpoint, among: dict[str, list[Save]] | None = None) -> list[Save]:
    """The saves of a checkpoint, which itself need not be on this machine any more.

    Args:
        checkpoint: As the registry has it.
        among: What `all_saves` has found; None: look now.
    """
    among = all_saves() if among is None else among
    try:
        source = checkpoint.path or hubcache.storage(checkpoint.repo or "")
    except CheckpointError:  # no name of a repository: nothing was ever made from it
        return []
    return among.get(identity(source), [])


def delete(save: Save) -> None:
    """Delete a save, and of its folder nothing that is not ours.

    Raises:
        UsageError: It is being written, or another run has just been at it.
        OSError: Something cannot be deleted; the same again goes on.
    """
    busy = UsageError(f"{save.folder} is being written by another run", "wait for it to end, or end it")
    gone = UsageError(f"{save.folder} has just been moved or deleted", "give the same command again")
    with held(save.folder, busy, gone):
        for file in save.files:
            file.unlink(missing_ok=True)
        with suppress(OSError):  # not empty
            save.folder.rmdir()
