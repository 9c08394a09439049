"""What a save holds."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from pllava_cli import Captioner
from pllava_cli.model import quantization
from pllava_cli.quantizing import quantize
from pllava_cli.source import Source
from tests.checkpoints import adapter_tensors, write_adapter, write_plain
from tests.quantizing.conftest import PACKINGS, assert_same, is_packed_already, opened


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
        os.utime(base / "model.safetensors", (1, 1))
        assert not is_packed_already(opened(adapter, base=base))
