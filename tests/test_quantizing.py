"""A checkpoint packed and saved: the same weights to the bit, found again while its source is what it was."""

import json
import os
import shutil
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from pllava_cli import Captioner
from pllava_cli.errors import CheckpointError, PllavaError, UsageError
from pllava_cli.loader import Opened, check_checkpoint, open_checkpoint
from pllava_cli.model import cpu, device, quantization
from pllava_cli.model.empty import shapes_of
from pllava_cli.model.footprint import footprint
from pllava_cli.model.tensors import TensorReader
from pllava_cli.quantizing import quantize
from pllava_cli.source import Source
from pllava_cli.training.merge import merge
from tests.checkpoints import adapter_tensors, copied, edit_json, write_adapter, write_plain
from tests.disks import room
from tests.hub.conftest import write_registry

ASKED: dict[str, Any] = {"base": None, "num_frames": None, "pooling_shape": None, "device": "cpu"}
PACKINGS = ["4bit", "8bit"]


@pytest.fixture(autouse=True)
def quick(one_thread: None) -> None:
    """All tests here run small models."""


@pytest.fixture
def source(checkpoint: Path, tmp_path: Path) -> Path:
    """A checkpoint with LoRA, to be changed."""
    return copied(checkpoint, tmp_path / "source")


def opened(model: Path, alpha: float | None = 4, **options: Any) -> Opened:
    return open_checkpoint(model, alpha=alpha, **{"dtype": "fp32", "quantize": "4bit"} | ASKED | options)


def is_packed_already(loaded: Opened) -> bool:
    return any("come packed from" in reason for reason in loaded.plan.reasons)


def assert_same(ours: Opened, theirs: Opened) -> None:
    one, other = ours.model.state_dict(), theirs.model.state_dict()
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert value.dtype == other[name].dtype
        assert torch.equal(value, other[name]), name


