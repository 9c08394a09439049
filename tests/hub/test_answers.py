"""What a hub, a mirror or a proxy answers that is none, and what is asked of no network at all."""

import gzip
from pathlib import Path

import pytest

from pllava_cli import registry
from pllava_cli.hub import asking
from tests.commands.results import Run
from tests.hub import server
from tests.hub.conftest import NEEDED, PAGE, REPO, SHARD, checkpoint_files, here, locate, partials


def test_what_is_not_as_listed_never_appears(run: Run, hub: server.Hub, snapshot: Path, cache: Path) -> None:
    data = checkpoint_files()[SHARD]
    hub.changed[SHARD] = data[:-1] + bytes([data[-1] ^ 1])
    result = run("models", "pull", "birds")
    assert result.status == 5 and SHARD in result.err and "its hash is another" in result.err
    assert SHARD not in here(snapshot) and partials(cache) == []
    with pytest.raises(registry.IncompleteError):
        locate()


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
