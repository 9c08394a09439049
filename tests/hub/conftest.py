"""Fixtures: a hub on this machine, an empty cache, and a checkpoint that the registry names."""

import json
import os
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pllava_cli import hubcache, registry
from tests.commands.results import Run
from tests.hub import server

REPO = "someone/birds"
SHARD = "model-00001-of-00002.safetensors"
NEWER = "f" * 40
"""A commit that the hub has later."""
PAGE = b"<html><body>Please sign in to this network</body></html>"


def safetensors(**tensors: int) -> bytes:
    """A safetensors file of tensors of so many bytes, each with bytes of its own."""
    header, data = {}, b""
    for number, (name, size) in enumerate(tensors.items()):
        header[name] = {"dtype": "U8", "shape": [size], "data_offsets": [len(data), len(data) + size]}
        data += (bytes(range(number, 251)) * (size // 200 + 1))[:size]
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def checkpoint_files() -> dict[str, bytes]:
    """A checkpoint by its form, of two shards, with files that nobody needs."""
    shards = {
        "model-00001-of-00002.safetensors": {"a": 300_000},
        "model-00002-of-00002.safetensors": {"b": 200_000},
    }
    weight_map = {tensor: shard for shard, tensors in shards.items() for tensor in tensors}
    return {
        ".gitattributes": b"*.safetensors filter=lfs",
        "README.md": b"# birds",
        "pytorch_model.bin": b"x" * 5000,
        "old/model.safetensors": safetensors(c=2000),
        "config.json": b'{"model_type": "llava"}',
        "tokenizer.json": b'{"model": {}}',
        "preprocessor_config.json": b"{}",
        "model.safetensors.index.json": json.dumps({"weight_map": weight_map}).encode(),
    } | {name: safetensors(**tensors) for name, tensors in shards.items()}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub's."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def hub(cache: Path, monkeypatch: pytest.MonkeyPatch, isolated: Path) -> Iterator[server.Hub]:
    """A hub that has one checkpoint, `birds` of the user's registry."""
    from huggingface_hub import close_session, constants

    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    write_registry(f'[checkpoints.birds]\nrepo = "{REPO}"\nrevision = "main"\nignore = ["*-deprecated"]\n')
    with server.serving() as hub:
        hub.repos[REPO] = server.Repo(checkpoint_files())
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        # The library passes on what has come in pieces of this size; ours are small files.
        monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 10_000)
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.url + "/{repo_id}/resolve/{revision}/{filename}"
        )
        close_session()
        yield hub
        close_session()


def here(folder: Path) -> dict[str, bytes]:
    """The files of a folder, by name."""
    return server.folder_files(folder) if folder.is_dir() else {}


def partials(cache: Path) -> list[Path]:
    """What has come of files that are not whole."""
    return sorted(cache.rglob("*.incomplete"))


def locate(name: str = "birds") -> Path:
    """The folder in which runs find a checkpoint."""
    return registry.locate(registry.find(name), offline=False)


def write_registry(text: str) -> None:
    registry.user_file().parent.mkdir(parents=True, exist_ok=True)
    registry.user_file().write_text(text)


@pytest.fixture
def run(command: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command line in this process, where nobody can be asked."""
    monkeypatch.setattr(sys, "stdin", None)
    return command


@pytest.fixture
def snapshot(hub: server.Hub) -> Path:
    """Where the files of `birds` come to lie."""
    return hubcache.storage(REPO) / "snapshots" / server.COMMIT


NEEDED = {
    "config.json",
    "tokenizer.json",
    "preprocessor_config.json",
    "model.safetensors.index.json",
    "model-00001-of-00002.safetensors",
    "model-00002-of-00002.safetensors",
}
