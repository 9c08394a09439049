"""The model hub's cache on this machine: where a repository's files are, which are missing, how large.

The cache is the hub's own, found through its own variables (HF_HOME, HF_HUB_CACHE), so that what
other tools have fetched is found and nothing is stored twice. Only lookups; no request is made.
"""

import json
import shlex
from pathlib import Path
from typing import Any

from pllava_cli.errors import CheckpointError

_INDEX = "model.safetensors.index.json"
_MAX_JSON_BYTES = 64 << 20  # the 34B's index of 1178 tensors is far below


def cache_dir() -> Path:
    """Return the folder in which the hub keeps repositories."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def snapshot(repo: str, revision: str | None) -> Path | None:
    """Return the cached snapshot of a repository, or None where there is none."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        config = try_to_load_from_cache(repo, "config.json", revision=revision)
    except HFValidationError as error:
        raise CheckpointError(f"{repo!r} is no repository of the hub: {error}", "write owner/name") from None
    return Path(config).parent if isinstance(config, str) else None


def missing_weights(folder: Path) -> list[str]:
    """Return the weight files that a checkpoint's index promises and the folder lacks.

    Without an index a single .safetensors file is enough.

    Raises:
        CheckpointError: If the index cannot be read.
    """
    index = folder / _INDEX
    if not index.is_file():
        return [] if any(folder.glob("*.safetensors")) else ["*.safetensors"]
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
    try:
        with path.open("rb") as file:
            value = json.loads(file.read(_MAX_JSON_BYTES))
    except (OSError, ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise CheckpointError(f"{path} holds no JSON object", "fetch or write the checkpoint again")
    return value


def download_command(repo: str, revision: str | None, ignore: tuple[str, ...]) -> str:
    """Return the command line that fetches a repository into the cache."""
    words = ["hf", "download", repo]
    if revision:
        words += ["--revision", revision]
    for pattern in ignore:
        words += ["--exclude", pattern]
    return shlex.join(words)
