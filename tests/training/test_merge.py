"""Merging: one plain folder that says the same, appears whole or not at all, and can be trained from."""

import json
import shutil
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from benchmarks.random_checkpoint import write
from pllava_cli import load_model
from pllava_cli.errors import CheckpointError, MemoryFullError, UsageError
from pllava_cli.model.tensors import TensorReader
from pllava_cli.source import Source
from pllava_cli.training import folders, run
from pllava_cli.training.base import find_base
from pllava_cli.training.merge import merge
from pllava_cli.training.settings import TrainSettings
from tests.checkpoints import TINY, copied, plain_shapes
from tests.disks import room
from tests.training.conftest import Heard

EXACT = {"dtype": "fp32", "quantize": "none", "device": "cpu"}


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory, one_thread: None) -> Path:
    return write(tmp_path_factory.mktemp("merge") / "released", TINY, seed=1, shard_bytes=100_000)


def logits(folder: Path, alpha: float | None = None) -> torch.Tensor:
    model, _ = load_model(folder, alpha=alpha, **EXACT)
    ids = torch.tensor([[1, *[model.config.image_token_id] * 16, 260, 270, 280]])
    pixels = torch.randn(4, 3, 28, 28, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        found: torch.Tensor = model(input_ids=ids, pixel_values=pixels).logits
    return found


def test_a_released_checkpoint_says_the_same_merged(released: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = merge(Source(str(released), alpha=6.0), out, dtype="fp32", shard_bytes=150_000)
    assert torch.equal(logits(out), logits(released, alpha=6.0))
    assert not torch.equal(logits(out), logits(released, alpha=4.0))
    assert done.alpha == 6.0
    shards = sorted(out.glob("*.safetensors"))
    assert len(shards) > 1
    assert shards[0].name == f"model-00001-of-{len(shards):05d}.safetensors"
    assert {each.name for each in out.iterdir()} - {each.name for each in shards} == {
        "model.safetensors.index.json",
        "config.json",
        "generation_config.json",
        "preprocessor_config.json",
        "tokenizer.json",
    }
    assert sum(file.stat().st_size for file in shards) >= done.bytes


def test_every_tensor_of_a_plain_llava_is_there_by_its_own_name(released: Path, tmp_path: Path) -> None:
    """The top of the vision tower too, which only other tools run; in the precision it had."""
    merge(Source(str(released)), tmp_path / "out")
    found = {}
    for file in (tmp_path / "out").glob("*.safetensors"):
        found |= load_file(file)
    assert {name: tuple(value.shape) for name, value in found.items()} == dict(plain_shapes(TINY))
    assert {value.dtype for value in found.values()} == {torch.bfloat16}


def test_an_adapter_is_merged_and_trained_from(
    quick: Callable[..., TrainSettings], tmp_path: Path, heard: Heard
) -> None:
    settings = quick(num_frames=2, pooling_shape=(2, 2, 2), out=tmp_path / "adapter")
    run.train(settings, heard)
    out = tmp_path / "merged"
    merge(Source(str(settings.out)), out)
    config = json.loads((out / "config.json").read_text())
    assert (config["num_frames"], config["pooling_shape"]) == (2, [2, 2, 2])
    ours, _ = load_model(settings.out, **EXACT)
    theirs, _ = load_model(out, **EXACT)
    for (name, one), (_, other) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        assert torch.equal(one, other), name
    run.train(quick(model=str(out), steps=1), heard)


def test_what_cannot_be_merged(base: Path, released: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no LoRA"):
        merge(Source(str(base)), tmp_path / "out")
    with pytest.raises(UsageError, match="already there"):
        merge(Source(str(released)), tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot write"):
        merge(Source(str(released)), tmp_path / "file" / "out")


def test_a_file_that_only_the_result_would_have_is_looked_at_first(
    base: Path, released: Path, tmp_path: Path, quick: Callable[..., TrainSettings]
) -> None:
    """Nothing here reads it before it is copied, after hours of training or of writing weights."""
    for source in (base, released):
        (copied(source, tmp_path / source.name) / "tokenizer_config.json").mkdir()
    with pytest.raises(CheckpointError, match=r"tokenizer_config\.json is not a regular file"):
        merge(Source(str(tmp_path / released.name)), tmp_path / "out")
    with pytest.raises(CheckpointError, match=r"tokenizer_config\.json is not a regular file"):
        find_base(quick(model=str(tmp_path / base.name)))
    assert not (tmp_path / "out").exists()


def test_weights_beyond_the_precision_are_refused(released: Path, tmp_path: Path) -> None:
    """fp16 ends at 65504; what would be written could not be loaded."""
    with pytest.raises(UsageError, match="beyond the range of float16") as caught:
        merge(Source(str(released), alpha=1e6), tmp_path / "out", dtype="fp16")
    assert caught.value.hint == "use --dtype bf16" and not (tmp_path / "out").exists()
    merge(Source(str(released), alpha=1e6), tmp_path / "out", dtype="bf16")


def test_a_merge_broken_off_leaves_nothing_that_looks_whole(
    released: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_off(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(folders, "write_description", break_off)
        merge(Source(str(released)), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    merge(Source(str(released)), tmp_path / "out")
    assert [each.name for each in tmp_path.iterdir()] == ["out"]


def test_another_run_is_merging_into_the_same_folder(
    released: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = []
    original = folders.write_description

    def merge_too(*arguments: Any) -> None:
        with pytest.raises(UsageError, match=f"another run is writing {tmp_path / 'out'}") as caught:
            merge(Source(str(released)), tmp_path / "out")
        refused.append(caught.value)
        original(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(folders, "write_description", merge_too)
        merge(Source(str(released)), tmp_path / "out", dtype="fp32")
    assert len(refused) == 1 and refused[0].hint
    assert torch.equal(logits(tmp_path / "out"), logits(released))
    assert [each.name for each in tmp_path.iterdir()] == ["out"]


def test_a_merge_that_does_not_fit_the_disk_is_told_and_removed(released: Path, tmp_path: Path) -> None:
    with room(20_000), pytest.raises(UsageError) as caught:
        merge(Source(str(released)), tmp_path / "out")
    assert caught.value.message == f"cannot write {tmp_path / 'out'}: file too large"
    assert "free some space" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("dtype", ["auto", "fp32"])
def test_free_disk_is_looked_at_first(
    released: Path, tmp_path: Path, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    needed = merge(Source(str(released)), tmp_path / "first", dtype=dtype).bytes + folders.MARGIN_BYTES
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 0, needed - 1))
        patch.setattr(TensorReader, "read", None)
        with pytest.raises(UsageError, match=r"out needs 0\.03 GB of disk, and 0\.03 GB are free") as caught:
            merge(Source(str(released)), tmp_path / "out", dtype=dtype)
    assert "with -o" in caught.value.hint and [each.name for each in tmp_path.iterdir()] == ["first"]
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 0, needed))
    merge(Source(str(released)), tmp_path / "out", dtype=dtype)


def test_memory_that_does_not_suffice_is_told(
    released: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr("pllava_cli.training.merge.merged", full)
    with pytest.raises(MemoryFullError, match="the memory of cpu does not suffice") as caught:
        merge(Source(str(released)), tmp_path / "out")
    assert list(tmp_path.iterdir()) == [] and "--" not in caught.value.hint  # merging has no lighter way


def test_weights_may_be_read_by_whoever_may_read_the_rest(released: Path, tmp_path: Path) -> None:
    merge(Source(str(released)), tmp_path / "out")
    modes = {file.stat().st_mode for file in (tmp_path / "out").iterdir()}
    assert len(modes) == 1
    with safe_open(next((tmp_path / "out").glob("*.safetensors")), "pt") as file:
        assert file.metadata()["format"] == "pt"
