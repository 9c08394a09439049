"""Which tensor of a checkpoint becomes which parameter: counts, names and strict accounting."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.random_checkpoint import SHAPES, config, plain_shapes, released_shapes
from pllava_cli.errors import CheckpointError
from pllava_cli.model.config import read_config
from pllava_cli.model.empty import empty_model, shapes_of
from pllava_cli.model.layout import Recipe, canonical, is_adapter, plan
from pllava_cli.model.tensors import StoredTensor

Sizes = dict[str, tuple[int, ...]]
COUNTS = {"7b": (686, 814), "13b": (758, 918), "34b": (938, 1178)}
"""Tensors of a plain and of a released checkpoint, as counted on the reference's own class."""


def stored(sizes: Sizes) -> list[StoredTensor]:
    return [StoredTensor(Path("model.safetensors"), key, size, 0) for key, size in sizes.items()]


def network(name: str) -> tuple[Sizes, int]:
    """Parameter shapes of the network, without memory, and its vision depth."""
    made = read_config(dict(config(SHAPES[name])), None, None)
    return shapes_of(empty_model(made)), made.vision_depth


@pytest.fixture(scope="module")
def tiny_network() -> tuple[Sizes, int]:
    return network("tiny")


def new_names(sizes: Sizes) -> Sizes:
    """Old LLaVA names to those that transformers 5 writes."""

    def renamed(key: str) -> str:
        if key == "language_model.lm_head.weight":
            return "lm_head.weight"
        return f"model.{key}".replace("model.language_model.model.", "model.language_model.")

    return {renamed(key): size for key, size in sizes.items()}


def peft_names(sizes: Sizes) -> Sizes:
    """Released names to those PEFT gives when it wraps the whole model."""
    return {
        f"base_model.model.{key.replace('language_model.base_model.model.', 'language_model.')}": size
        for key, size in sizes.items()
    }


@pytest.mark.parametrize("name", COUNTS)
def test_every_tensor_of_the_published_shapes_has_its_place(name: str) -> None:
    shapes, depth = network(name)
    plain, released = plain_shapes(SHAPES[name]), released_shapes(SHAPES[name])
    assert (len(plain), len(released)) == COUNTS[name]
    for sizes in (plain, released):
        recipes = plan(shapes, stored(sizes), depth)
        assert set(recipes) == set(shapes)
        used = [part.key for recipe in recipes.values() for part in recipe.parts]
        assert len(used) == len(set(used))
        unused = set(sizes) - set(used)
        last = f"encoder.layers.{SHAPES[name].vision_layers - 1}."
        assert len(unused) == 18
        assert all(last in key or "post_layernorm" in key for key in unused)
    with_lora = [n for n, recipe in recipes.items() if recipe.lora_A and recipe.lora_B]
    assert len(with_lora) == 2 * SHAPES[name].layers
    assert all(n.endswith(("q_proj.weight", "v_proj.weight")) for n in with_lora)


@pytest.mark.parametrize("rename", [dict, new_names], ids=["old names", "new names"])
def test_plain_names(rename: Callable[[Sizes], Sizes], tiny_network: tuple[Sizes, int]) -> None:
    shapes, depth = tiny_network
    recipes = plan(shapes, stored(rename(plain_shapes(SHAPES["tiny"]))), depth)
    assert all(recipe.weight and recipe.weight.shape == shapes[name] for name, recipe in recipes.items())


@pytest.mark.parametrize("rename", [dict, peft_names], ids=["language model wrapped", "all wrapped"])
def test_names_given_by_peft(rename: Callable[[Sizes], Sizes], tiny_network: tuple[Sizes, int]) -> None:
    shapes, depth = tiny_network
    recipes = plan(shapes, stored(rename(released_shapes(SHAPES["tiny"]))), depth)
    assert set(recipes) == set(shapes)
    assert sum(recipe.lora_A is not None for recipe in recipes.values()) == 4


@pytest.mark.parametrize(
    ("key", "wanted"),
    [
        ("language_model.lm_head.weight", ("lm_head.weight", "weight")),
        ("lm_head.weight", ("lm_head.weight", "weight")),
        ("language_model.model.norm.weight", ("model.language_model.norm.weight", "weight")),
        ("vision_tower.vision_model.pre_layrnorm.bias", ("model.vision_tower.pre_layrnorm.bias", "weight")),
        (
            "model.vision_tower.vision_model.pre_layrnorm.bias",
            ("model.vision_tower.pre_layrnorm.bias", "weight"),
        ),
        ("multi_modal_projector.linear_1.bias", ("model.multi_modal_projector.linear_1.bias", "weight")),
        (
            "language_model.base_model.model.model.layers.3.self_attn.q_proj.base_layer.weight",
            ("model.language_model.layers.3.self_attn.q_proj.weight", "weight"),
        ),
        (
            "language_model.base_model.model.model.layers.3.self_attn.q_proj.lora_A.default.weight",
            ("model.language_model.layers.3.self_attn.q_proj.weight", "lora_A"),
        ),
        (
            "base_model.model.language_model.model.layers.3.self_attn.v_proj.lora_B.weight",
            ("model.language_model.layers.3.self_attn.v_proj.weight", "lora_B"),
        ),
        (
            "base_model.model.model.language_model.layers.3.self_attn.v_proj.lora_B.weight",
            ("model.language_model.layers.3.self_attn.v_proj.weight", "lora_B"),
        ),
    ],
)
def test_canonical_names(key: str, wanted: tuple[str, str]) -> None:
    assert canonical(key) == wanted


