"""Folders that are no checkpoint, or not a whole one: one clear line each, before any weight is read."""

import json
import math
import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from pllava_cli.engine import load_model
from pllava_cli.errors import CheckpointError, DeviceError, ExitStatus, PllavaError
from pllava_cli.model.loading import load
from pllava_cli.model.options import LoadOptions
from tests.checkpoints import Tensors, adapter_tensors, copied, edit_json, edit_weights

INDEX = "model.safetensors.index.json"
EXACT: dict[str, Any] = {"dtype": "fp32", "quantize": "none", "device": "cpu"}


def refusal(folder: Path, **options: Any) -> PllavaError:
    """The error that loading ends in, checked to be one a user can read."""
    with pytest.raises(PllavaError) as caught:
        load_model(folder, **EXACT | options)
    error = caught.value
    assert error.hint
    assert "\n" not in error.message + error.hint
    assert len(error.message) < 800
    return error


def refused_checkpoint(folder: Path, **options: Any) -> str:
    error = refusal(folder, **options)
    assert isinstance(error, CheckpointError)
    assert error.status == ExitStatus.CHECKPOINT == 5
    return error.message


@pytest.fixture
def whole(plain: Path, tmp_path: Path) -> Path:
    """A whole checkpoint in one file, to be damaged."""
    return copied(plain, tmp_path / "checkpoint")


@pytest.fixture
def sharded(released: Path, tmp_path: Path) -> Path:
    """A whole checkpoint in shards, to be damaged."""
    return copied(released, tmp_path / "checkpoint")


