"""`pllava models pull` over a checkpoint that is damaged, in part gone, or kept without links."""

import shutil
from pathlib import Path

import pytest

from pllava_cli import hubcache, registry
from tests.checkpoints import edit_json
from tests.commands.results import Run
from tests.commands.test_saves import write_save
from tests.hub import server
from tests.hub.conftest import NEEDED, REPO, SHARD, checkpoint_files, here, locate


def test_repair_fetches_again_what_is_damaged(run: Run, hub: server.Hub, snapshot: Path) -> None:
    run("models", "pull", "birds")
    data = bytearray(checkpoint_files()[SHARD])
    data[-5] ^= 0xFF
    (snapshot / SHARD).resolve().write_bytes(data)
    assert run("models", "pull", "birds").status == 0
    assert here(snapshot)[SHARD] == data
    hub.requests.clear()
    assert run("models", "pull", "birds", "--repair").status == 0
    assert here(snapshot)[SHARD] == checkpoint_files()[SHARD]
    assert len(hub.asked("GET", "safetensors")) == 2, "to the hub, and on to its storage"


def test_repair_where_files_lie_in_the_links_places(
    run: Run, hub: server.Hub, snapshot: Path, cache: Path
) -> None:
    """As in a cache that was copied with its links followed."""
    run("models", "pull", "birds")
    shutil.copytree(cache, cache.with_name("copy"))
    shutil.rmtree(cache)
    cache.with_name("copy").rename(cache)
    data = bytearray(checkpoint_files()[SHARD])
    data[-5] ^= 0xFF
    (snapshot / SHARD).write_bytes(data)
    assert run("models", "pull", "birds", "--repair").status == 0
    assert here(snapshot)[SHARD] == checkpoint_files()[SHARD]
    assert run("models", "verify", "birds").status == 0


def test_repair_deletes_what_was_packed_from_the_damaged_file(
    run: Run, hub: server.Hub, snapshot: Path
) -> None:
    """Its path and size are the same again, by which a save is known."""
    run("models", "pull", "birds")
    saves = {name: write_save(snapshot, name) for name in (SHARD, "model-00002-of-00002.safetensors")}
    for name, save in saves.items():
        edit_json(save / "quantized.json", files=[{"path": str(snapshot / name), "bytes": 1, "mtime_ns": 1}])
    (snapshot / SHARD).resolve().write_bytes(checkpoint_files()[SHARD][::-1])
    result = run("models", "pull", "birds", "--repair")
    assert result.status == 0 and "deleted the packed save (4bit in fp32 at alpha 4)" in result.err
    assert [save.exists() for save in saves.values()] == [False, True]


def test_repair_deletes_what_was_packed_through_a_link_to_the_cache(
    run: Run, hub: server.Hub, snapshot: Path, cache: Path, tmp_path: Path
) -> None:
    run("models", "pull", "birds")
    (tmp_path / "link").symlink_to(cache)
    linked = tmp_path / "link" / snapshot.relative_to(cache)
    save = write_save(linked)
    edit_json(save / "quantized.json", files=[{"path": str(linked / SHARD), "bytes": 1, "mtime_ns": 1}])
    (snapshot / SHARD).resolve().write_bytes(checkpoint_files()[SHARD][::-1])
    assert run("models", "pull", "birds", "--repair").status == 0
    assert not save.exists()


def test_without_links_nothing_is_kept_twice(
    run: Run, hub: server.Hub, snapshot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_DISABLE_SYMLINKS", True)
    assert run("models", "pull", "birds").status == 0
    assert here(snapshot) == {name: checkpoint_files()[name] for name in NEEDED}
    assert list((hubcache.storage(REPO) / "blobs").iterdir()) == []
    hub.requests.clear()
    assert run("models", "pull", "birds").status == 0 and hub.requests == []


@pytest.mark.parametrize("harm", ["truncated", "no blob", "no link"])
def test_plain_pull_mends_what_is_short_or_gone(run: Run, hub: server.Hub, snapshot: Path, harm: str) -> None:
    run("models", "pull", "birds")
    blob = (snapshot / SHARD).resolve()
    if harm == "truncated":
        blob.write_bytes(blob.read_bytes()[:1000])
    elif harm == "no blob":
        blob.unlink()
    else:
        (snapshot / SHARD).unlink()
    with pytest.raises(registry.IncompleteError, match=SHARD):
        locate()
    assert run("models", "pull", "birds").status == 0
    assert here(snapshot)[SHARD] == checkpoint_files()[SHARD] and locate() == snapshot