USELESS = [
    "image_newline",
    "model.image_newline",
    "vision_tower.vision_model.embeddings.position_ids",
    "language_model.model.layers.0.self_attn.rotary_emb.inv_freq",
    "vision_tower.vision_model.encoder.layers.2.mlp.fc1.weight",
    "vision_tower.vision_model.encoder.layers.77.mlp.fc1.weight",
    "vision_tower.vision_model.post_layernorm.weight",
]
STRANGE = [
    "model.image_newline_2",
    "vision_tower.vision_model.encoder.layers.1.mlp.fc3.weight",
    "language_model.model.layers.2.mlp.up_proj.weight",
    "language_model.model.layers.0.self_attn.q_proj.bias",
    "multi_modal_projector.linear_3.weight",
    "score.weight",
    "visual_head.image_newlines",
    "",
]


@pytest.mark.parametrize("key", USELESS)
def test_tensors_known_to_be_useless_are_left_out(key: str, tiny_network: tuple[Sizes, int]) -> None:
    shapes, depth = tiny_network
    recipes = plan(shapes, stored(plain_shapes(SHAPES["tiny"]) | {key: (1,)}), depth)
    assert key not in {part.key for recipe in recipes.values() for part in recipe.parts}


@pytest.mark.parametrize("key", STRANGE)
def test_any_other_tensor_is_named_in_an_error(key: str, tiny_network: tuple[Sizes, int]) -> None:
    shapes, depth = tiny_network
    with pytest.raises(CheckpointError, match="which no PLLaVA has") as caught:
        plan(shapes, stored(plain_shapes(SHAPES["tiny"]) | {key: (1,)}), depth)
    assert f"({key})" in caught.value.message


def test_every_single_tensor_is_missed(tiny_network: tuple[Sizes, int]) -> None:
    shapes, depth = tiny_network
    whole = released_shapes(SHAPES["tiny"])
    for name, recipe in plan(shapes, stored(whole), depth).items():
        for part in recipe.parts:
            with pytest.raises(CheckpointError) as caught:
                plan(shapes, stored({k: v for k, v in whole.items() if k != part.key}), depth)
            assert name in caught.value.message


def test_every_single_shape_is_checked(tiny_network: tuple[Sizes, int]) -> None:
    shapes, depth = tiny_network
    whole = released_shapes(SHAPES["tiny"])
    for recipe in plan(shapes, stored(whole), depth).values():
        for part in recipe.parts:
            for shape in ((*part.shape[:-1], part.shape[-1] + 1), (*part.shape, 1), ()):
                with pytest.raises(CheckpointError, match=r"instead of|LoRA pair"):
                    plan(shapes, stored(whole | {part.key: shape}), depth)


def test_many_faults_are_counted_and_the_first_named(tiny_network: tuple[Sizes, int]) -> None:
    shapes, depth = tiny_network
    kept = {k: v for k, v in plain_shapes(SHAPES["tiny"]).items() if "layers.1." not in k}
    with pytest.raises(CheckpointError) as caught:
        plan(shapes, stored(kept | {"a.weight": (1,), "b.weight": (2,)}), depth)
    assert "lacks 25 tensors" in caught.value.message
    assert "has 2 tensors (a.weight, b.weight)" in caught.value.message
    assert len(caught.value.message) < 600


@pytest.mark.parametrize(
    ("twin", "of"),
    [
        ("lm_head.weight", "language_model.lm_head.weight"),
        (
            "language_model.base_model.model.model.layers.0.mlp.up_proj.weight",
            "language_model.model.layers.0.mlp.up_proj.weight",
        ),
    ],
)
def test_one_parameter_under_two_names(twin: str, of: str, tiny_network: tuple[Sizes, int]) -> None:
    shapes, depth = tiny_network
    sizes = plain_shapes(SHAPES["tiny"])
    with pytest.raises(CheckpointError, match="given twice") as caught:
        plan(shapes, stored(sizes | {twin: sizes[of]}), depth)
    assert canonical(twin)[0] in caught.value.message


