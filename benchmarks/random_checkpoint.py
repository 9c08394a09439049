"""Write a checkpoint of any shape with random weights, in the layout of the released ones.

The real checkpoints cannot come with the project, but their shapes, key names, sharding and dtype
can: benchmarks and tests run on such folders.

    python benchmarks/random_checkpoint.py OUT --shape 1b
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, processors, trainers

ROOT = Path(__file__).parents[1]
LETTERS = "▁abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,:;?!'\"()-"
LEARNT = 4000
"""Tokens that are learnt, for checkpoints with many more ids."""


@dataclass(frozen=True)
class Shape:
    """The sizes of a checkpoint."""

    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    vocabulary: int
    vision_hidden: int
    vision_intermediate: int
    vision_layers: int
    vision_heads: int
    image: int
    patch: int
    frames: int
    pooling: tuple[int, int, int]
    rank: int
    image_token: int
    theta: float = 10000.0


CLIP_L = {
    "vision_hidden": 1024,
    "vision_intermediate": 4096,
    "vision_layers": 24,
    "vision_heads": 16,
    "image": 336,
    "patch": 14,
    "frames": 16,
    "pooling": (16, 12, 12),
    "rank": 128,
}
SHAPES = {
    "tiny": Shape(64, 128, 2, 4, 4, 448, 32, 64, 3, 4, 28, 14, 4, (4, 2, 2), 8, 400),
    "1b": Shape(2048, 5632, 22, 32, 4, 32064, image_token=32000, **CLIP_L),
    "7b": Shape(4096, 11008, 32, 32, 32, 32064, image_token=32000, **CLIP_L),
    "13b": Shape(5120, 13824, 40, 40, 40, 32064, image_token=32000, **CLIP_L),
    "34b": Shape(7168, 20480, 60, 56, 8, 64064, image_token=64002, theta=5e6, **CLIP_L),
}
"""By name; the 7B, 13B and 34B are those of the released checkpoints, the 1B is a Llama of 1.1 billion."""


def language_shapes(shape: Shape) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names and shapes of the language model, under Llama's own names."""
    width, kv = shape.hidden, shape.hidden // shape.heads * shape.kv_heads
    yield "model.embed_tokens.weight", (shape.vocabulary, width)
    for layer in range(shape.layers):
        at = f"model.layers.{layer}."
        yield f"{at}self_attn.q_proj.weight", (width, width)
        yield f"{at}self_attn.k_proj.weight", (kv, width)
        yield f"{at}self_attn.v_proj.weight", (kv, width)
        yield f"{at}self_attn.o_proj.weight", (width, width)
        yield f"{at}mlp.gate_proj.weight", (shape.intermediate, width)
        yield f"{at}mlp.up_proj.weight", (shape.intermediate, width)
        yield f"{at}mlp.down_proj.weight", (width, shape.intermediate)
        yield f"{at}input_layernorm.weight", (width,)
        yield f"{at}post_attention_layernorm.weight", (width,)
    yield "model.norm.weight", (width,)
    yield "lm_head.weight", (shape.vocabulary, width)


