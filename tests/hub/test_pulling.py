"""`pllava models pull`: what is fetched, what breaks it off, and how it goes on."""

import errno
import fcntl
import gzip
import io
import json
import os
import shutil
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import pytest

from pllava_cli import hubcache, receipts, registry
from pllava_cli.hub import asking, fetching
from tests.checkpoints import edit_json
from tests.commands.conftest import Result
from tests.commands.test_saves import write_save
from tests.hub import server
from tests.hub.conftest import NEEDED, REPO, checkpoint_files, safetensors, write_registry

Run = Callable[..., Result]
SHARD = "model-00001-of-00002.safetensors"
NEWER = "f" * 40


def here(folder: Path) -> dict[str, bytes]:
    return server.folder_files(folder) if folder.is_dir() else {}


def partials(cache: Path) -> list[Path]:
    return sorted(cache.rglob("*.incomplete"))


def locate(name: str = "birds") -> Path:
    return registry.locate(registry.find(name), offline=False)


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


def test_what_is_not_as_listed_never_appears(run: Run, hub: server.Hub, snapshot: Path, cache: Path) -> None:
    data = checkpoint_files()[SHARD]
    hub.changed[SHARD] = data[:-1] + bytes([data[-1] ^ 1])
    result = run("models", "pull", "birds")
    assert result.status == 5 and SHARD in result.err and "its hash is another" in result.err
    assert SHARD not in here(snapshot) and partials(cache) == []
    with pytest.raises(registry.IncompleteError):
        locate()


PAGE = b"<html><body>Please sign in to this network</body></html>"


@pytest.mark.parametrize("name", ["model-00002-of-00002.safetensors", "tokenizer.json"])
def test_what_does_not_end_is_broken_off_at_its_size(
    run: Run, hub: server.Hub, snapshot: Path, cache: Path, name: str
) -> None:
    hub.endless.add(name)
    result = run("models", "pull", "birds")
    assert result.status == 5
    assert f"more comes of {name} than its {len(checkpoint_files()[name])} bytes" in result.err
    assert name not in here(snapshot) and all(each.stat().st_size == 0 for each in partials(cache))
    hub.endless.clear()
    assert run("models", "pull", "birds").status == 0 and set(here(snapshot)) == NEEDED


@pytest.mark.parametrize(
    ("unlisted", "told"),
    [
        (("blobId", "lfs"), "lists config.json without its hash"),
        (("blobId", "lfs", "size"), "lists config.json without its hash"),
        (("size",), "lists a file without its size"),
        (("sha256",), "lists a file without its hash"),
    ],
    ids=str,
)
def test_a_listing_that_says_too_little(
    run: Run, hub: server.Hub, cache: Path, unlisted: tuple[str, ...], told: str
) -> None:
    hub.unlisted = unlisted
    result = run("models", "pull", "birds")
    assert result.status == 5 and told in result.err and "HF_ENDPOINT" in result.err
    assert "not the hub's" not in result.err and not cache.exists()


@pytest.mark.parametrize(
    ("body", "pause_s", "said"),
    [
        (b'{"rfilename": "notes.txt", "size": 9},' * 20_000, 0.0, "32 MB of it have come"),
        (b" ", 0.01, "it has come for 0.3 s"),
    ],
    ids=["long", "slow"],
)
def test_a_listing_that_does_not_end_is_broken_off(
    run: Run,
    hub: server.Hub,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    body: bytes,
    pause_s: float,
    said: str,
) -> None:
    def listing(handler: server._Handler, name: str) -> bool:
        handler.send_for_ever(body, {}, pause_s=pause_s)
        return True

    hub.listing = listing
    monkeypatch.setattr(asking, "LONGEST_S", 0.3 if pause_s else 600.0)
    result = run("models", "pull", "birds")
    assert (result.status, result.out) == (5, "") and f"{hub.url} does not end: {said}" in result.err
    assert "HF_ENDPOINT" in result.err and not cache.exists()


def test_a_listing_that_is_packed_though_that_was_not_asked_for_is_none(run: Run, hub: server.Hub) -> None:
    """It might come to any size."""

    def listing(handler: server._Handler, name: str) -> bool:
        handler._send(200, gzip.compress(b" " * (1 << 20)), {"Content-Encoding": "gzip"})
        return True

    hub.listing = listing
    result = run("models", "pull", "birds")
    assert result.status == 5 and "is not the hub's" in result.err


def test_what_stands_where_a_listing_leads_elsewhere_is_not_read(run: Run, hub: server.Hub) -> None:
    def listing(handler: server._Handler, name: str) -> bool:
        if name == REPO:
            there = "/api/models/someone/else/revision/main"
            handler.send_for_ever(b"x" * 65536, {"Location": there}, status=307)
        return name == REPO

    hub.repos["someone/else"] = hub.repos[REPO]
    hub.listing = listing
    assert run("models", "pull", "birds").status == 0


def test_a_listing_that_leads_to_itself_is_none(run: Run, hub: server.Hub) -> None:
    def listing(handler: server._Handler, name: str) -> bool:
        handler.send_for_ever(b"x" * 65536, {"Location": handler.path}, status=307)
        return True

    hub.listing = listing
    result = run("models", "pull", "birds")
    assert result.status == 5 and "is not the hub's" in result.err
    assert len(hub.requests) == asking.MOST_REDIRECTS + 1


def test_more_files_than_a_checkpoint_has_are_refused(run: Run, hub: server.Hub, cache: Path) -> None:
    hub.repos[REPO].files |= {f"model-{number}.safetensors": b"" for number in range(1000)}
    result = run("models", "pull", "birds")
    assert result.status == 5 and "lists 1,006 files of a checkpoint, more than 1,000" in result.err
    assert not cache.exists()
    hub.repos[REPO].files = checkpoint_files() | {f"notes-{number}.txt": b"" for number in range(1000)}
    assert run("models", "pull", "birds", "--dry-run").status == 0, "what it does not need is of no account"