def lora_pair(a: tuple[int, ...] | None, b: tuple[int, ...] | None) -> Sizes:
    stem = "language_model.model.layers.0.self_attn.q_proj.lora_"
    return {f"{stem}{side}.weight": size for side, size in (("A", a), ("B", b)) if size is not None}


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ((8, 64), None, "only one half of its LoRA pair"),
        (None, (64, 8), "only one half of its LoRA pair"),
        ((8, 64), (64, 4), "LoRA pair .* is 64x4 by 8x64"),
        ((8, 63), (64, 8), "LoRA pair"),
        ((8, 64), (63, 8), "LoRA pair"),
        ((64, 8), (8, 64), "LoRA pair"),
        ((8,), (64, 8), "LoRA pair"),
        ((), (), "LoRA pair"),
        ((0, 64), (64, 0), "LoRA pair"),
    ],
    ids=str,
)
def test_lora_pairs_that_do_not_fit(a: Any, b: Any, message: str, tiny_network: tuple[Sizes, int]) -> None:
    shapes, depth = tiny_network
    with pytest.raises(CheckpointError, match=message) as caught:
        plan(shapes, stored(plain_shapes(SHAPES["tiny"]) | lora_pair(a, b)), depth)
    assert "layers.0.self_attn.q_proj" in caught.value.message


def test_adapter_is_laid_over_its_base(tiny_network: tuple[Sizes, int]) -> None:
    shapes, depth = tiny_network
    base = plan(shapes, stored(released_shapes(SHAPES["tiny"])), depth)
    adapter = lora_pair((4, 64), (64, 4)) | {"multi_modal_projector.linear_1.bias": (64,)}
    for name, recipe in base.items():  # the base's own LoRA is replaced
        if recipe.lora_A and "layers.0.self_attn.q_proj" not in name:
            stem = name.removesuffix("weight")
            adapter |= {f"{stem}lora_A.weight": (2, 64), f"{stem}lora_B.weight": (64, 2)}
    recipes = plan(shapes, stored(adapter), depth, base)
    q_proj = recipes["model.language_model.layers.0.self_attn.q_proj.weight"]
    assert q_proj.weight is base["model.language_model.layers.0.self_attn.q_proj.weight"].weight
    assert q_proj.lora_A is not None
    assert q_proj.lora_A.shape == (4, 64)
    v_proj = recipes["model.language_model.layers.0.self_attn.v_proj.weight"].lora_A
    assert v_proj is not None and v_proj.shape == (2, 64)
    bias = recipes["model.multi_modal_projector.linear_1.bias"].weight
    assert bias is not None
    assert bias.key == "multi_modal_projector.linear_1.bias"
    assert bias is not base["model.multi_modal_projector.linear_1.bias"].weight


@pytest.mark.parametrize(
    ("adapter", "count"),
    [
        (lora_pair((4, 64), (64, 4)), 3),
        ({"multi_modal_projector.linear_1.bias": (64,)}, 4),
    ],
    ids=["LoRA on one layer", "projector"],
)
def test_lora_of_the_base_is_not_lost_silently(
    adapter: Sizes, count: int, tiny_network: tuple[Sizes, int]
) -> None:
    shapes, depth = tiny_network
    base = plan(shapes, stored(released_shapes(SHAPES["tiny"])), depth)
    with pytest.raises(CheckpointError, match=f"where the adapter has none: {count} tensors") as caught:
        plan(shapes, stored(adapter), depth, base)
    assert "layers.0.self_attn.v_proj.lora_A" in caught.value.message
    assert "pllava models merge" in caught.value.hint
    bare = plan(shapes, stored(plain_shapes(SHAPES["tiny"])), depth)
    assert set(plan(shapes, stored(adapter), depth, bare)) == set(shapes)


@pytest.mark.parametrize(
    ("sizes", "wanted"),
    [
        (lora_pair((8, 64), (64, 8)), True),
        (lora_pair((8, 64), (64, 8)) | {"multi_modal_projector.linear_1.bias": (64,)}, True),
        ({"model.multi_modal_projector.linear_1.bias": (64,)}, True),
        (lora_pair((8, 64), (64, 8)) | {"language_model.lm_head.weight": (448, 64)}, False),
        (released_shapes(SHAPES["tiny"]), False),
        ({}, False),
    ],
    ids=["LoRA", "LoRA and projector", "projector", "with a head", "whole", "empty"],
)
def test_what_counts_as_an_adapter(sizes: Sizes, wanted: bool) -> None:
    assert is_adapter(stored(sizes)) is wanted


def test_recipe_parts_are_what_is_there() -> None:
    (tensor,) = stored({"a": (1,)})
    assert Recipe().parts == []
    assert Recipe(tensor).parts == [tensor]
    assert Recipe(tensor, tensor, tensor).parts == [tensor] * 3