class TestContents:
    @pytest.mark.parametrize("dtype", ["fp32", "bf16"])
    @pytest.mark.parametrize("packing", PACKINGS)
    def test_weights_are_those_that_packing_gives(
        self, packing: str, dtype: str, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        how: dict[str, Any] = {"quantize": packing, "dtype": dtype}
        packed = opened(source, **how)
        quantize(Source(str(source), alpha=4), packing, dtype=dtype, device="cpu", shard_bytes=100_000)
        quantize(Source(str(source), alpha=4), packing, tmp_path / "out", dtype=dtype, device="cpu")
        monkeypatch.setattr(quantization, "pack", None)  # nothing is packed again
        found = opened(source, **how)
        assert is_packed_already(found)
        assert_same(found, packed)
        named = opened(tmp_path / "out", None, quantize="auto", dtype="auto")
        assert_same(named, packed)
        assert (named.alpha, named.plan.quantize, named.plan.dtype) == (4, packing, dtype)

    def test_caption_is_the_same_to_the_token(self, source: Path, clip: Path) -> None:
        """After a caption too, which on some CPUs puts the weights in memory into another order."""
        how: dict[str, Any] = {"alpha": 4, "dtype": "fp32", "quantize": "4bit", "device": "cpu"}
        captioner = Captioner(source, **how)
        before = captioner.caption(clip)
        quantize(Source(str(source), alpha=4), "4bit", dtype="fp32", device="cpu")
        saved = Captioner(source, **how)
        after = saved.caption(clip)
        assert "come packed from" in saved.plan.reasons[-1]
        assert (after.text, after.new_tokens) == (before.text, before.new_tokens)
        assert before.new_tokens > 10

    def test_four_bits_lie_as_on_every_device(self, source: Path, tmp_path: Path) -> None:
        """Two weights a byte, the first one in its upper half, as QLoRA's CUDA kernels read them; a CPU's own
        order would decode to something else."""
        quantize(Source(str(source), alpha=0), "4bit", tmp_path / "out", dtype="fp32", device="cpu")
        saved = {k: v for f in (tmp_path / "out").glob("*.safetensors") for k, v in load_file(f).items()}
        name = "model.language_model.layers.1.mlp.up_proj.weight"
        state = json.loads(bytes(saved[f"{name}.quant_state.bitsandbytes__nf4"].tolist()))
        scales = saved[f"{name}.nested_quant_map"][saved[f"{name}.absmax"].long()]
        scales = scales * saved[f"{name}.nested_absmax"].repeat_interleave(256)[: len(scales)]
        scales = scales + state["nested_offset"]
        halves = saved[name].flatten().long()
        codes = torch.stack((halves >> 4, halves & 15), 1).flatten()
        decoded = saved[f"{name}.quant_map"][codes] * scales.repeat_interleave(64)
        exact = dict(opened(source, 0, quantize="none").model.named_parameters())[name]
        error = (decoded.view(exact.shape) - exact).pow(2).mean().sqrt() / exact.std()
        assert error < 0.105  # as in tests/model/test_quantization.py

    def test_what_is_not_packed_takes_no_more_than_in_the_source(self, source: Path, tmp_path: Path) -> None:
        """fp32 in memory, but the source has bf16."""
        quantize(Source(str(source), alpha=4), "4bit", tmp_path / "out", dtype="fp32", device="cpu")
        saved = {k: v for f in (tmp_path / "out").glob("*.safetensors") for k, v in load_file(f).items()}
        assert saved["lm_head.weight"].dtype == torch.bfloat16

    def test_record_says_what_it_was_made_from(self, source: Path, tmp_path: Path) -> None:
        done = quantize(Source(str(source), alpha=3), "4bit", tmp_path / "out", dtype="bf16", device="cpu")
        record = json.loads((done.out / "quantized.json").read_text())
        assert record["schema"] == "pllava.quantized/1"
        assert (record["source"], record["alpha"], record["quantize"]) == (str(source), 3, "4bit")
        assert (record["dtype"], record["device"]) == ("bf16", "cpu")
        assert {file["path"]: file["bytes"] for file in record["files"]} == {
            str(file): file.stat().st_size for file in source.glob("*.safetensors")
        }

    def test_an_adapter_is_packed_with_its_base(self, tmp_path: Path) -> None:
        base = write_plain(tmp_path / "base")
        adapter = write_adapter(tmp_path / "adapter", base, adapter_tensors(3))
        packed = opened(adapter, base=base)
        quantize(Source(str(adapter), alpha=4, base=str(base)), "4bit", dtype="fp32", device="cpu")
        found = opened(adapter, base=base)
        assert is_packed_already(found)
        assert_same(found, packed)
        os.utime(base / "model.safetensors")
        assert not is_packed_already(opened(adapter, base=base))


class TestFinding:
    @pytest.fixture(autouse=True)
    def saved(self, source: Path) -> Path:
        return quantize(Source(str(source), alpha=4), "4bit", dtype="fp32", device="cpu").out

    @pytest.mark.parametrize("other", [{"alpha": 5}, {"quantize": "8bit"}, {"quantize": "none"}], ids=str)
    def test_other_options_have_a_save_of_their_own(self, other: dict[str, Any], source: Path) -> None:
        loaded = opened(source, **other)
        assert not is_packed_already(loaded)
        assert loaded.warnings == ()

    def test_a_save_in_another_precision_is_told_and_not_used(self, source: Path) -> None:
        loaded = opened(source, dtype="bf16")
        assert not is_packed_already(loaded)
        (warning,) = loaded.warnings
        assert "in fp32 is not used in bf16; --dtype fp32 uses it" in warning

    def test_precision_left_to_us_is_that_of_the_save(
        self, source: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whatever memory and measurement would choose: they may change from run to run."""
        monkeypatch.setattr(cpu, "prefers_bf16", lambda product: True)
        checked = check_checkpoint(source, alpha=4.0, dtype="auto", quantize="4bit", **ASKED)
        assert checked.prepared.plan.dtype == "fp32", "records say beforehand what will be used"
        loaded = opened(source, dtype="auto")
        assert is_packed_already(loaded)
        assert (loaded.plan.dtype, loaded.warnings) == ("fp32", ())
        assert "fp32 because it was packed in that" in loaded.plan.reasons
        assert not is_packed_already(opened(source, dtype="auto", alpha=5))

    def test_save_in_the_precision_that_would_be_chosen_comes_first(
        self, source: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        quantize(Source(str(source), alpha=4), "4bit", dtype="bf16", device="cpu")
        for is_bf16, dtype in ((True, "bf16"), (False, "fp32")):
            monkeypatch.setattr(cpu, "prefers_bf16", lambda product, is_bf16=is_bf16: is_bf16)
            loaded = opened(source, dtype="auto")
            assert is_packed_already(loaded) and loaded.plan.dtype == dtype

    def test_precision_of_a_save_that_does_not_fit_is_not_taken(
        self, source: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        need = check_checkpoint(source, alpha=4.0, dtype="bf16", quantize="4bit", **ASKED).prepared
        model = need.model
        packable = {f"{name}.weight" for name in quantization.quantizable(model)}
        least = footprint(model.config, shapes_of(model), packable).bytes("bf16", "4bit")
        tight = [device.DeviceInfo("cpu", "1 thread", 10**9, int(least / device.SPARE) + 10)]
        monkeypatch.setattr(device, "devices", lambda: tight)
        loaded = opened(source, dtype="auto")
        assert loaded.plan.dtype == "bf16"
        (warning,) = loaded.warnings
        assert "in fp32 is not used in bf16" in warning

    def test_stale_save_decides_nothing(
        self, source: Path, saved: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(cpu, "prefers_bf16", lambda product: True)
        os.utime(sorted(source.glob("*.safetensors"))[0])
        assert opened(source, dtype="auto").plan.dtype == "bf16"

    def test_precision_that_the_device_emulates_is_not_taken(
        self, source: Path, saved: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shutil.rmtree(saved)
        quantize(Source(str(source), alpha=4), "4bit", dtype="fp16", device="cpu")
        loaded = opened(source, dtype="auto")
        assert loaded.plan.dtype in ("fp32", "bf16")
        assert "--dtype fp16 uses it" in loaded.warnings[0]

    def test_frames_and_pooling_do_not_matter(self, source: Path) -> None:
        assert is_packed_already(opened(source, num_frames=2, pooling_shape=(2, 1, 1)))

    def test_a_save_of_changed_files_is_told_and_not_used(self, source: Path, saved: Path) -> None:
        file = sorted(source.glob("*.safetensors"))[0]
        weights = load_file(file)
        weights["language_model.base_model.model.lm_head.weight"] *= 2
        save_file(weights, file)
        loaded = opened(source)
        assert not is_packed_already(loaded)
        (warning,) = loaded.warnings
        assert str(saved) in warning
        assert f"{file} is not what it was made from" in warning
        done = quantize(Source(str(source), alpha=4), "4bit", dtype="fp32", device="cpu")
        assert done.is_new
        assert done.out == saved
        again = opened(source)
        assert is_packed_already(again)
        assert_same(again, loaded)

    def test_there_already(self, source: Path, saved: Path) -> None:
        before = saved.stat().st_mtime_ns
        assert not quantize(Source(str(source), alpha=4), "4bit", dtype="fp32", device="cpu").is_new
        assert saved.stat().st_mtime_ns == before

    @pytest.mark.parametrize(
        "text",
        [
            "{",
            "[]",
            "{}",
            '{"schema": "pllava.quantized/2"}',
            '{"schema": "pllava.quantized/1", "files": [3]}',
            '{"schema": "pllava.quantized/1", "files": []}',
        ],
    )
    def test_damaged_record_is_told_and_not_used(self, text: str, source: Path, saved: Path) -> None:
        (saved / "quantized.json").write_text(text)
        loaded = opened(source)
        assert not is_packed_already(loaded)
        assert "quantized.json" in loaded.warnings[0]
        assert quantize(Source(str(source), alpha=4), "4bit", dtype="fp32", device="cpu").is_new

    @pytest.mark.parametrize(
        "changes",
        [
            *({"files": [{"path": path, "bytes": 1, "mtime_ns": 1}]} for path in (3, "a\0b", "\ud800")),
            {"alpha": 10**400},
        ],
        ids=["path", "NUL", "no character", "alpha"],
    )
    def test_record_of_impossible_values(self, changes: dict[str, Any], source: Path, saved: Path) -> None:
        edit_json(saved / "quantized.json", **changes)
        assert "quantized.json is damaged" in opened(source).warnings[0]
        with pytest.raises(CheckpointError, match=r"quantized\.json is damaged"):
            opened(saved, alpha=None)

    def test_missing_weights_are_told_and_not_used(self, source: Path, saved: Path) -> None:
        for file in saved.glob("*.safetensors"):
            file.unlink()
        loaded = opened(source)
        assert not is_packed_already(loaded)
        assert "lacks 1 of 1 weight files" in loaded.warnings[0]

    def test_a_commit_of_the_hub_is_known_by_its_name(self, checkpoint: Path, tmp_path: Path) -> None:
        """Fetched again it is the same; the next commit is not."""
        snapshots = tmp_path / "models--someone--something" / "snapshots"
        first, second = snapshots / ("a" * 40), snapshots / ("b" * 40)
        copied(checkpoint, first)
        quantize(Source(str(first), alpha=4), "4bit", dtype="fp32", device="cpu")
        os.utime(next(first.glob("*.safetensors")), (1, 1))
        assert is_packed_already(opened(first))
        copied(checkpoint, second)
        assert "is not what it was made from" in opened(second).warnings[0]

    def test_a_folder_that_happens_to_be_called_snapshots_holds_no_commits(
        self, checkpoint: Path, tmp_path: Path
    ) -> None:
        """Training writes files of the same names and sizes into it; and each step is a source of its own."""
        first, second = (copied(checkpoint, tmp_path / "snapshots" / name) for name in ("step-1", "step-2"))
        for step in (first, second):
            quantize(Source(str(step)), "4bit", dtype="fp32", device="cpu")
        assert is_packed_already(opened(first)) and is_packed_already(opened(second))
        os.utime(next(first.glob("*.safetensors")), (1, 1))
        loaded = opened(first)
        assert not is_packed_already(loaded) and "is not what it was made from" in loaded.warnings[0]

    def test_a_link_leads_to_the_same_source(self, source: Path, tmp_path: Path) -> None:
        (tmp_path / "link").symlink_to(source)
        write_registry(f'[checkpoints.mine]\npath = "{tmp_path / "link"}"\n')
        quantize(Source("mine", alpha=4), "4bit", dtype="fp32", device="cpu")
        loaded = opened(source)
        assert is_packed_already(loaded) and loaded.warnings == ()


class TestWriting:
    def test_a_kill_leaves_nothing_taken_for_whole(
        self, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def break_off(*arguments: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr("pllava_cli.training.folders.write_description", break_off)
            patch.setattr(shutil, "rmtree", lambda *arguments, **options: None)  # nor anything cleared away
            with pytest.raises(KeyboardInterrupt):
                quantize(Source(str(source), alpha=4), "4bit", dtype="fp32", device="cpu")
        assert not is_packed_already(opened(source))
        assert opened(source).warnings == ()
        out = quantize(Source(str(source), alpha=4), "4bit", dtype="fp32", device="cpu").out
        assert [each.name for each in out.parent.iterdir()] == [out.name]
        assert is_packed_already(opened(source))

    def test_full_disk(self, source: Path, tmp_path: Path) -> None:
        with room(20_000), pytest.raises(UsageError) as caught:
            quantize(Source(str(source), alpha=4), "4bit", tmp_path / "out" / "save", device="cpu")
        assert caught.value.message == f"cannot write {tmp_path / 'out' / 'save'}: file too large"
        assert "free some space" in caught.value.hint
        assert list((tmp_path / "out").iterdir()) == []

    @pytest.mark.parametrize("packing", PACKINGS)
    def test_weights_beyond_the_precision_are_refused(
        self, packing: str, source: Path, tmp_path: Path
    ) -> None:
        """fp16 ends at 65504; the save would hold infinities, and answer with an error at each clip."""
        with pytest.raises(UsageError, match=r"holds a number beyond the range of float16$") as caught:
            quantize(Source(str(source), alpha=1e6), packing, tmp_path / "save", dtype="fp16", device="cpu")
        assert caught.value.hint == "use --dtype bf16"
        assert not (tmp_path / "save").exists()

    def test_free_disk_is_looked_at_first(
        self, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        usage = namedtuple("usage", "total used free")
        monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 10**9, 10**7))
        monkeypatch.setattr(TensorReader, "read", None)
        with pytest.raises(UsageError, match=r"needs 0\.03 GB of disk, and 0\.01 GB are free there"):
            quantize(Source(str(source), alpha=4), "4bit", tmp_path / "out", device="cpu")
        assert not (tmp_path / "out").exists()

    def test_what_a_kill_left_does_not_count_as_taken(
        self, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        left = tmp_path / ".out.partial" / "shard-0"
        left.parent.mkdir()
        left.touch()
        usage = namedtuple("usage", "total used free")
        monkeypatch.setattr(
            shutil, "disk_usage", lambda _: usage(10**9, 0, 10**7 if left.exists() else 10**9)
        )
        assert quantize(Source(str(source), alpha=4), "4bit", tmp_path / "out", device="cpu").is_new

    def test_another_run_is_writing(
        self, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def write_too(*arguments: object) -> None:
            with pytest.raises(UsageError, match="another run is writing"):
                quantize(Source(str(source), alpha=4), "4bit", tmp_path / "out", device="cpu")

        with monkeypatch.context() as patch:
            patch.setattr("pllava_cli.training.folders.write_description", write_too)
            with pytest.raises(UsageError, match="cannot write"):  # the description was not written
                quantize(Source(str(source), alpha=4), "4bit", tmp_path / "out", device="cpu")

    def test_no_folder_can_be_made(self, source: Path, isolated: Path) -> None:
        (isolated / ".cache").write_text("a file in the place of the cache")
        with pytest.raises(UsageError, match="cannot make"):
            quantize(Source(str(source), alpha=4), "4bit", device="cpu")

    def test_what_is_there_is_not_touched(self, source: Path, tmp_path: Path) -> None:
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "mine").touch()
        with pytest.raises(UsageError, match="already there"):
            quantize(Source(str(source), alpha=4), "4bit", tmp_path / "out", device="cpu")
        assert [each.name for each in (tmp_path / "out").iterdir()] == ["mine"]

    def test_what_comes_meanwhile_is_not_touched(self, source: Path, tmp_path: Path) -> None:
        mine = tmp_path / "out" / "mine"

        def put(done: int, total: int) -> None:
            mine.parent.mkdir(exist_ok=True)
            mine.touch()

        with pytest.raises(UsageError):
            quantize(Source(str(source), alpha=4), "4bit", mine.parent, device="cpu", on_bytes=put)
        assert mine.exists() and [each.name for each in tmp_path.glob(".out*")] == []

    def test_model_need_not_fit(self, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """It may be meant for another machine, and one layer at a time is all that is packed."""
        tight = [device.DeviceInfo("cpu", "1 thread", 10**9, 1000)]
        monkeypatch.setattr(device, "devices", lambda: tight)
        done = quantize(Source(str(source), alpha=4), "4bit", tmp_path / "out", device="cpu")
        assert done.dtype == "bf16"


class TestNamed:
    """A save as the checkpoint itself."""

    @pytest.fixture
    def save(self, source: Path, tmp_path: Path) -> Path:
        return quantize(
            Source(str(source), alpha=4), "4bit", tmp_path / "save", dtype="fp32", device="cpu"
        ).out

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"quantize": "8bit"}, "is a 4bit save in fp32, not 8bit"),
            ({"quantize": "none"}, "is a 4bit save in fp32, not none"),
            ({"dtype": "bf16"}, "is a 4bit save in fp32, not bf16"),
            ({"alpha": 5}, "is a 4bit save in fp32 at alpha 4, not 5"),
        ],
        ids=str,
    )
    def test_cannot_become_another(self, options: dict[str, Any], message: str, save: Path) -> None:
        with pytest.raises(UsageError, match=message) as caught:
            opened(save, **{"quantize": "auto", "dtype": "auto", "alpha": None} | options)
        assert "pllava models quantize" in caught.value.hint

    def test_is_no_base_and_is_not_packed_twice(self, save: Path, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="is a save already"):
            quantize(Source(str(save)), "4bit", tmp_path / "twice", device="cpu")
        with pytest.raises(UsageError, match="is packed"):
            merge(Source(str(save)), tmp_path / "merged")
        adapter = write_adapter(tmp_path / "adapter", save, adapter_tensors(3))
        with pytest.raises(CheckpointError, match="no adapter can be laid over it"):
            opened(adapter, base=save)

    def test_nothing_of_the_files_is_held(self, save: Path) -> None:
        """What is in memory is a copy, and the only one: no file stays mapped beside it."""
        loaded = opened(save, None, dtype="auto", quantize="auto")
        before = {name: value.clone() for name, value in loaded.model.state_dict().items()}
        assert str(save) not in Path("/proc/self/maps").read_text()
        for file in save.glob("*.safetensors"):
            with file.open("r+b") as stream:
                stream.truncate(10)
        for name, value in loaded.model.state_dict().items():
            assert torch.equal(value, before[name])


DAMAGES: dict[str, Any] = {
    "missing part": lambda kept, name: kept.pop(f"{name}.absmax") is None,
    "part of another shape": lambda kept, name: kept.update({f"{name}.absmax": kept[f"{name}.absmax"][:-1]}),
    "fewer weights": lambda kept, name: kept.update({name: kept[name][:-1]}),
    "another kind": lambda kept, name: kept.update({name: kept[name].to(torch.int8)}),
    "NaN in a scale": lambda kept, name: kept[f"{name}.nested_absmax"].fill_(torch.nan) is None,
    "another weight's description": lambda kept, name: kept.update(
        {f"{name}.quant_state.bitsandbytes__nf4": torch.tensor(list(b'{"blocksize": 1}'), dtype=torch.uint8)}
    ),
    "no description": lambda kept, name: kept.update(
        {f"{name}.quant_state.bitsandbytes__nf4": torch.tensor(list(b"[" * 1000), dtype=torch.uint8)}
    ),
    "endless description": lambda kept, name: kept.update(
        {f"{name}.quant_state.bitsandbytes__nf4": torch.zeros(2000, dtype=torch.uint8)}
    ),
    "one too many": lambda kept, name: kept.update({f"{name}.more": torch.zeros(1)}),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_save_names_file_and_tensor(damage: str, source: Path, tmp_path: Path) -> None:
    save = quantize(Source(str(source), alpha=4), "4bit", tmp_path / "save", dtype="fp32", device="cpu").out
    (file,) = save.glob("*.safetensors")
    file = file.rename(save / "model.safetensors")
    (save / "model.safetensors.index.json").unlink()
    name = "model.language_model.layers.0.mlp.up_proj.weight"
    weights = load_file(file)
    DAMAGES[damage](weights, name)
    save_file(weights, file)
    with pytest.raises(PllavaError) as caught:
        opened(save, None, dtype="auto", quantize="auto")
    assert caught.value.status == 5
    assert file.name in caught.value.message
    assert name in caught.value.message
