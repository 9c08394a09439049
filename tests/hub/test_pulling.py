"""`pllava models pull`: what is fetched, what breaks it off, and how it goes on."""

import errno
import fcntl
import io
import json
import os
import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from pllava_cli import hubcache, receipts, registry
from pllava_cli.hub import fetching
from tests.commands.results import Run
from tests.hub import server
from tests.hub.conftest import (
    NEEDED,
    NEWER,
    PAGE,
    REPO,
    SHARD,
    checkpoint_files,
    here,
    locate,
    partials,
    safetensors,
    write_registry,
)


def test_only_what_is_needed_comes_and_is_found(run: Run, hub: server.Hub, snapshot: Path) -> None:
    result = run("models", "pull", "birds")
    assert (result.status, result.out) == (0, f"{snapshot}\n"), result.err
    assert here(snapshot) == {name: checkpoint_files()[name] for name in NEEDED}
    assert (
        "GB to fetch" in result.err and "GB free" in result.err and "birds is on this machine" in result.err
    )
    assert locate() == snapshot
    assert (hubcache.storage(REPO) / "refs" / "main").read_text() == server.COMMIT


def test_the_hub_s_own_programs_take_the_cache_for_whole(run: Run, hub: server.Hub, cache: Path) -> None:
    from huggingface_hub import scan_cache_dir

    hub.page_for_files = PAGE
    assert run("models", "pull", "birds").status == 5
    assert scan_cache_dir(cache).warnings == []
    hub.page_for_files = None
    run("models", "pull", "birds")
    found = scan_cache_dir(cache)
    (repo,) = found.repos
    assert found.warnings == [] and repo.repo_id == REPO and set(repo.refs) == {"main"}


def test_what_is_here_is_not_asked_for_again(run: Run, hub: server.Hub, snapshot: Path) -> None:
    run("models", "pull", "birds")
    hub.requests.clear()
    for words in ([], ["--offline"], ["--dry-run"]):
        assert run("models", "pull", "birds", *words).status == 0
    assert hub.requests == []


def test_dry_run_says_how_much_and_writes_nothing(run: Run, hub: server.Hub, cache: Path) -> None:
    result = run("models", "pull", "birds", "--dry-run", "--json")
    report = json.loads(result.out)
    (repository,) = report["repositories"]
    size = sum(len(checkpoint_files()[name]) for name in NEEDED)
    assert report["dry_run"] is True and repository["bytes"] == repository["bytes_to_fetch"] == size
    assert {each["name"] for each in repository["files"]} == NEEDED
    assert not any(each["here"] for each in repository["files"]) and repository["free_bytes"] > 0
    assert not cache.exists() and [kind for kind, _, _ in hub.requests] == ["GET"]


def test_a_broken_connection_is_gone_on_with(run: Run, hub: server.Hub, snapshot: Path) -> None:
    hub.breaks[SHARD] = [100_000]
    assert run("models", "pull", "birds").status == 0
    assert hub.asked("GET", f"large/{REPO}/{SHARD}") == ["", "bytes=100000-"]
    assert here(snapshot)[SHARD] == checkpoint_files()[SHARD]


def test_the_next_run_goes_on_where_the_last_one_stopped(
    run: Run, hub: server.Hub, snapshot: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = fetching._Receiving.write

    def write(self: fetching._Receiving, data: bytes) -> int:
        if self.tell() == 240_000:  # of the larger shard, which comes last
            raise KeyboardInterrupt
        return written(self, data)

    with monkeypatch.context() as patch:
        patch.setattr(fetching._Receiving, "write", write)
        result = run("models", "pull", "birds")
    assert result.status == 130 and "the same command goes on" in result.err and result.out == ""
    assert [each.stat().st_size for each in partials(cache)] == [240_000]
    with pytest.raises(registry.IncompleteError, match="birds is incomplete") as caught:
        locate()
    assert caught.value.hint == "run: pllava models pull birds"
    hub.requests.clear()
    assert run("models", "pull", "birds").status == 0
    assert hub.asked("GET", f"large/{REPO}/{SHARD}") == ["bytes=240000-"]
    assert hub.asked("GET", f"api/models/{REPO}/revision/main") == []
    assert here(snapshot) == {name: checkpoint_files()[name] for name in NEEDED} and partials(cache) == []


@pytest.mark.parametrize("left", [b"x" * 1000, b"x" * 900_000])
def test_a_beginning_of_something_else_is_given_up(
    run: Run, hub: server.Hub, snapshot: Path, left: bytes
) -> None:
    blobs = hubcache.storage(REPO) / "blobs"
    blobs.mkdir(parents=True)
    blob = blobs / server.hub_hash(checkpoint_files()[SHARD])
    fetching.partial_of(blob).write_bytes(left)
    assert run("models", "pull", "birds").status == 0
    assert here(snapshot)[SHARD] == checkpoint_files()[SHARD]


def test_too_little_space_is_told_before_anything_comes(
    run: Run, hub: server.Hub, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10, 5, 5))
    result = run("models", "pull", "birds")
    assert result.status == 2 and "are to be fetched, and" in result.err and "HF_HUB_CACHE" in result.err
    assert not cache.exists()


