"""`pllava models rm` deletes what `pllava models pull` has fetched, and nothing else."""

import io
import json
import shutil
import sys
from pathlib import Path

import pytest

from pllava_cli import hubcache
from pllava_cli.errors import UsageError
from pllava_cli.hub import pulling, removing
from tests.commands.results import Result, Run
from tests.commands.test_saves import write_save
from tests.hub import server
from tests.hub.conftest import NEEDED, REPO, checkpoint_files, write_registry


def test_nothing_is_left(run: Run, hub: server.Hub, cache: Path) -> None:
    run("models", "pull", "birds")
    result = run("models", "rm", "birds", "--yes", "--json")
    assert result.status == 0 and not hubcache.storage(REPO).exists()
    assert json.loads(result.out)["freed_bytes"] == sum(len(checkpoint_files()[name]) for name in NEEDED)
    assert [each for each in cache.rglob("*") if each.is_file() and ".locks" not in each.parts] == [
        cache / "CACHEDIR.TAG"
    ]
    assert run("models", "rm", "birds", "--yes").status == 5


def test_what_was_broken_off_goes_too(run: Run, hub: server.Hub) -> None:
    hub.breaks["model-00002-of-00002.safetensors"] = [1000] * 20
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("time.sleep", lambda _: None)
        assert run("models", "pull", "birds").status == 5
    assert list(hubcache.storage(REPO).rglob("*.incomplete"))
    assert run("models", "rm", "birds", "--yes").status == 0 and not hubcache.storage(REPO).exists()


def test_not_what_is_being_fetched(run: Run, hub: server.Hub, snapshot: Path) -> None:
    save = write_save(snapshot)
    tried: list[Result] = []

    def on_bytes(count: int) -> None:
        if len(tried) < 3:
            tried.append(run("models", "rm", "birds", "--yes"))

    pulling.carry_out(pulling.plan(pulling.Wanted(REPO, "main")), on_bytes)
    for result in tried:
        assert result.status == 2 and "another run is fetching" in result.err and "hint: wait" in result.err
    assert len(tried) == 3 and save.exists() and server.folder_files(snapshot).keys() == NEEDED
    assert run("models", "rm", "birds", "--yes").status == 0 and not hubcache.storage(REPO).exists()


def test_what_is_being_deleted_is_not_fetched(run: Run, hub: server.Hub, snapshot: Path) -> None:
    run("models", "pull", "birds")
    removal = removing.plan("birds", REPO, "main")
    with removing.unused(removal):
        result = run("models", "pull", "birds", "--repair")
        assert result.status == 2 and f"another run is deleting {REPO}" in result.err
        removing.carry_out(removal)
        assert run("models", "pull", "birds").status == 0  # of the folder that is deleted none is held
    assert server.folder_files(snapshot).keys() == NEEDED


def test_what_is_fetched_by_another_name_while_the_user_is_asked_stays(
    run: Run, hub: server.Hub, snapshot: Path
) -> None:
    run("models", "pull", "birds")
    removal = removing.plan("birds", REPO, "main")
    pulling.carry_out(pulling.plan(pulling.Wanted(REPO, server.COMMIT)), lambda count: None)
    with removing.unused(removal):
        removing.carry_out(removal)
    assert server.folder_files(snapshot).keys() == NEEDED
    assert run("models", "rm", "birds", "--yes").status == 5


def test_what_another_program_deletes_meanwhile_is_told(hub: server.Hub) -> None:
    def on_bytes(count: int) -> None:
        shutil.rmtree(hubcache.storage(REPO), ignore_errors=True)

    with pytest.raises(UsageError, match="No such file") as caught:
        pulling.carry_out(pulling.plan(pulling.Wanted(REPO, "main")), on_bytes)
    assert "another program has deleted" in caught.value.hint


def test_a_damaged_name_of_a_commit_does_not_hinder(run: Run, hub: server.Hub) -> None:
    run("models", "pull", "birds")
    (hubcache.storage(REPO) / "refs" / "main").write_bytes(b"\xff\xfe")
    assert run("models", "rm", "birds", "--yes").status == 0