class TestFiles:
    def test_empty_folder(self, tmp_path: Path) -> None:
        assert "has no config.json" in refused_checkpoint(tmp_path)

    def test_no_weights(self, whole: Path) -> None:
        (whole / "model.safetensors").unlink()
        assert "no model.safetensors" in refused_checkpoint(whole)

    @pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "model.pth"])
    def test_pickle_only_is_not_read(self, name: str, whole: Path) -> None:
        (whole / "model.safetensors").unlink()
        (whole / name).write_bytes(b"\x80\x04cos\nsystem\n(S'touch executed'\ntR.")
        assert "pickle" in refused_checkpoint(whole)
        assert not Path("executed").exists()

    def test_pickle_beside_safetensors_is_not_looked_at(self, whole: Path) -> None:
        (whole / "pytorch_model.bin").write_bytes(b"\x80\x04cos\nsystem\n(S'touch executed'\ntR.")
        load(whole, LoadOptions(**EXACT))

    def test_two_checkpoints_in_one_folder(self, sharded: Path, plain: Path) -> None:
        shutil.copy(plain / "model.safetensors", sharded)
        assert "holds both" in refused_checkpoint(sharded)

    @pytest.mark.parametrize("layout", ["whole", "sharded"])
    def test_an_adapter_beside_whole_weights(self, layout: str, request: pytest.FixtureRequest) -> None:
        """Whether it is merged into them nobody can tell, and left out it would be without a word."""
        folder = request.getfixturevalue(layout)
        save_file(adapter_tensors(1), folder / "adapter_model.safetensors")
        assert "and adapter_model.safetensors" in refused_checkpoint(folder)

    @pytest.mark.parametrize("number", [0, 1])
    def test_missing_shard(self, number: int, sharded: Path) -> None:
        shards = sorted(sharded.glob("model-*.safetensors"))
        shards[number].unlink()
        message = refused_checkpoint(sharded)
        assert shards[number].name in message

    def test_shard_that_the_index_forgets(self, sharded: Path) -> None:
        index = sharded / "model.safetensors.index.json"
        content = json.loads(index.read_text())
        gone = max(content["weight_map"].values())
        content["weight_map"] = {k: v for k, v in content["weight_map"].items() if v != gone}
        index.write_text(json.dumps(content))
        assert "lacks" in refused_checkpoint(sharded)

    def test_index_that_names_the_wrong_shard(self, sharded: Path) -> None:
        index = sharded / INDEX
        content = json.loads(index.read_text())
        key, there = next(iter(content["weight_map"].items()))
        other = max(content["weight_map"].values())
        assert other != there
        content["weight_map"][key] = other
        index.write_text(json.dumps(content))
        assert f"{sharded / other} lacks {key}, which {INDEX} says is in it" in refused_checkpoint(sharded)

    def test_tensor_that_a_shard_lost_is_named_with_it(self, sharded: Path) -> None:
        file = sorted(sharded.glob("model-*.safetensors"))[1]
        weights = load_file(file)
        key = sorted(weights)[0]
        del weights[key]
        save_file(weights, file)
        assert f"{file} lacks {key}" in refused_checkpoint(sharded)

    @pytest.fixture
    def naming(self, sharded: Path, plain: Path) -> Callable[[Any], Path]:
        """Have the index name a file for one tensor; whole checkpoints lie beside and below the folder."""
        shutil.copytree(plain, sharded.parent / "other")
        shutil.copytree(plain, sharded / "sub")

        def named(name: Any) -> Path:
            index = sharded / "model.safetensors.index.json"
            content = json.loads(index.read_text())
            content["weight_map"]["language_model.lm_head.weight"] = name
            index.write_text(json.dumps(content))
            return sharded

        return named

    @pytest.mark.parametrize(
        "name",
        [
            "../other/model.safetensors",
            "sub/model.safetensors",
            "./sub/../../other/model.safetensors",
            "/etc/passwd",
            "..",
            ".",
            "",
            "a\0.safetensors",
            "x" * 300,
        ],
        ids=lambda name: repr(name)[:30],
    )
    def test_index_that_leads_elsewhere(self, name: str, naming: Callable[[Any], Path]) -> None:
        assert f"no weight file of its folder: {name!r:.200}" in refused_checkpoint(naming(name))

    @pytest.mark.parametrize("name", [3, None, ["x"]], ids=repr)
    def test_index_that_names_no_file(self, name: Any, naming: Callable[[Any], Path]) -> None:
        refused_checkpoint(naming(name))

    @pytest.mark.parametrize(
        "text", ["", "{", "[]", "null", '{"weight_map": 3}', '{"weight_map": {}}', "{}", "\ufffe"], ids=repr
    )
    def test_damaged_index(self, text: str, sharded: Path) -> None:
        (sharded / "model.safetensors.index.json").write_text(text, encoding="utf-8")
        refused_checkpoint(sharded)

    @pytest.mark.parametrize(
        "name",
        [
            "model.safetensors",
            "tokenizer.json",
            "added_tokens.json",
            "preprocessor_config.json",
            "generation_config.json",
            "adapter_config.json",
            "quantized.json",
        ],
    )
    def test_pipe_where_a_file_should_be(self, name: str, whole: Path) -> None:
        """Whoever opened it would wait for ever."""
        (whole / name).unlink(missing_ok=True)
        os.mkfifo(whole / name)
        assert f"{name} is not a regular file" in refused_checkpoint(whole)

    def test_pipe_in_the_place_of_the_index(self, sharded: Path) -> None:
        (sharded / INDEX).unlink()
        os.mkfifo(sharded / INDEX)
        assert f"{INDEX} is not a regular file" in refused_checkpoint(sharded)

    def test_folder_where_a_file_should_be(self, whole: Path) -> None:
        (whole / "model.safetensors").unlink()
        (whole / "model.safetensors").mkdir()
        assert "model.safetensors" in refused_checkpoint(whole)


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


