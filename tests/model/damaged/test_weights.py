"""Damaged safetensors, and tensors that are not those of the network."""

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from pllava_cli.model.loading import load
from pllava_cli.model.options import LoadOptions
from tests.checkpoints import Tensors, edit_json, edit_weights
from tests.engine_checks import EXACT
from tests.model.damaged.conftest import INDEX, refused_checkpoint


class TestSafetensors:
    @pytest.mark.parametrize(
        "damage",
        [
            lambda data: b"",
            lambda data: data[:7],
            lambda data: data[:100],
            lambda data: data[: len(data) // 2],
            lambda data: data[:-1],
            lambda data: data + b"more",
            lambda data: b"\xff" * 8 + data[8:],
            lambda data: struct.pack("<Q", 1 << 40) + data[8:],
            lambda data: data[:8] + b"[" + data[9:],
            lambda data: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
            lambda data: b"<html>Too many requests</html>" * 10,
        ],
        ids=[
            "empty",
            "7 bytes",
            "header cut short",
            "half",
            "last byte lost",
            "longer",
            "endless header",
            "huge header",
            "no object",
            "LFS pointer",
            "a web page",
        ],
    )
    def test_damaged_file(self, damage: Callable[[bytes], bytes], whole: Path) -> None:
        file = whole / "model.safetensors"
        file.write_bytes(damage(file.read_bytes()))
        message = refused_checkpoint(whole)
        assert "cannot be read as safetensors" in message
        assert "model.safetensors" in message

    def test_shard_cut_short(self, sharded: Path) -> None:
        file = sorted(sharded.glob("model-*.safetensors"))[1]
        file.write_bytes(file.read_bytes()[:-1000])
        assert file.name in refused_checkpoint(sharded)

    def test_file_without_tensors(self, whole: Path) -> None:
        edit_weights(whole, lambda kept: kept.clear())
        (whole / "model.safetensors").write_bytes(struct.pack("<Q", 2) + b"{}")
        assert "lacks" in refused_checkpoint(whole)

    def test_every_weight_an_integer(self, whole: Path) -> None:
        edit_weights(whole, lambda kept: {k: (v * 100).to(torch.int8) for k, v in kept.items()})
        assert "lm_head.weight holds I8 numbers" in refused_checkpoint(whole)

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            (b"lm_head", b"lm_heaq"),
            (b"[448,64]", b"[64,448]"),
            (b'"dtype":"F32","shape":[448,64]', b'"dtype":"I32","shape":[448,64]'),
            (b'"dtype":"F32","shape":[448,64]', b'"dtype":"U32","shape":[448,64]'),
        ],
        ids=["name", "shape", "kind", "another kind"],
    )
    def test_byte_changed_in_the_header(self, old: bytes, new: bytes, whole: Path) -> None:
        file = whole / "model.safetensors"
        data = file.read_bytes()
        at = data.index(b"language_model.lm_head.weight")
        start = data.index(old, at)
        file.write_bytes(data[:start] + new + data[start + len(old) :])
        message = refused_checkpoint(whole)
        assert file.name in message
        assert "lm_hea" in message