def test_a_full_disk(
    run: Run, hub: server.Hub, snapshot: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: io.BufferedWriter, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(fetching._Receiving, "write", full)
        result = run("models", "pull", "birds")
    assert result.status == 2 and "No space left on device" in result.err and "free some space" in result.err
    assert here(snapshot) == {} and run("models", "pull", "birds").status == 0


def test_two_at_once(run: Run, hub: server.Hub) -> None:
    blobs = hubcache.storage(REPO) / "blobs"
    blobs.mkdir(parents=True)
    partial = fetching.partial_of(blobs / server.hub_hash(checkpoint_files()["preprocessor_config.json"]))
    with partial.open("ab") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        result = run("models", "pull", "birds")
    assert result.status == 2 and "another run is fetching preprocessor_config.json" in result.err


def test_a_link_in_place_of_a_beginning_is_not_followed(run: Run, hub: server.Hub, tmp_path: Path) -> None:
    blobs = hubcache.storage(REPO) / "blobs"
    blobs.mkdir(parents=True)
    (tmp_path / "mine").write_text("precious")
    partial = fetching.partial_of(blobs / server.hub_hash(checkpoint_files()[SHARD]))
    partial.symlink_to(tmp_path / "mine")
    result = run("models", "pull", "birds")
    assert result.status == 2 and f"cannot write {partial}" in result.err
    assert (tmp_path / "mine").read_text() == "precious"


def test_two_runs_do_not_write_the_note_at_once(
    run: Run, hub: server.Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One would lose what the other has noted, and with it that the files are ours to delete."""
    write, is_alone = receipts.write, []

    def watched(storage: Path, receipt: receipts.Receipt) -> None:
        other = os.open(storage / "blobs", os.O_RDONLY)
        try:
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_alone.append(False)
        except BlockingIOError:
            is_alone.append(True)
        os.close(other)
        write(storage, receipt)

    monkeypatch.setattr(receipts, "write", watched)
    assert run("models", "pull", "birds").status == 0
    assert is_alone == [True, True]


def test_what_another_run_has_just_finished_is_not_fetched_again(
    run: Run, hub: server.Hub, snapshot: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blob = hubcache.storage(REPO) / "blobs" / server.hub_hash(checkpoint_files()[SHARD])

    def finish(descriptor: int, path: Path, busy: Exception) -> None:
        if path == fetching.partial_of(blob):
            blob.write_bytes(checkpoint_files()[SHARD])

    monkeypatch.setattr(fetching, "lock", finish)
    assert run("models", "pull", "birds").status == 0
    assert here(snapshot)[SHARD] == checkpoint_files()[SHARD]
    assert hub.asked("GET", SHARD) == [] and partials(cache) == []


def test_runs_keep_to_the_commit(run: Run, hub: server.Hub, snapshot: Path) -> None:
    run("models", "pull", "birds")
    newer = checkpoint_files() | {"config.json": b'{"model_type": "newer"}'}
    hub.repos[REPO] = server.Repo(newer, commit=NEWER)
    (hubcache.storage(REPO) / "refs" / "main").write_text(NEWER)  # another program has fetched that
    assert run("models", "pull", "birds").out == f"{snapshot}\n" and locate() == snapshot
    hub.changed["config.json"] = b'{"model_type": "wrong"}'
    assert run("models", "pull", "birds", "--newest").status == 5
    assert locate() == snapshot, "what was whole stays in use until the newer one is"
    hub.changed.clear()
    hub.requests.clear()
    assert run("models", "pull", "birds", "--newest").status == 0
    assert locate() == snapshot.with_name(NEWER)
    assert hub.asked("GET", SHARD) == [], "what both commits have is not fetched twice"


def test_what_another_program_has_fetched_is_used(run: Run, hub: server.Hub, snapshot: Path) -> None:
    from huggingface_hub import snapshot_download

    snapshot_download(REPO)
    hub.repos[REPO].commit = NEWER
    hub.repos[REPO].files = checkpoint_files() | {"config.json": b"{}"}
    hub.requests.clear()
    result = run("models", "pull", "birds")
    assert result.status == 5 and "has no revision" in result.err, "the hub no longer has that commit"
    assert "--newest" in result.err
    hub.repos[REPO] = server.Repo(checkpoint_files())
    assert run("models", "pull", "birds").out == f"{snapshot}\n"
    assert hub.asked("GET", SHARD) == []
    noted = receipts.read(hubcache.storage(REPO)).files("main")
    assert noted is not None and {each.name for each in noted} == NEEDED
    assert not any(each.ours for each in noted)


def test_a_mirrors_own_tags_change_nothing(run: Run, hub: server.Hub, snapshot: Path) -> None:
    hub.tags_differ = True
    assert run("models", "pull", "birds").status == 0
    assert len(hub.asked("GET", SHARD)) == 2, "to the hub, and on to its storage, once"
    blobs = {each.name for each in (hubcache.storage(REPO) / "blobs").iterdir()}
    assert blobs == {server.hub_hash(checkpoint_files()[name]) for name in NEEDED}
    assert here(snapshot) == {name: checkpoint_files()[name] for name in NEEDED}


def test_a_packed_save_comes_with_its_record(run: Run, hub: server.Hub, snapshot: Path) -> None:
    hub.repos[REPO] = server.Repo(checkpoint_files() | {"quantized.json": b"{}"})
    assert run("models", "pull", "birds").status == 0
    assert here(snapshot).keys() == NEEDED | {"quantized.json"}


def test_an_adapter_comes_with_its_base(run: Run, hub: server.Hub) -> None:
    hub.repos["someone/finches"] = server.Repo(
        {
            "adapter_model.safetensors": safetensors(a=3000),
            "config.json": b"{}",
            "adapter_config.json": b"{}",
        },
        commit=NEWER,
    )
    write_registry(
        f'[checkpoints.birds]\nrepo = "{REPO}"\n'
        '[checkpoints.finches]\nrepo = "someone/finches"\nbase = "birds"\n'
    )
    assert run("models", "pull", "finches").status == 0
    registry.check_base(registry.find("finches"), locate("finches"))
    assert locate("birds").name == server.COMMIT


def test_patterns_that_the_registry_ignores(run: Run, hub: server.Hub, snapshot: Path) -> None:
    write_registry(f'[checkpoints.birds]\nrepo = "{REPO}"\nignore = ["extra*"]\n')
    hub.repos[REPO].files["extra.safetensors"] = safetensors(c=9000)
    assert run("models", "pull", "birds").status == 0
    assert set(here(snapshot)) == NEEDED


def test_a_folder_needs_no_pulling(run: Run, hub: server.Hub, tmp_path: Path) -> None:
    assert run("models", "pull", "tiny").status == 0
    folder = tmp_path / "mine"
    folder.mkdir()
    assert run("models", "pull", str(folder)).status == 5
    (folder / "config.json").write_text("{}")
    result = run("models", "pull", str(folder))
    assert (result.status, result.out) == (0, f"{folder}\n") and "nothing to pull" in result.err
    assert hub.requests == []


@pytest.mark.parametrize("name", ["someone/birds-", ".someone/birds", "someone/birds.", "a/b/c"])
def test_a_name_that_no_repository_can_have(name: str, run: Run, hub: server.Hub) -> None:
    write_registry(f'[checkpoints.birds]\nrepo = "{name}"\n')
    result = run("models", "pull", "birds", "--newest")
    assert result.status == 5 and f"{name!r} is no repository of the hub" in result.err
    assert hub.requests == []


def test_a_near_name_is_suggested(run: Run, hub: server.Hub) -> None:
    result = run("models", "pull", "bird")
    assert result.status == 5 and "did you mean birds?" in result.err