CONFIGS: list[dict[str, Any]] = [
    {"text_config": None},
    {"text_config": []},
    {"vision_config": "clip"},
    {"num_frames": None},
    {"num_frames": 0},
    {"num_frames": -4},
    {"num_frames": "4"},
    {"num_frames": 4.5},
    {"num_frames": 10**400},
    {"pooling_shape": None},
    {"pooling_shape": []},
    {"pooling_shape": [4, 2]},
    {"pooling_shape": [4, 2, 0]},
    {"pooling_shape": [4, 2, -2]},
    {"pooling_shape": [4.0, 2, 2]},
    {"pooling_shape": "4,2,2"},
    {"pooling_shape": 16},
    {"projector_hidden_act": "unheard of"},
    {"vision_feature_layer": 9},
    {"vision_feature_layer": -9},
    {"vision_feature_layer": 0},
    {"vision_feature_layer": [-2, -1]},
    {"vision_feature_select_strategy": "full"},
    {"image_token_index": "x"},
    {"text_config__model_type": "mistral"},
    {"text_config__tie_word_embeddings": True},
    {"text_config__hidden_size": 0},
    {"text_config__hidden_size": -64},
    {"text_config__hidden_size": "64"},
    {"text_config__num_hidden_layers": 100_000},
    {"text_config__num_attention_heads": 0},
    {"text_config__num_attention_heads": 5},
    {"text_config__num_key_value_heads": 0},
    {"text_config__vocab_size": -1},
    {"text_config__hidden_act": "unheard of"},
    {"text_config__hidden_size": "x" * 100_000},
    {"text_config__model_type": "x" * 100_000},
    {"text_config__hidden_act": "x" * 100_000},
    {"text_config__vocab_size": 10**4000},
    {"text_config__rms_norm_eps": math.nan},
    {"text_config__rms_norm_eps": math.inf},
    {"text_config__rms_norm_eps": -1.0},
    {"text_config__rope_theta": math.nan},
    {"text_config__rope_theta": 0},
    {"text_config__rope_scaling": {"rope_type": "linear", "factor": math.nan}},
    {"vision_config__layer_norm_eps": math.nan},
    {"text_config__rope_theta": "x"},
    {"text_config__rope_scaling": {"type": "unheard of"}},
    {"text_config__pad_token_id": 100_000},
    {"text_config__head_dim": 0},
    {"text_config__max_position_embeddings": 0},
    {"text_config__attention_bias": True},
    {"vision_config__hidden_act": "unheard of"},
    {"vision_config__image_size": 10_000_000},
    {"vision_config__patch_size": 0},
    {"vision_config__hidden_size": 1_000_000},
    {"vision_config__num_hidden_layers": 0},
]


