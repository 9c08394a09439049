"""Saves found again by their source, and those that are told and not used."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from pllava_cli.errors import CheckpointError
from pllava_cli.loader import check_checkpoint
from pllava_cli.model import cpu, device, quantization
from pllava_cli.model.empty import shapes_of
from pllava_cli.model.footprint import footprint
from pllava_cli.quantizing import quantize
from pllava_cli.source import Source
from tests.checkpoints import copied, edit_json
from tests.hub.conftest import write_registry
from tests.quantizing.conftest import ASKED, assert_same, is_packed_already, opened


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
        os.utime(sorted(source.glob("*.safetensors"))[0], (1, 1))
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
            {"quantize": ["4bit"]},
            {"dtype": {}},
            {"base": [1]},
        ],
        ids=["path", "NUL", "no character", "alpha", "quantize", "dtype", "base"],
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
