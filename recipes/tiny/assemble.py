"""Folders in the layouts that `pllava` reads: the image model of step (b), and the finished checkpoint."""

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch import Tensor
from transformers import LlamaConfig

from recipes.tiny.sizes import FRAMES, POOLING_SHAPE, TOWER, VISION_FEATURE_LAYER
from recipes.tiny.tokens import IMAGE, id_of
from recipes.tiny.tower import MEAN, STD

NEW_TO_RELEASED = (
    ("model.language_model.", "language_model.base_model.model.model."),
    ("lm_head.", "language_model.base_model.model.lm_head."),
    ("model.vision_tower.", "vision_tower.vision_model."),
    ("model.multi_modal_projector.", "multi_modal_projector."),
)
"""Names of parameters in transformers 5 -> in the released PLLaVA checkpoints."""


def save_image_model(state: dict[str, Tensor], text: LlamaConfig, tokenizer: Tokenizer, folder: Path) -> None:
    """Write step (b)'s outcome as a plain LLaVA folder, in 32 bits: it is the base that is trained on."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: each.contiguous() for name, each in state.items()}, folder / "model.safetensors")
    _write_json(folder / "config.json", _config(text, tokenizer, "float32"))
    _write_json(folder / "preprocessor_config.json", PREPROCESSOR)
    _write_json(
        folder / "generation_config.json",
        {
            "bos_token_id": text.bos_token_id,
            "eos_token_id": text.eos_token_id,
            "pad_token_id": text.pad_token_id,
        },
    )
    tokenizer.save(str(folder / "tokenizer.json"))


def assemble(base: Path, adapter: Path, folder: Path) -> None:
    """Put base, LoRA and trained projector together as the released checkpoints are: PEFT names, 16 bits."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {_released(name): each for name, each in load_file(base / "model.safetensors").items()}
    for name, each in load_file(adapter / "adapter_model.safetensors").items():
        inner = name.removeprefix("base_model.model.")
        if ".lora_" in inner:
            weights[_released(inner).removesuffix(".weight") + ".default.weight"] = each
            plain = _released(inner.split(".lora_")[0] + ".weight")
            if plain in weights:
                weights[plain.removesuffix(".weight") + ".base_layer.weight"] = weights.pop(plain)
        else:
            weights[_released(inner)] = each
    halves = {name: each.to(torch.bfloat16).contiguous() for name, each in weights.items()}
    save_file(halves, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "model.safetensors").chmod(0o644)  # the library makes it the owner's alone
    for name in ("tokenizer.json", "preprocessor_config.json", "generation_config.json"):
        shutil.copyfile(base / name, folder / name)
    config = json.loads((base / "config.json").read_text())
    _write_json(folder / "config.json", config | {"torch_dtype": "bfloat16"})


def _released(name: str) -> str:
    for new, old in NEW_TO_RELEASED:
        if name.startswith(new):
            return old + name.removeprefix(new)
    raise ValueError(f"{name} is no parameter of the network")


def _config(text: LlamaConfig, tokenizer: Tokenizer, dtype: str) -> dict[str, object]:
    return {
        "architectures": ["PllavaForConditionalGeneration"],
        "model_type": "llava",
        "image_token_index": id_of(tokenizer, IMAGE),
        "pad_token_id": text.pad_token_id,
        "projector_hidden_act": "gelu",
        "vision_feature_layer": VISION_FEATURE_LAYER,
        "vision_feature_select_strategy": "default",
        "num_frames": FRAMES,
        "pooling_shape": list(POOLING_SHAPE),
        "frame_shape": [TOWER.image_size // TOWER.patch_size] * 2,
        "use_pooling": True,
        "torch_dtype": dtype,
        "text_config": text.to_diff_dict() | {"model_type": "llama"},
        "vision_config": TOWER.to_diff_dict() | {"model_type": "clip_vision_model"},
    }


PREPROCESSOR = {
    "image_processor_type": "CLIPImageProcessor",
    "do_resize": True,
    "size": {"shortest_edge": TOWER.image_size},
    "resample": 3,
    "do_center_crop": True,
    "crop_size": {"height": TOWER.image_size, "width": TOWER.image_size},
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": list(MEAN),
    "image_std": list(STD),
    "do_convert_rgb": True,
}


def _write_json(file: Path, content: object) -> None:
    file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