class TestContents:
    @pytest.mark.parametrize(
        "key",
        [
            "language_model.lm_head.weight",
            "multi_modal_projector.linear_2.bias",
            "vision_tower.vision_model.embeddings.class_embedding",
            "language_model.model.layers.1.mlp.down_proj.weight",
        ],
    )
    def test_missing_tensor_is_named(self, key: str, whole: Path) -> None:
        edit_weights(whole, lambda kept: {k: v for k, v in kept.items() if k != key})
        message = refused_checkpoint(whole)
        assert "model.safetensors lacks 1 tensor (" in message
        assert key.rpartition("model.")[2] in message or key.rpartition("vision_model.")[2] in message

    def test_name_without_end_is_cut_short(self, whole: Path) -> None:
        edit_weights(whole, lambda kept: kept.update({"x" * 100_000: torch.zeros(1)}))
        assert "which no PLLaVA has" in refused_checkpoint(whole)

    def test_extra_tensor_is_named(self, whole: Path) -> None:
        edit_weights(whole, lambda kept: kept.update({"language_model.model.extra.weight": torch.zeros(1)}))
        message = refused_checkpoint(whole)
        assert "has 1 tensor (language_model.model.extra.weight)" in message
        assert "in model.safetensors" in message

    def test_misshaped_tensor_is_named(self, whole: Path) -> None:
        key = "language_model.model.layers.0.mlp.up_proj.weight"
        edit_weights(whole, lambda kept: kept.update({key: torch.zeros(64, 128)}))
        assert f"model.safetensors: {key} is 64x128 instead of 128x64" in refused_checkpoint(whole)

    def test_half_a_lora_pair(self, whole: Path) -> None:
        key = "language_model.model.layers.0.self_attn.q_proj.lora_A.default.weight"
        edit_weights(whole, lambda kept: kept.update({key: torch.zeros(8, 64)}))
        assert "layers.0.self_attn.q_proj.weight has only one half" in refused_checkpoint(whole, alpha=4)

    def test_one_tensor_twice_over_two_files(self, sharded: Path) -> None:
        first, second = sorted(sharded.glob("model-*.safetensors"))[:2]
        shutil.copy(first, second)
        index = sharded / INDEX
        content = json.loads(index.read_text())
        weight_map = {k: v for k, v in content["weight_map"].items() if v != second.name}
        twin = next(key for key, name in weight_map.items() if name == first.name)
        index.write_text(json.dumps({"weight_map": weight_map | {twin: second.name}}))
        message = refused_checkpoint(sharded, alpha=4)
        assert "given twice" in message
        assert first.name in message and second.name in message

    def test_number_that_is_none_is_found_in_its_file(self, sharded: Path) -> None:
        for value in (torch.nan, torch.inf, -torch.inf):
            file = sorted(sharded.glob("model-*.safetensors"))[-1]
            weights = load_file(file)
            key = sorted(weights)[-1]
            weights[key].flatten()[-1] = value
            save_file(weights, file)
            message = refused_checkpoint(sharded, alpha=4)
            assert message.startswith(f"{file}: {key} holds a number")

    def test_number_beyond_single_precision(self, whole: Path) -> None:
        """Float64 may hold it, but nothing is computed in that."""
        key = "language_model.lm_head.weight"
        large = torch.full((448, 64), 1e300, dtype=torch.float64)
        edit_weights(whole, lambda kept: kept.update({key: large}))
        assert f"{key} holds a number" in refused_checkpoint(whole)

    def test_large_numbers_are_no_damage(self, whole: Path) -> None:
        """Though their sum is no number."""
        key = "language_model.lm_head.weight"
        edit_weights(whole, lambda kept: kept.update({key: torch.full((448, 64), 3e38)}))
        load(whole, LoadOptions(**EXACT))

    def test_checkpoint_of_another_size_than_its_config(self, whole: Path) -> None:
        edit_json(whole / "config.json", text_config__hidden_size=128)
        message = refused_checkpoint(whole)
        assert "instead of" in message
        assert "more)" in message

    def test_fewer_layers_than_the_config_says(self, whole: Path) -> None:
        edit_json(whole / "config.json", text_config__num_hidden_layers=3)
        assert "lacks 9 tensors" in refused_checkpoint(whole)

    def test_more_layers_than_the_config_says(self, whole: Path) -> None:
        edit_json(whole / "config.json", text_config__num_hidden_layers=1)
        assert "has 9 tensors" in refused_checkpoint(whole)

    def test_language_model_alone(self, whole: Path) -> None:
        def change(kept: Tensors) -> Tensors:
            return {k.removeprefix("language_model."): v for k, v in kept.items() if "language_model" in k}

        edit_weights(whole, change)
        assert "lacks" in refused_checkpoint(whole)