def vision_shapes(shape: Shape) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names and shapes of the vision tower, under CLIP's own names."""
    width, inner = shape.vision_hidden, shape.vision_intermediate
    at = "vision_tower.vision_model."
    yield f"{at}embeddings.class_embedding", (width,)
    yield f"{at}embeddings.patch_embedding.weight", (width, 3, shape.patch, shape.patch)
    yield f"{at}embeddings.position_embedding.weight", ((shape.image // shape.patch) ** 2 + 1, width)
    for norm in ("pre_layrnorm", "post_layernorm"):
        yield from ((f"{at}{norm}.{part}", (width,)) for part in ("weight", "bias"))
    for layer in range(shape.vision_layers):
        for name, out, into in (
            *((f"self_attn.{p}_proj", width, width) for p in ("q", "k", "v", "out")),
            ("mlp.fc1", inner, width),
            ("mlp.fc2", width, inner),
        ):
            yield f"{at}encoder.layers.{layer}.{name}.weight", (out, into)
            yield f"{at}encoder.layers.{layer}.{name}.bias", (out,)
        for norm in ("layer_norm1", "layer_norm2"):
            for part in ("weight", "bias"):
                yield f"{at}encoder.layers.{layer}.{norm}.{part}", (width,)


def projector_shapes(shape: Shape) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names and shapes of the projector."""
    for name, into in (("linear_1", shape.vision_hidden), ("linear_2", shape.hidden)):
        yield f"multi_modal_projector.{name}.weight", (shape.hidden, into)
        yield f"multi_modal_projector.{name}.bias", (shape.hidden,)


def released_shapes(shape: Shape) -> dict[str, tuple[int, ...]]:
    """Every tensor of a released checkpoint: the language model wrapped by PEFT, q and v with LoRA."""
    named = dict(vision_shapes(shape)) | dict(projector_shapes(shape))
    for name, size in language_shapes(shape):
        full = f"language_model.base_model.model.{name}"
        if "q_proj" in name or "v_proj" in name:
            stem = full.removesuffix(".weight")
            named[f"{stem}.base_layer.weight"] = size
            named[f"{stem}.lora_A.default.weight"] = (shape.rank, size[1])
            named[f"{stem}.lora_B.default.weight"] = (size[0], shape.rank)
        else:
            named[full] = size
    return named


def plain_shapes(shape: Shape) -> dict[str, tuple[int, ...]]:
    """Every tensor of a plain LLaVA checkpoint, in the old key names."""
    language = {f"language_model.{name}": size for name, size in language_shapes(shape)}
    return dict(vision_shapes(shape)) | dict(projector_shapes(shape)) | language


def random_tensor(
    name: str, size: tuple[int, ...], random: torch.Generator, dtype: torch.dtype
) -> torch.Tensor:
    """Weights at a scale that keeps activations of a deep stack bounded; norms at one."""
    if "norm" in name and name.endswith("weight"):
        return torch.ones(size, dtype=dtype)
    if name.endswith("bias"):
        return torch.zeros(size, dtype=dtype)
    scale = size[-1] ** -0.5 if len(size) == 2 else 0.02
    if "embed_tokens" in name or "lm_head" in name:
        scale = 0.5
    return (torch.randn(size, generator=random) * scale).to(dtype)


def config(shape: Shape) -> dict[str, object]:
    """A config.json as the reference writes it."""
    return {
        "model_type": "llava",
        "architectures": ["PllavaForConditionalGeneration"],
        "image_token_index": shape.image_token,
        "num_frames": shape.frames,
        "pooling_shape": list(shape.pooling),
        "pooling_method": "avg",
        "use_pooling": True,
        "projector_hidden_act": "gelu",
        "vision_feature_layer": -2,
        "vision_feature_select_strategy": "default",
        "text_config": {
            "model_type": "llama",
            "hidden_size": shape.hidden,
            "intermediate_size": shape.intermediate,
            "num_hidden_layers": shape.layers,
            "num_attention_heads": shape.heads,
            "num_key_value_heads": shape.kv_heads,
            "vocab_size": shape.vocabulary,
            "max_position_embeddings": 4096,
            "rms_norm_eps": 1e-05,
            "rope_theta": shape.theta,
            "pad_token_id": 0,
        },
        "vision_config": {
            "model_type": "clip_vision_model",
            "hidden_size": shape.vision_hidden,
            "intermediate_size": shape.vision_intermediate,
            "num_hidden_layers": shape.vision_layers,
            "num_attention_heads": shape.vision_heads,
            "image_size": shape.image,
            "patch_size": shape.patch,
            "projection_dim": 768,
        },
    }


def tokenizer(image_token: int) -> Tokenizer:
    """A byte-fallback tokenizer with Llama's special tokens and spacing.

    Where there are ids to spare its tokens are parts of English words, learnt from the project's own pages,
    so that a prompt has about as many tokens as with Llama's; else they are single characters.
    """
    merges = _merges(LEARNT) if image_token > 2 * LEARNT else []
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *LETTERS]
    tokens += dict.fromkeys(first + second for first, second in merges)
    tokens += [f"<spare{number}>" for number in range(len(tokens), image_token)]
    made = Tokenizer(
        models.BPE(
            {token: i for i, token in enumerate(tokens)}, merges, unk_token="<unk>", byte_fallback=True
        )
    )
    made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    made.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    made.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    made.add_special_tokens(
        [AddedToken(token, normalized=False, special=True) for token in ("<unk>", "<s>", "</s>", "<image>")]
    )
    return made


def _merges(count: int) -> list[tuple[str, str]]:
    """The pairs of parts that stand side by side most often, in the project's own pages."""
    pages = [ROOT / name for name in ("README.md", "CHANGELOG.md")]
    words = [word for page in pages for word in page.read_text(encoding="utf-8").split()]
    learner = Tokenizer(models.BPE())
    trainer = trainers.BpeTrainer(vocab_size=count, initial_alphabet=list(LETTERS), show_progress=False)
    learner.train_from_iterator(("▁" + "".join(c for c in word if c in LETTERS) for word in words), trainer)
    model = json.loads(learner.to_str())["model"]
    return [tuple(pair) for pair in model["merges"]]


def write(
    folder: Path,
    shape: Shape,
    *,
    released: bool = True,
    seed: int = 0,
    shard_bytes: int = 2 << 30,
    dtype: torch.dtype = torch.bfloat16,
) -> Path:
    """Write a whole checkpoint folder, sharded with an index if `released`, else one file."""
    folder.mkdir(parents=True, exist_ok=True)
    random = torch.Generator().manual_seed(seed)
    named = released_shapes(shape) if released else plain_shapes(shape)
    if released:
        _write_shards(folder, named, random, shard_bytes, dtype)
    else:
        save_file(
            {n: random_tensor(n, s, random, dtype) for n, s in named.items()}, folder / "model.safetensors"
        )
    (folder / "config.json").write_text(json.dumps(config(shape), indent=2))
    (folder / "generation_config.json").write_text(
        json.dumps({"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0})
    )
    (folder / "preprocessor_config.json").write_text(
        json.dumps(
            {
                "image_processor_type": "CLIPImageProcessor",
                "size": {"shortest_edge": shape.image},
                "crop_size": {"height": shape.image, "width": shape.image},
                "resample": 3,
                "rescale_factor": 1 / 255,
                "image_mean": [0.48145466, 0.4578275, 0.40821073],
                "image_std": [0.26862954, 0.26130258, 0.27577711],
            }
        )
    )
    tokenizer(shape.image_token).save(str(folder / "tokenizer.json"))
    return folder


def _write_shards(
    folder: Path,
    named: dict[str, tuple[int, ...]],
    random: torch.Generator,
    shard_bytes: int,
    dtype: torch.dtype,
) -> None:
    shards: list[list[str]] = [[]]
    size = 0
    for name, dims in named.items():
        nbytes = torch.Size(dims).numel() * dtype.itemsize
        if shards[-1] and size + nbytes > shard_bytes:
            shards.append([])
            size = 0
        shards[-1].append(name)
        size += nbytes
    weight_map = {}
    for number, names in enumerate(shards, 1):
        file = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        save_file({n: random_tensor(n, named[n], random, dtype) for n in names}, folder / file)
        weight_map |= dict.fromkeys(names, file)
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {}, "weight_map": weight_map})
    )


def main() -> None:
    """Write the folder named on the command line."""
    given = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    given.add_argument("out", type=Path)
    given.add_argument("--shape", choices=sorted(SHAPES), default="1b")
    given.add_argument("--plain", action="store_true", help="plain LLaVA keys in one file, without LoRA")
    given.add_argument("--dtype", choices=("bfloat16", "float16"), default="bfloat16")
    options = given.parse_args()
    dtype = getattr(torch, options.dtype)
    write(options.out, SHAPES[options.shape], released=not options.plain, dtype=dtype)


if __name__ == "__main__":
    main()
