"""Settings, special tokens and tokenizers that no checkpoint has."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from pllava_cli.errors import DeviceError, ExitStatus
from pllava_cli.model.loading import load
from pllava_cli.model.options import LoadOptions
from tests.checkpoints import edit_json
from tests.engine_checks import EXACT
from tests.model.damaged.conftest import refusal, refused_checkpoint

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
    {"pooling_shape": [10**400, 2, 2]},
    {"pooling_shape": [-1] * 10_000},
    {"pooling_shape": "4,2,2"},
    {"pooling_shape": 16},
    {"projector_hidden_act": "unheard of"},
    {"vision_feature_layer": 9},
    {"vision_feature_layer": -9},
    {"vision_feature_layer": 0},
    {"vision_feature_layer": [-2, -1]},
    {"vision_feature_layer": [10**400] * 3},
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

    @pytest.mark.parametrize("name", ["config.json", "added_tokens.json", "tokenizer.json"])
    def test_file_that_would_fill_the_memory(self, name: str, whole: Path) -> None:
        with (whole / name).open("wb") as file:
            file.truncate((64 << 20) + 1)  # takes nothing of the disk
        assert f"{name} is larger than 64 MiB" in refused_checkpoint(whole)

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