def test_its_packed_saves_go_with_it(run: Run, hub: server.Hub, snapshot: Path) -> None:
    run("models", "pull", "birds")
    save = write_save(snapshot)
    other = write_save(snapshot.parents[2] / "models--other--birds" / "snapshots" / snapshot.name, "other")
    whole = sum(len(checkpoint_files()[name]) for name in NEEDED)
    packed = sum(file.stat().st_size for file in save.iterdir())
    dry = run("models", "rm", "birds", "--dry-run")
    assert dry.status == 0 and len(dry.out.splitlines()) == 2 and str(save) in dry.out
    assert str(hubcache.storage(REPO)) in dry.out and save.exists() and snapshot.exists()
    result = run("models", "rm", "birds", "--yes", "--json")
    assert result.status == 0 and "deleted birds and its packed save" in result.err
    assert json.loads(result.out)["freed_bytes"] == whole + packed
    assert not hubcache.storage(REPO).exists() and not save.exists() and other.exists()


def test_its_saves_alone(run: Run, hub: server.Hub, snapshot: Path) -> None:
    run("models", "pull", "birds")
    save = write_save(snapshot)
    assert run("models", "rm", "birds", "--saves", "--yes").status == 0
    assert not save.exists() and snapshot.exists()
    assert run("models", "verify", "birds").status == 0


class Typed(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("answer", "is_deleted"), [("y\n", True), ("YES\n", True), ("\n", False), ("", False)]
)
def test_it_asks(
    run: Run, hub: server.Hub, monkeypatch: pytest.MonkeyPatch, answer: str, is_deleted: bool
) -> None:
    run("models", "pull", "birds")
    monkeypatch.setattr(sys, "stdin", Typed(answer))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    result = run("models", "rm", "birds")
    assert result.status == 0 and "delete birds, 0.00 GB? [y/N]" in result.err
    assert hubcache.storage(REPO).exists() is not is_deleted


def test_nobody_to_ask(run: Run, hub: server.Hub, snapshot: Path) -> None:
    run("models", "pull", "birds")
    result = run("models", "rm", "birds")
    assert result.status == 2 and "--yes" in result.err and snapshot.is_dir()


def test_a_folder_is_never_deleted(run: Run, hub: server.Hub, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    write_registry(f'[checkpoints.mine]\npath = "{folder}"\n')
    for name in (str(folder), "mine", "tiny"):
        result = run("models", "rm", name, "--yes")
        assert result.status == 2 and "deletes only what was" in result.err
    assert folder.is_dir()


def test_a_pulled_snapshot_given_as_a_path_is_a_folder_too(run: Run, hub: server.Hub, snapshot: Path) -> None:
    run("models", "pull", "birds")
    assert run("models", "rm", str(snapshot), "--yes").status == 2 and len(list(snapshot.iterdir())) == 6


def test_what_another_program_has_fetched_stays(run: Run, hub: server.Hub, snapshot: Path) -> None:
    from huggingface_hub import hf_hub_download, snapshot_download

    snapshot_download(REPO)
    result = run("models", "rm", "birds", "--yes")
    assert result.status == 5 and "deletes only what was" in result.err
    (snapshot / "model-00001-of-00002.safetensors").resolve().unlink()
    assert run("models", "pull", "birds").status == 0, "of which one file was fetched by us"
    assert run("models", "rm", "birds", "--yes").status == 0
    left = {each.name for each in snapshot.iterdir()}
    assert left == {Path(name).parts[0] for name in checkpoint_files()} - {"model-00001-of-00002.safetensors"}
    assert hf_hub_download(REPO, "config.json", local_files_only=True) == str(snapshot / "config.json")


def test_a_blob_that_another_snapshot_needs_stays(run: Run, hub: server.Hub, snapshot: Path) -> None:
    from huggingface_hub import snapshot_download

    run("models", "pull", "birds")
    newer = "f" * 40
    hub.repos[REPO] = server.Repo(checkpoint_files() | {"config.json": b"{}"}, commit=newer)
    snapshot_download(REPO)
    assert run("models", "rm", "birds", "--yes").status == 0
    assert not snapshot.exists()
    assert server.folder_files(snapshot.with_name(newer)).keys() >= NEEDED


def test_a_blob_that_a_file_in_a_folder_needs_stays(run: Run, hub: server.Hub, snapshot: Path) -> None:
    run("models", "pull", "birds")
    config = snapshot / "config.json"
    text = config.read_text()
    (snapshot / "copies").mkdir()
    copy = snapshot / "copies" / "config.json"
    copy.symlink_to(Path("..") / config.readlink())
    assert run("models", "rm", "birds", "--yes").status == 0
    assert not config.exists() and copy.read_text() == text
