"""Packed saves in listings, and `pllava models rm`: what was made by us goes, and nothing else."""

import fcntl
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from pllava_cli import hubcache, registry, savelist
from pllava_cli.model.record import RECORD_FILE, Record
from tests.commands.results import Run
from tests.locking import before_locking


@pytest.fixture
def run(command: Run) -> Run:
    """Without the fake engine."""
    return command


def write_save(source: Path, name: str = "some-4bit-fp32-alpha4-0123456789", **changes: object) -> Path:
    """A folder that looks like a save: its record is all that tells."""
    how = {"quantize": "4bit", "dtype": "fp32", "alpha": 4.0, "device": "cpu", "made_by": "a test"}
    record = Record("some", str(source), None, (), **how | changes)  # type: ignore[arg-type]
    folder = savelist.quantized_dir() / name
    folder.mkdir(parents=True)
    (folder / RECORD_FILE).write_text(record.text())
    (folder / "model-00001-of-00001.safetensors").write_bytes(bytes(30_000_000))
    (folder / "config.json").write_text("{}")
    return folder


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder that passes for a checkpoint."""
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(bytes(1000))
    return folder


@pytest.mark.usefixtures("one_thread")
def test_made_listed_and_deleted(run: Run, tmp_path: Path) -> None:
    from benchmarks.random_checkpoint import SHAPES, write

    model = write(tmp_path / "random", SHAPES["tiny"], seed=4)
    for packing in ("4bit", "8bit"):
        assert run("models", "quantize", model, "--quantize", packing, "--device", "cpu").status == 0
    shown = json.loads(run("models", "show", model, "--json").out)["saves"]
    assert [(each["quantize"], each["alpha"], each["is_whole"]) for each in shown] == [
        ("4bit", 4.0, True),
        ("8bit", 4.0, True),
    ]
    lines = [line.split() for line in run("models", "show", model).out.splitlines()]
    assert [line[-1] for line in lines if line[0] == "save"] == [each["folder"] for each in shown]
    for each in shown:
        files = list(Path(each["folder"]).iterdir())
        assert each["bytes"] == sum(file.stat().st_size for file in files), "all of it is known for ours"
    result = run("models", "rm", model, "--saves", "--yes", "--json")
    assert result.status == 0, result.err
    assert json.loads(result.out) == {
        "name": str(model),
        "freed_bytes": sum(each["bytes"] for each in shown),
        "saves": [each["folder"] for each in shown],
    }
    assert list(savelist.quantized_dir().iterdir()) == []
    assert (model / "config.json").exists()
    again = run("models", "rm", model, "--saves", "--yes")
    assert again.status == 2 and "there is no packed save" in again.err


def test_list_tells_the_size(run: Run, source: Path) -> None:
    before = next(line.split() for line in run("models", "list").out.splitlines() if line.startswith("tiny"))
    assert before[6] == "-"
    write_save(registry.find("tiny").path or source)
    listed = {each["name"]: each for each in json.loads(run("models", "list", "--json").out)}
    assert listed["tiny"]["saves"][0]["bytes"] > 30_000_000
    assert listed["pllava-7b"]["saves"] == []
    row = next(line.split() for line in run("models", "list").out.splitlines() if line.startswith("tiny"))
    assert row[6] == "0.0"


def test_of_a_repository_it_is_told_whatever_its_commit(run: Run) -> None:
    storage = hubcache.storage("ermu2001/pllava-7b")
    first = write_save(storage / "snapshots" / ("a" * 40), "one")
    second = write_save(storage / "snapshots" / ("b" * 40), "two", quantize="8bit")
    write_save(hubcache.storage("ermu2001/pllava-13b") / "snapshots" / ("a" * 40), "three")
    gone = run("models", "rm", "7b", "--yes")
    assert gone.status == 5, "the checkpoint itself is not there"
    assert "--saves deletes its packed saves, 0.06 GB" in gone.err
    assert first.exists()
    result = run("models", "rm", "7b", "--saves", "--yes")
    assert result.status == 0 and "deleted the 2 packed saves of pllava-7b: 0.06 GB" in result.err
    assert not first.exists() and not second.exists()
    assert [each.name for each in savelist.quantized_dir().iterdir()] == ["three"]


def test_a_save_that_gets_its_name_meanwhile(run: Run, source: Path) -> None:
    save = write_save(source, ".some.partial")
    (found,) = savelist.saves_of(registry.find(str(source)))
    save.rename(save.with_name("some"))
    assert found.bytes == 0


def test_dry_run_deletes_nothing(run: Run, source: Path) -> None:
    save = write_save(source)
    result = run("models", "rm", source, "--saves", "--dry-run")
    assert result.status == 0
    assert result.out.split() == ["save,", "4bit", "in", "fp32", "at", "alpha", "4", "0.03", "GB", str(save)]
    assert "would free 0.03 GB" in result.err
    plain = json.loads(run("models", "rm", source, "--saves", "--dry-run", "--json").out)
    assert plain["dry_run"] is True and plain["saves"] == [str(save)]
    assert len(list(save.iterdir())) == 3


def test_nobody_to_ask(run: Run, source: Path) -> None:
    save = write_save(source)
    result = run("models", "rm", source, "--saves")
    assert result.status == 2 and "--yes" in result.err
    assert "delete the packed save (4bit in fp32 at alpha 4) of" in result.err
    assert len(list(save.iterdir())) == 3


def test_a_folder_of_ones_own_stays_with_its_saves_named(run: Run, source: Path) -> None:
    save = write_save(source)
    result = run("models", "rm", source, "--yes")
    assert result.status == 2 and "deletes only what was" in result.err
    assert "--saves deletes its packed saves" in result.err
    assert source.exists() and save.exists()


class TestWhatIsNotOurs:
    def test_stays_in_the_folder(self, run: Run, source: Path) -> None:
        save = write_save(source)
        (save / "notes.txt").write_text("mine")
        (save / "model.safetensors").write_text("not as we name them")
        (save / "more").mkdir()
        assert run("models", "rm", source, "--saves", "--yes").status == 0
        assert sorted(each.name for each in save.iterdir()) == ["model.safetensors", "more", "notes.txt"]

    @pytest.mark.parametrize(
        "text",
        [None, "", "{", "[]", "{}", '{"schema": "other/1"}', '{"schema": "pllava.quantized/1"}', "\xff"],
    )
    def test_no_record_of_ours(self, text: str | None, run: Run, source: Path) -> None:
        save = write_save(source)
        if text is None:
            (save / RECORD_FILE).unlink()
        else:
            (save / RECORD_FILE).write_text(text, encoding="latin-1")
        assert run("models", "rm", source, "--saves", "--yes").status == 2
        assert (save / "config.json").exists()
        assert run("models", "list").status == 0

    @pytest.mark.parametrize("changes", [{"quantize": ["4bit"]}, {"dtype": {}}, {"alpha": "4"}], ids=str)
    def test_record_of_impossible_values(self, changes: dict[str, Any], run: Run, source: Path) -> None:
        save = write_save(source, **changes)
        assert run("models", "list").status == 0
        assert run("models", "rm", source, "--saves", "--yes").status == 2
        assert (save / "config.json").exists()

    @pytest.mark.parametrize("path", ["a\0b", "", "x" * 5000, "relative", "/snapshots/x", "/"])
    def test_record_of_a_source_that_cannot_be(self, path: str, run: Run, source: Path) -> None:
        write_save(source)
        odd = write_save(source, "odd")
        record = json.loads((odd / RECORD_FILE).read_text())
        (odd / RECORD_FILE).write_text(json.dumps(record | {"source": path}))
        assert run("models", "list").status == 0
        assert run("models", "rm", source, "--saves", "--yes").status == 0
        assert (odd / "config.json").exists()

    def test_a_link_is_not_followed(self, run: Run, source: Path, tmp_path: Path) -> None:
        elsewhere = shutil.move(write_save(source), tmp_path / "elsewhere")
        (savelist.quantized_dir() / "link").symlink_to(elsewhere)
        (savelist.quantized_dir() / "file").touch()
        assert run("models", "rm", source, "--saves", "--yes").status == 2
        assert len(list(Path(elsewhere).iterdir())) == 3

    def test_a_linked_weight_file_stays_where_it_is(self, run: Run, source: Path, tmp_path: Path) -> None:
        save = write_save(source)
        weights = save / "model-00001-of-00001.safetensors"
        shutil.move(weights, tmp_path / "kept")
        weights.symlink_to(tmp_path / "kept")
        assert run("models", "rm", source, "--saves", "--yes").status == 0
        assert (tmp_path / "kept").stat().st_size == 30_000_000 and not save.exists()


def test_what_a_kill_has_left_goes_too_unless_it_is_being_written(run: Run, source: Path) -> None:
    partial = write_save(source, ".some-4bit.partial")
    (partial / "shard-0").write_bytes(bytes(10))
    assert "broken off" in run("models", "show", source).out
    descriptor = os.open(partial, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    held = run("models", "rm", source, "--saves", "--yes")
    assert held.status == 2 and "is being written by another run" in held.err
    assert len(list(partial.iterdir())) == 4
    os.close(descriptor)
    assert run("models", "rm", source, "--saves", "--yes").status == 0
    assert not partial.exists()


def test_what_another_run_has_begun_in_its_place_stays(run: Run, source: Path) -> None:
    partial = write_save(source, ".some-4bit.partial")
    with before_locking(
        lambda: partial.rename(partial.with_name("some-4bit")) and write_save(source, partial.name)
    ):
        result = run("models", "rm", source, "--saves", "--yes")
    assert result.status == 2 and "has just been moved or deleted" in result.err
    assert len(list(partial.iterdir())) == len(list(partial.with_name("some-4bit").iterdir())) == 3


def test_a_folder_that_may_not_be_changed(run: Run, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save = write_save(source)

    def refuse(self: Path, missing_ok: bool = False) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "unlink", refuse)
    result = run("models", "rm", source, "--saves", "--yes")
    assert result.status == 2 and f"cannot delete {save}" in result.err and "check permissions" in result.err
