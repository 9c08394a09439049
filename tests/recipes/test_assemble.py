"""Folders: the base is a LLaVA that can be trained on, the outcome a PLLaVA like the released ones."""

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

from benchmarks.random_checkpoint import Shape, released_shapes
from pllava_cli import load_model
from recipes.tiny.align import image_model
from recipes.tiny.assemble import assemble, save_image_model
from recipes.tiny.sizes import FRAMES, POOLING_SHAPE, TOWER, language_model
from recipes.tiny.tokens import IMAGE, id_of, special_ids

RANK = 4
EXACT = {"dtype": "fp32", "quantize": "none", "device": "cpu"}
LAYER = "model.language_model.layers.{}.self_attn.{}"
Tensors = dict[str, torch.Tensor]


def adapter_tensors(state: Tensors, layers: int) -> Tensors:
    """What `pllava train` leaves: LoRA and projector, under PEFT's names."""
    random = torch.Generator().manual_seed(1)
    width = state["model.language_model.norm.weight"].shape[0]
    made: Tensors = {}
    for stem in (LAYER.format(layer, name) for layer in range(layers) for name in ("q_proj", "v_proj")):
        made[f"base_model.model.{stem}.lora_A.weight"] = torch.randn(RANK, width, generator=random)
        made[f"base_model.model.{stem}.lora_B.weight"] = torch.randn(width, RANK, generator=random)
    for name, each in state.items():
        if "multi_modal_projector" in name:
            made[f"base_model.model.{name}"] = torch.randn(each.shape, generator=random)
    return made


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, tokenizer: Tokenizer) -> Path:
    """A folder with base, adapter and tiny, all random."""
    folder = tmp_path_factory.mktemp("made")
    torch.manual_seed(0)
    state = dict(image_model(tokenizer).state_dict())
    text = language_model(tokenizer.get_vocab_size(), **special_ids(tokenizer))
    save_image_model(state, text, tokenizer, folder / "base")
    (folder / "adapter").mkdir()
    save_file(
        adapter_tensors(state, text.num_hidden_layers), folder / "adapter" / "adapter_model.safetensors"
    )
    assemble(folder / "base", folder / "adapter", folder / "tiny")
    return folder


def test_the_base_is_what_was_trained(made: Path, tokenizer: Tokenizer) -> None:
    model, processor = load_model(made / "base", **EXACT)
    stored = load_file(made / "base" / "model.safetensors")
    parameters = dict(model.named_parameters())
    assert parameters.keys() == stored.keys()
    assert all(torch.equal(each, stored[name]) for name, each in parameters.items())
    assert processor.num_frames == FRAMES
    assert processor.warnings == ()
    assert model.generation_config.eos_token_id == 2
    assert model.config.image_token_id == id_of(tokenizer, IMAGE)


def test_names_and_shapes_are_those_of_the_released_checkpoints(made: Path, tokenizer: Tokenizer) -> None:
    text = language_model(tokenizer.get_vocab_size())
    shape = Shape(
        text.hidden_size,
        text.intermediate_size,
        text.num_hidden_layers,
        text.num_attention_heads,
        text.num_key_value_heads,
        text.vocab_size,
        TOWER.hidden_size,
        TOWER.intermediate_size,
        TOWER.num_hidden_layers,
        TOWER.num_attention_heads,
        TOWER.image_size,
        TOWER.patch_size,
        FRAMES,
        POOLING_SHAPE,
        RANK,
        id_of(tokenizer, IMAGE),
    )
    # The norm of the pooled class token is never used, and was never made.
    wanted = {name: size for name, size in released_shapes(shape).items() if "post_layernorm" not in name}
    found = load_file(made / "tiny" / "model.safetensors")
    assert {name: tuple(each.shape) for name, each in found.items()} == wanted
    assert {each.dtype for each in found.values()} == {torch.bfloat16}
    with safe_open(made / "tiny" / "model.safetensors", "pt") as file:
        assert file.metadata() == {"format": "pt"}
    assert json.loads((made / "tiny" / "config.json").read_text())["torch_dtype"] == "bfloat16"


@pytest.mark.parametrize("alpha", [0.0, 1.0, 6.0])
def test_lora_is_merged_at_alpha_and_the_projector_is_the_trained_one(made: Path, alpha: float) -> None:
    base, adapter = (
        {name: each.bfloat16().float() for name, each in load_file(made / file).items()}
        for file in ("base/model.safetensors", "adapter/adapter_model.safetensors")
    )
    model, processor = load_model(made / "tiny", alpha=alpha, **EXACT)
    merged = 0
    for name, found in model.named_parameters():
        peft = f"base_model.model.{name}"
        stem = peft.removesuffix(".weight")
        wanted = adapter.get(peft, base[name])
        if f"{stem}.lora_A.weight" in adapter:
            low, high = adapter[f"{stem}.lora_A.weight"], adapter[f"{stem}.lora_B.weight"]
            wanted = wanted + alpha / RANK * high @ low
            merged += 1
        torch.testing.assert_close(found.data, wanted)
    assert merged == 2 * model.config.text_config.num_hidden_layers
    assert processor.visual_tokens == 8 * 4 * 4
    assert processor.warnings == ()


def test_what_is_no_parameter_of_the_network_is_refused(made: Path, tmp_path: Path) -> None:
    save_file({"base_model.model.strange.weight": torch.zeros(1)}, tmp_path / "adapter_model.safetensors")
    with pytest.raises(ValueError, match="strange"):
        assemble(made / "base", tmp_path, tmp_path / "out")