class TestConfig:
    @pytest.mark.parametrize("changes", CONFIGS, ids=lambda changes: str(changes)[:60])
    def test_value_that_no_checkpoint_has(self, changes: dict[str, Any], whole: Path) -> None:
        edit_json(whole / "config.json", **changes)
        refused_checkpoint(whole)

    @pytest.mark.parametrize("part", ["text_config", "vision_config"])
    def test_keys_that_make_no_network_do_nothing(self, part: str, whole: Path) -> None:
        """Of them the library makes tuples where names are read, or labels without end."""
        plain = load(whole, LoadOptions(**EXACT)).model
        strange = {"return_dict": False, "num_labels": 10**9, "is_causal": False, "dtype": "x", "auto_map": 3}
        edit_json(whole / "config.json", **{f"{part}__{key}": value for key, value in strange.items()})
        made = load(whole, LoadOptions(**EXACT)).model
        frames = torch.zeros(4, 3, 28, 28)
        ids = torch.full((1, 20), 400).where(torch.arange(20) < 16, 5)
        one, other = (each(input_ids=ids, pixel_values=frames).logits for each in (plain, made))
        assert torch.equal(one, other)

    @pytest.mark.parametrize(
        "text", ["", "{", "[]", "null", '"llava"', "\x00\x01", "[" * 100_000], ids=lambda t: t[:9]
    )
    @pytest.mark.parametrize("name", ["config.json", "generation_config.json", "preprocessor_config.json"])
    def test_damaged_json(self, name: str, text: str, whole: Path) -> None:
        (whole / name).write_text(text)
        assert name in refused_checkpoint(whole)

    @pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json"])
    def test_missing_json(self, name: str, whole: Path) -> None:
        (whole / name).unlink()
        assert f"has no {name}" in refused_checkpoint(whole)

    def test_config_in_another_encoding(self, whole: Path) -> None:
        (whole / "config.json").write_bytes((whole / "config.json").read_text().encode("utf-16"))
        assert "config.json cannot be read" in refused_checkpoint(whole)

    def test_config_of_a_language_model(self, whole: Path) -> None:
        text = json.loads((whole / "config.json").read_text())["text_config"]
        (whole / "config.json").write_text(json.dumps(text))
        assert "not a LLaVA or PLLaVA checkpoint" in refused_checkpoint(whole)

    @pytest.mark.parametrize(
        "changes",
        [
            {"eos_token_id": "x"},
            {"eos_token_id": [2, "x"]},
            {"eos_token_id": 448},
            {"pad_token_id": [0]},
            {"pad_token_id": -5},
            {"bos_token_id": {}},
        ],
        ids=str,
    )
    def test_special_tokens_that_do_not_exist(self, changes: dict[str, Any], whole: Path) -> None:
        edit_json(whole / "generation_config.json", **changes)
        assert next(iter(changes)) in refused_checkpoint(whole)

    @pytest.mark.parametrize("shape", [(16, 24, 24), (4096, 1, 1), (10**9, 10**9, 10**9)], ids=str)
    def test_pooling_shape_with_more_tokens_than_positions(
        self, shape: tuple[int, int, int], whole: Path
    ) -> None:
        asked_for = refusal(whole, pooling_shape=shape)
        assert asked_for.status == ExitStatus.USAGE
        edit_json(whole / "config.json", pooling_shape=list(shape))
        for message in (asked_for.message, refused_checkpoint(whole)):
            assert "x".join(map(str, shape)) in message
            assert "the language model has 4096 positions" in message

    def test_frames_beyond_any_memory(self, whole: Path) -> None:
        error = refusal(whole, num_frames=10**9)
        assert isinstance(error, DeviceError)
        assert "GB" in error.message
        assert error.hint == "use --preset fast"


def fixed(*ids: int) -> dict[str, Any]:
    """A post-processor that puts a special token of these ids before a text."""
    special = {"id": "<s>", "ids": list(ids), "tokens": ["<s>"] * len(ids)}
    sequence = [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
    return {"type": "TemplateProcessing", "single": sequence, "pair": [], "special_tokens": {"<s>": special}}


@pytest.mark.parametrize(
    ("part", "content", "said"),
    [
        ("model", {"type": "WordLevel", "vocab": {"a": 3}, "unk_token": "?"}, "makes no tokens of a prompt"),
        ("model", {"type": "Unigram", "vocab": [], "unk_id": None}, "makes no tokens of a prompt"),
        ("model", {"type": "WordLevel", "vocab": {"a": 5, "b": 9000}, "unk_token": "a"}, "448 embeddings"),
        ("post_processor", fixed(9000), "448 embeddings"),
        ("post_processor", fixed(400), "makes 2 tokens of one <image>"),
        ("post_processor", fixed(1) | {"special_tokens": {}}, "makes no tokens of a prompt"),
        ("normalizer", {"type": "Precompiled", "precompiled_charsmap": "AAAA"}, "cannot be read"),
    ],
    ids=["no word", "no piece", "gap", "no such id", "two clips", "panics at work", "panics at once"],
)
def test_tokenizer_that_does_not_work(part: str, content: dict[str, Any], said: str, whole: Path) -> None:
    """Bare exceptions and panics of the library, and ids that the network has no embeddings for."""
    file = whole / "tokenizer.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {part: content}))
    assert said in refused_checkpoint(whole)