@pytest.mark.parametrize("page", [PAGE, b"[" * 100_000, b"7", b"{}"], ids=["page", "deep", "number", "empty"])
def test_a_page_of_a_proxy_is_no_listing(run: Run, hub: server.Hub, cache: Path, page: bytes) -> None:
    hub.page = page
    result = run("models", "pull", "birds")
    assert (result.status, result.out) == (5, "") and "is not the hub's" in result.err
    assert "hint: a proxy or a sign-in page may stand between" in result.err and not cache.exists()


@pytest.mark.parametrize("page", [PAGE, PAGE * 10_000])
def test_a_page_of_a_proxy_is_no_file(
    run: Run, hub: server.Hub, snapshot: Path, cache: Path, page: bytes
) -> None:
    hub.page_for_files = page
    result = run("models", "pull", "birds")
    assert result.status == 5 and "is not the hub's" in result.err
    assert not any(name.endswith(".safetensors") for name in here(snapshot))
    hub.page_for_files = None
    assert run("models", "pull", "birds").status == 0
    assert here(snapshot)[SHARD] == checkpoint_files()[SHARD]


@pytest.mark.parametrize(
    ("refusal", "said", "cure"),
    [
        ((401, "RepoNotFound"), "has no repository someone/birds, or it is a private one", "hf auth login"),
        ((401, ""), "or it is a private one", "hf auth login"),
        ((403, "GatedRepo"), "accepted its terms", "hf auth login"),
        ((404, "RevisionNotFound"), "has no revision main", "weights.toml"),
        ((404, ""), "has no repository", "check the name"),
        ((429, ""), "fewer requests", "some minutes"),
        ((503, ""), "out of order (status 503)", "try again"),
        ((407, ""), "a name and a password", "HTTPS_PROXY"),
    ],
)
def test_refusals(
    run: Run, hub: server.Hub, cache: Path, refusal: tuple[int, str], said: str, cure: str
) -> None:
    hub.repos[REPO].refusal = refusal
    result = run("models", "pull", "birds")
    assert (result.status, result.out) == (5, "") and said in result.err and cure in result.err
    assert "Traceback" not in result.err and not cache.exists()


def test_no_network(run: Run, hub: server.Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")  # discard: nobody listens
    result = run("models", "pull", "birds")
    assert result.status == 5 and "cannot connect to http://127.0.0.1:9" in result.err


def test_offline_is_refused_without_a_request(run: Run, hub: server.Hub) -> None:
    result = run("models", "pull", "birds", "--offline")
    assert result.status == 5 and "birds is not on this machine" in result.err
    assert "hint: on a machine with a network, run: pllava models pull birds" in result.err
    for flag in ("--newest", "--repair"):
        assert run("models", "pull", "birds", "--offline", flag).status == 2
    assert hub.requests == []


def test_the_hub_s_own_variable_forbids_too(
    run: Run, hub: server.Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    result = run("models", "pull", "birds")
    assert result.status == 5 and "HF_HUB_OFFLINE" in result.err and hub.requests == []


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


def test_a_mirrors_own_tags_change_nothing(run: Run, hub: server.Hub, snapshot: Path) -> None:
    hub.tags_differ = True
    assert run("models", "pull", "birds").status == 0
    assert len(hub.asked("GET", SHARD)) == 2, "to the hub, and on to its storage, once"
    blobs = {each.name for each in (hubcache.storage(REPO) / "blobs").iterdir()}
    assert blobs == {server.hub_hash(checkpoint_files()[name]) for name in NEEDED}
    assert here(snapshot) == {name: checkpoint_files()[name] for name in NEEDED}


def test_an_index_that_names_what_is_not_there(run: Run, hub: server.Hub) -> None:
    """Before any weights come; and again, instead of saying that all is here."""
    del hub.repos[REPO].files[SHARD]
    for _ in range(2):
        result = run("models", "pull", "birds")
        assert result.status == 5 and f"{REPO} has no {SHARD}, which its own index names" in result.err
    assert not any("large" in path for _, path, _ in hub.requests)


def test_a_token_that_is_none(run: Run, hub: server.Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_sécret")
    result = run("models", "pull", "birds")
    assert result.status == 5 and "see HF_TOKEN" in result.err and "cret" not in result.err


def test_a_password_in_the_address_is_not_told(
    run: Run, hub: server.Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    for address in ("http://me:secret@127.0.0.1:9", hub.url.replace("//", "//me:secret@")):
        monkeypatch.setattr(constants, "ENDPOINT", address)
        hub.page = PAGE
        result = run("models", "pull", "birds")
        assert result.status == 5 and "http://127.0.0.1:" in result.err and "secret" not in result.err


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


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"config.json": b"{}", "pytorch_model.bin": b"x"}, "has no .safetensors files"),
        ({"model.safetensors": b"x"}, "has no config.json"),
        ({"model.safetensors": b"x", "config.json": b"{}"}, "has no preprocessor_config.json"),
        ({"model.safetensors": b"x", "config.json": b"{}", "preprocessor_config.json": b"{}"}, "tokenizer"),
    ],
)
def test_what_is_no_checkpoint_is_refused_before_anything_comes(
    run: Run, hub: server.Hub, cache: Path, files: dict[str, bytes], said: str
) -> None:
    hub.repos[REPO] = server.Repo(files)
    if "tokenizer" not in said:
        files["tokenizer.json"] = b"{}"
    result = run("models", "pull", "birds")
    assert result.status == 5 and said in result.err and not cache.exists()


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
