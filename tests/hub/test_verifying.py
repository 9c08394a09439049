"""`pllava models verify`: every kind of damage is named by file and reason."""

import json
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from pllava_cli import hubcache, receipts
from tests.commands.results import Run
from tests.hub import server
from tests.hub.conftest import NEEDED, REPO, checkpoint_files, safetensors

SHARD = "model-00002-of-00002.safetensors"


def flip(data: bytes) -> bytes:
    return data[:-7] + bytes([data[-7] ^ 0x10]) + data[-6:]


@pytest.fixture
def pulled(run: Run, hub: server.Hub, snapshot: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`birds` on this machine; from now on, no connection can be made."""
    assert run("models", "pull", "birds").status == 0

    def forbidden(*_: object) -> None:
        raise AssertionError("a connection was made")

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, forbidden)
    monkeypatch.setattr(socket, "getaddrinfo", forbidden)
    return snapshot


def test_what_is_whole(run: Run, pulled: Path) -> None:
    result = run("models", "verify", "birds")
    assert result.status == 0 and result.err == ""
    rows = {line.split()[0]: line.split()[1:] for line in result.out.splitlines()[1:]}
    assert (
        set(rows) == NEEDED and rows[SHARD] == ["ok", "sha256"] and rows["config.json"] == ["ok", "git-sha1"]
    )


def test_nothing_else_connects_either(run: Run, pulled: Path) -> None:
    for words in (["pull", "birds", "--offline"], ["pull", "birds"], ["list"], ["show", "birds"]):
        result = run("models", *words)
        assert result.status == 0 and result.out, result.err
    assert run("models", "pull", "pllava-7b", "--offline").status == 5
    assert run("models", "rm", "birds", "--yes").status == 0


@pytest.mark.parametrize("noted", [True, False])
@pytest.mark.parametrize(
    ("name", "harm", "state", "said"),
    [
        (SHARD, flip, "damaged", "sha256 is "),
        ("tokenizer.json", flip, "damaged", "git-sha1 is "),
        (SHARD, lambda data: data[:5000], "truncated", "is cut short: 5000 of "),
        (SHARD, lambda data: b"", "truncated", "is cut short: 0 of "),
        (SHARD, None, "missing", "is not there"),
    ],
)
def test_damage_is_named(
    run: Run,
    pulled: Path,
    noted: bool,
    name: str,
    harm: Callable[[bytes], bytes] | None,
    state: str,
    said: str,
) -> None:
    """Without a note of what was fetched too: the cache names blobs by their hashes."""
    if not noted:
        (hubcache.storage(REPO) / receipts.FILE).unlink()
    blob = (pulled / name).resolve()
    if harm is None:
        blob.unlink()
    else:
        blob.write_bytes(harm(blob.read_bytes()))
    if not noted and said.endswith("0 of "):
        state, said = ("damaged", "has no whole safetensors header") if "5000" not in said else (state, said)
    result = run("models", "verify", "birds", "--json")
    assert result.status == 5 and f"{name} {said}" in result.err, result.err
    assert "hint: run: pllava models pull birds --repair" in result.err
    report = json.loads(result.out)
    bad = {each["file"]: each["state"] for each in report["files"] if each["state"] != "ok"}
    assert not report["ok"] and bad == {name: state}


def test_what_was_broken_off(run: Run, hub: server.Hub) -> None:
    hub.page_for_files = b"<html>"
    assert run("models", "pull", "birds").status == 5
    result = run("models", "verify", "birds")
    assert result.status == 5 and f"{SHARD} is not there" in result.err


def test_what_is_not_here(run: Run, hub: server.Hub) -> None:
    result = run("models", "verify", "birds")
    assert result.status == 5 and "hint: run: pllava models pull birds" in result.err


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of the user's."""
    folder = tmp_path / "mine"
    folder.mkdir()
    for name, data in checkpoint_files().items():
        if name in NEEDED:
            (folder / name).write_bytes(data)
    return folder


def test_a_folder_is_checked_by_its_form(run: Run, folder: Path) -> None:
    result = run("models", "verify", str(folder))
    assert result.status == 0 and "of 6 of 6 files no hash is known" in result.err


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        (SHARD, safetensors(b=200_000)[:-1], "is cut short: "),
        (SHARD, safetensors(b=200_000) + b"x", "has 1 bytes behind its last tensor"),
        (SHARD, b"\x10\0\0\0\0\0\0\0{", "has no whole safetensors header"),
        (SHARD, b"\xff" * 100, "has no whole safetensors header"),
        (SHARD, b"version https://git-lfs.github.com/spec/v1\n", "has no whole safetensors header"),
        (SHARD, safetensors(c=200_000), "lacks the tensor b that the index names"),
        (SHARD, None, "is not there"),
        ("tokenizer.json", None, "is not there"),
        ("tokenizer.json", b"{", "holds no JSON object"),
        ("model.safetensors.index.json", b"[]", "holds no JSON object"),
    ],
)
def test_damage_in_a_folder(run: Run, folder: Path, name: str, data: bytes | None, said: str) -> None:
    (folder / name).unlink()
    if data is not None:
        (folder / name).write_bytes(data)
    result = run("models", "verify", str(folder))
    assert result.status == 5 and f"{name} {said}" in result.err, result.err


def test_what_else_lies_in_a_folder_is_no_part_of_the_checkpoint(run: Run, folder: Path) -> None:
    (folder / "results.json").write_text("[1, 2]")
    (folder / "notes.json").write_text("")
    result = run("models", "verify", str(folder), "--json")
    assert result.status == 0, result.err
    assert {each["file"] for each in json.loads(result.out)["files"]} == NEEDED


def test_a_packed_save_s_record_is_part_of_it(run: Run, folder: Path) -> None:
    (folder / "quantized.json").write_text("{")
    result = run("models", "verify", str(folder))
    assert result.status == 5 and "quantized.json holds no JSON object" in result.err


def test_the_built_in_checkpoint(run: Run) -> None:
    assert run("models", "verify", "tiny").status == 0
