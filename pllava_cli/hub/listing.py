"""What a repository of the hub holds, and which of it a checkpoint needs."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import quote

from pllava_cli.errors import CheckpointError
from pllava_cli.hub.asking import answer
from pllava_cli.hub.failures import stranger, told, unlisted
from pllava_cli.hubcache import INDEX
from pllava_cli.receipts import COMMIT, HASH, NAME

MOST_FILES = 1000
"""Of a checkpoint; written in shards of 5 GB, as the hub's library does, it would have 5 TB."""
ADAPTER = "adapter_model.safetensors"
_CONFIG = "config.json"
_PROCESSING = ("tokenizer.json", "preprocessor_config.json")
FILES = {
    _CONFIG,
    *_PROCESSING,
    "generation_config.json",
    "processor_config.json",
    "tokenizer_config.json",
    "added_tokens.json",
    "special_tokens_map.json",
    INDEX,
    "adapter_config.json",
    "quantized.json",
}
"""What the loader reads beside weights, and what other programs that find the checkpoint here need too."""
_OF_LARGE = {"sha256": "hash", "size": "size"}
"""What the library must find of a file that is kept apart from git, under the hub's names and in words."""


@dataclass(frozen=True)
class RemoteFile:
    """One file of a repository."""

    name: str
    size: int
    """Bytes."""
    hash: str
    """As in a receipt."""


@dataclass(frozen=True)
class Listing:
    """What a commit of a repository holds of a checkpoint."""

    commit: str
    files: tuple[RemoteFile, ...]
    """The small ones first, so that a repository that is no checkpoint shows early."""

    @property
    def is_adapter(self) -> bool:
        """Whether it is nothing without the checkpoint that it was trained from."""
        return {each.name for each in self.files if each.name.endswith(".safetensors")} == {ADAPTER}


def ask(repo: str, revision: str, ignore: Iterable[str]) -> Listing:
    """Ask the hub.

    Args:
        repo: `owner/name`.
        revision: Branch, tag or commit.
        ignore: Patterns of files that are not needed.

    Raises:
        CheckpointError: The hub cannot be reached, has no such repository, or holds no checkpoint in it
            that the loader reads.
    """
    from huggingface_hub import ModelInfo
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    path = f"/api/models/{repo}/revision/{quote(revision, safe='')}"
    with told(repo, revision):
        try:
            validate_repo_id(repo)
            plain = json.loads(answer(path, {"blobs": "true"}))
            info = ModelInfo(**plain)  # type: ignore[no-untyped-call]
            found = [_file(each) for each in info.siblings or () if _is_needed(each.rfilename, ignore)]
            commit = str(info.sha)
        # Whatever an answer of another form leads to, JSON or not.
        except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
            raise _meant(error) from error
    if COMMIT.fullmatch(commit) is None:
        raise stranger()
    listing = Listing(commit, tuple(sorted(found, key=lambda each: (each.size, each.name))))
    _check_loadable(repo, listing)
    return listing


def _meant(error: Exception) -> Exception:
    from huggingface_hub.errors import BadRequestError

    if isinstance(error, UnicodeEncodeError):  # of the headers, in which nothing else is the user's
        return CheckpointError(
            "the access token holds letters that none of the hub's has", "see HF_TOKEN, or run: hf auth login"
        )
    if isinstance(error, KeyError) and error.args[0] in _OF_LARGE:
        return unlisted("a file", _OF_LARGE[error.args[0]])
    return error if isinstance(error, BadRequestError) else stranger()


def _is_needed(name: str, ignore: Iterable[str]) -> bool:
    if NAME.fullmatch(name) is None or any(fnmatchcase(name, pattern) for pattern in ignore):
        return False
    return name in FILES or name.endswith(".safetensors")


def _file(sibling: Any) -> RemoteFile:
    hashed = str(sibling.lfs.sha256 if sibling.lfs is not None else sibling.blob_id)
    size = sibling.lfs.size if sibling.lfs is not None else sibling.size
    if HASH.fullmatch(hashed) is None:
        raise unlisted(sibling.rfilename, "hash")
    if not isinstance(size, int) or size < 0:
        raise unlisted(sibling.rfilename, "size")
    return RemoteFile(sibling.rfilename, size, hashed)


def _check_loadable(repo: str, listing: Listing) -> None:
    """Refuse before gigabytes are fetched what could not be loaded."""
    if len(listing.files) > MOST_FILES:
        raise CheckpointError(
            f"{repo} lists {len(listing.files):,} files of a checkpoint, more than {MOST_FILES:,}",
            "name a repository of one checkpoint, or leave the others out with `ignore` in weights.toml",
        )
    names = {each.name for each in listing.files}
    if not any(name.endswith(".safetensors") for name in names):
        raise CheckpointError(
            f"{repo} has no .safetensors files", "weights in other files can run code and are not read"
        )
    required = (_CONFIG,) if listing.is_adapter else (_CONFIG, *_PROCESSING)
    missing = [name for name in required if name not in names]
    if missing:
        raise CheckpointError(
            f"{repo} has no {missing[0]}, without which it cannot be loaded", "name another repository"
        )
