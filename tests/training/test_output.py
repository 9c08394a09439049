"""Writing: what a full disk does to a run, and what a library makes of it, becomes one plain line."""

import errno
import os
import resource
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from pllava_cli.errors import UsageError
from pllava_cli.training import run
from pllava_cli.training.output import writing
from pllava_cli.training.settings import TrainSettings
from tests.disks import room
from tests.training.conftest import Heard

Quick = Callable[..., TrainSettings]


WRITERS: dict[str, Callable[[Path], object]] = {
    "torch": lambda folder: torch.save(torch.zeros(100_000), folder / "file"),
    "safetensors": lambda folder: save_file({"a": torch.zeros(100_000)}, folder / "file"),
    "python": lambda folder: (folder / "file").write_bytes(bytes(400_000)),
}


@pytest.mark.parametrize("name", WRITERS)
def test_each_library_is_understood(tmp_path: Path, name: str) -> None:
    with (
        room(20_000),
        pytest.raises(UsageError) as caught,
        writing(tmp_path, "free some space"),
    ):
        WRITERS[name](tmp_path)
    assert caught.value.message == f"cannot write {tmp_path}: file too large"
    assert caught.value.hint == "free some space"
    assert {each.name for each in tmp_path.iterdir()} <= {"file"}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here to write to")
def test_a_full_disk_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no space left on device"), writing(tmp_path, ""):
        Path("/dev/full").write_text("x")


def test_what_was_not_written_there_passes_as_it_is(tmp_path: Path) -> None:
    def strange(error: Exception) -> None:
        with writing(tmp_path, ""):
            raise error

    for error in (RuntimeError("shapes differ"), OSError(errno.EPERM, "no", "/elsewhere"), ValueError()):
        with pytest.raises(type(error)) as caught:
            strange(error)
        assert caught.value is error
    with pytest.raises(UsageError, match="permission denied"):
        strange(OSError(errno.EACCES, os.strerror(errno.EACCES), str(tmp_path / "log.jsonl")))


def test_a_checkpoint_that_cannot_be_written_leaves_the_one_before(
    quick: Quick, tmp_path: Path, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second checkpoint's optimizer state is cut short; the first serves the next start."""
    whole, cut = (quick(out=tmp_path / name, steps=4) for name in ("whole", "cut"))
    run.train(whole, heard)
    save = run.PllavaTrainer._save_checkpoint

    def save_in_little_room(self: run.PllavaTrainer, *arguments: object) -> None:
        if self.state.global_step == 4:
            resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
        save(self, *arguments)

    with (
        monkeypatch.context() as patch,
        room(1 << 30),
        pytest.raises(UsageError) as caught,
    ):
        patch.setattr(run.PllavaTrainer, "_save_checkpoint", save_in_little_room)
        run.train(cut, heard)
    assert caught.value.message == f"cannot write {cut.out}: file too large"
    assert "free some space" in caught.value.hint and "the same command goes on" in caught.value.hint
    torn = cut.out / "checkpoints" / "checkpoint-4"
    assert (torn / "optimizer.pt").exists() and not (torn / "complete.json").exists()
    run.train(cut, heard)
    assert "going on from step 2" in heard.said
    found, wanted = (load_file(each.out / "adapter_model.safetensors") for each in (cut, whole))
    assert all(torch.equal(found[name], value) for name, value in wanted.items())
