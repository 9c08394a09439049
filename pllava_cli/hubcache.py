"""The model hub's cache on this machine: where a repository's files are, which are missing, how large.

The cache is the hub's own, found through its own variables (HF_HOME, HF_HUB_CACHE), so that what
other tools have fetched is found and nothing is stored twice. Only lookups; no request is made.
"""

import json
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from pllava_cli import receipts
from pllava_cli.errors import CheckpointError

MAIN = "main"
"""The revision where none is named."""
INDEX = "model.safetensors.index.json"
_MAX_JSON_BYTES = 64 << 20  # the 34B's index of 1178 tensors is far below
_REPO = re.compile(r"\w([\w.-]{0,94}\w)?(/\w([\w.-]{0,94}\w)?)?")
_SHARD = re.compile(r".*-\d{5}-of-\d{5}\.safetensors")
"""How the hub's libraries name one file of several."""


def cache_dir() -> Path:
    """Return the folder in which the hub keeps repositories."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def storage(repo: str) -> Path:
    """Return the folder in which the hub keeps one repository; it need not exist.

    Source: https://huggingface.co/docs/huggingface_hub/guides/manage-cache (the layout of the cache).

    Raises:
        CheckpointError: If it is no name of a repository.
    """
    if _REPO.fullmatch(repo) is None or "--" in repo or ".." in repo:
        raise CheckpointError(f"{repo!r} is no repository of the hub", "write owner/name")
    return cache_dir() / f"models--{repo.replace('/', '--')}"


def snapshot(repo: str, revision: str | None) -> Path | None:
    """Return the cached snapshot of a repository, or None where there is none.

    A revision that `pllava models pull` has fetched stays at the commit that it was then, whatever other
    tools fetch later.
    """
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    pinned = receipts.read(storage(repo)).revisions.get(revision or MAIN, revision)
    try:
        config = try_to_load_from_cache(repo, "config.json", revision=pinned, cache_dir=cache_dir())
    except HFValidationError as error:
        raise CheckpointError(f"{repo!r} is no repository of the hub: {error}", "write owner/name") from None
    return Path(config).parent if isinstance(config, str) else None


def pulled(repo: str, revision: str | None) -> tuple[receipts.PulledFile, ...] | None:
    """Return the files that `pllava models pull` was to fetch, or None if it never was."""
    return receipts.read(storage(repo)).files(revision or MAIN)


def pulled_folder(repo: str, revision: str | None) -> Path | None:
    """Return where `pllava models pull` puts the files, which need not be there; None if it never was."""
    commit = receipts.read(storage(repo)).revisions.get(revision or MAIN)
    return None if commit is None else storage(repo) / "snapshots" / commit


def faults(folder: Path, files: tuple[receipts.PulledFile, ...] | None) -> list[str]:
    """Say what a folder lacks of a checkpoint, at a glance: no file is read but the index.

    Args:
        folder: The snapshot.
        files: What it must hold, where that is known; else the index tells.

    Raises:
        CheckpointError: If the index cannot be read.
    """
    found = []
    for each in files or ():
        size = size_of(folder / each.name)
        if size is None:
            found.append(f"lacks {each.name}")
        elif size != each.size:
            found.append(f"has {size} of the {each.size} bytes of {each.name}")
    return found or [f"lacks {name}" for name in missing_weights(folder)]


def size_of(path: Path) -> int | None:
    """Return the bytes of a regular file, or None where there is none."""
    try:
        return path.stat().st_size if path.is_file() else None
    except OSError:
        return None


def missing_weights(folder: Path) -> list[str]:
    """Return the weight files that a checkpoint's index promises and the folder lacks.

    Without an index a single .safetensors file is enough, if it is not named as one of several.

    Raises:
        CheckpointError: If the index cannot be read.
    """
    index = folder / INDEX
    if not index.is_file():
        weights = [each for each in folder.glob("*.safetensors") if each.is_file()]
        if any(_SHARD.fullmatch(each.name) for each in weights):
            return [INDEX]
        return [] if weights else ["*.safetensors"]
    try:
        names = set(read_json(index)["weight_map"].values())
        return sorted(name for name in names if not (folder / name).is_file())
    except (CheckpointError, OSError, ValueError, KeyError, TypeError, AttributeError):
        raise CheckpointError(
            f"{index} is not an index of weight files", "fetch the checkpoint again"
        ) from None


def weights_gb(folder: Path) -> float:
    """Return the size of a folder's weight files in 10^9 bytes, to three digits."""
    files = [each for each in folder.glob("*.safetensors") if each.is_file()]
    return float(f"{sum(each.stat().st_size for each in files) / 1e9:.3g}")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object that came with a checkpoint.

    Raises:
        CheckpointError: If the file cannot be read or holds anything else.
    """
    value = None
    with suppress(OSError, ValueError, RecursionError):
        if path.is_file():  # a pipe would never end
            with path.open("rb") as file:
                value = json.loads(file.read(_MAX_JSON_BYTES))
    if not isinstance(value, dict):
        raise CheckpointError(f"{path} holds no JSON object", "fetch or write the checkpoint again")
    return value
