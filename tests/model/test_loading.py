"""A folder becomes a model: layouts, LoRA, precision, what is read and when."""

import json
import struct
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from pllava_cli.engine import load_model
from pllava_cli.errors import CheckpointError, MemoryFullError, UsageError
from pllava_cli.model import filling
from pllava_cli.model.layout import Recipe
from pllava_cli.model.loading import Loaded, load, prepare
from pllava_cli.model.modeling import PllavaForConditionalGeneration
from pllava_cli.model.options import LoadOptions
from pllava_cli.model.tensors import TensorReader, list_tensors
from tests.checkpoints import (
    Tensors,
    adapter_tensors,
    copied,
    edit_json,
    edit_weights,
    write_adapter,
    write_plain,
)

EXACT: dict[str, Any] = {"dtype": "fp32", "quantize": "none", "device": "cpu"}
LORA_LAYERS = [
    f"model.language_model.layers.{i}.self_attn.{n}.weight" for i in range(2) for n in ("q_proj", "v_proj")
]


def opened(folder: Path, **options: Any) -> Loaded:
    return load(folder, LoadOptions(**EXACT | options))


def parameters(folder: Path, **options: Any) -> Tensors:
    return dict(opened(folder, **options).model.named_parameters())


def assert_same(ours: Tensors, theirs: Tensors, but: tuple[str, ...] = ()) -> None:
    assert ours.keys() == theirs.keys()
    for name in ours.keys() - set(but):
        assert torch.equal(ours[name], theirs[name]), name


class TestLayouts:
    @pytest.fixture(scope="class")
    def weights(self, plain: Path) -> Tensors:
        return parameters(plain)

    def test_every_weight_is_the_files(self, plain: Path, weights: Tensors) -> None:
        stored = load_file(plain / "model.safetensors")
        for name, value in weights.items():
            old = name.removeprefix("model.")
            old = old.replace("vision_tower.", "vision_tower.vision_model.")
            old = old.replace("language_model.", "language_model.model.").replace(
                "lm_head.", "language_model.lm_head."
            )
            assert torch.equal(value, stored[old]), name

    def test_new_names(self, plain: Path, weights: Tensors, tmp_path: Path) -> None:
        def change(kept: Tensors) -> Tensors:
            kept["lm_head.weight"] = kept.pop("language_model.lm_head.weight")
            renamed = {
                k.replace("language_model.model.", "model.language_model."): v for k, v in kept.items()
            }
            return {
                f"model.{k}" if k.startswith(("vision_tower", "multi_modal")) else k: v
                for k, v in renamed.items()
            }

        assert_same(parameters(edit_weights(copied(plain, tmp_path / "c"), change)), weights)

    def test_our_own_save(self, plain: Path, weights: Tensors, tmp_path: Path) -> None:
        folder = copied(plain, tmp_path / "c")
        model = opened(plain).model
        save_file({k: v.clone() for k, v in model.state_dict().items()}, folder / "model.safetensors")
        assert_same(parameters(folder), weights)

    def test_released_layout_in_shards(self, released: Path) -> None:
        assert len(list(released.glob("model-*.safetensors"))) > 2
        stored = {k: v for f in released.glob("*.safetensors") for k, v in load_file(f).items()}
        loaded = parameters(released, alpha=0)
        prefix = "language_model.base_model.model.model.layers.1.self_attn."
        assert torch.equal(
            loaded["model.language_model.layers.1.self_attn.v_proj.weight"],
            stored[f"{prefix}v_proj.base_layer.weight"].float(),
        )
        assert torch.equal(
            loaded["model.language_model.layers.1.self_attn.k_proj.weight"],
            stored[f"{prefix}k_proj.weight"].float(),
        )

    def test_config_of_other_writers(self, plain: Path, weights: Tensors, tmp_path: Path) -> None:
        folder = copied(plain, tmp_path / "c")
        edit_json(
            folder / "config.json",
            model_type="llava_next",
            architectures=["LlavaNextForConditionalGeneration"],
            text_config__vocab_size=None,
            vocab_size=448,
            image_grid_pinpoints=[[336, 672]],
        )
        assert_same(parameters(folder), weights)

    def test_base_that_says_nothing_of_frames(self, plain: Path, weights: Tensors, tmp_path: Path) -> None:
        folder = edit_json(copied(plain, tmp_path / "c") / "config.json", num_frames=None, pooling_shape=None)
        with pytest.raises(CheckpointError, match="how many frames") as caught:
            opened(folder)
        assert "--frames 16 --pooling-shape 16,12,12" in caught.value.hint
        assert_same(parameters(folder, num_frames=4, pooling_shape=(4, 2, 2)), weights)

    def test_generation_files_special_tokens(self, plain: Path, tmp_path: Path) -> None:
        folder = copied(plain, tmp_path / "c")
        edit_json(folder / "generation_config.json", eos_token_id=[2, 5], pad_token_id=7, do_sample=True)
        generation = opened(folder).model.generation_config
        assert (generation.eos_token_id, generation.pad_token_id) == ([2, 5], 7)
        assert not generation.do_sample
        (folder / "generation_config.json").unlink()
        generation = opened(folder).model.generation_config
        assert (generation.eos_token_id, generation.pad_token_id) == (2, 0)

    def test_model_is_ready_for_inference(self, plain: Path) -> None:
        model = opened(plain).model
        assert not model.training
        assert not any(parameter.requires_grad for parameter in model.parameters())
        assert not any(parameter.is_meta for parameter in model.parameters())
        assert not any(buffer.is_meta for buffer in model.buffers())
        assert len(model.model.vision_tower.encoder.layers) == 2  # of 3: the last is not run

    def test_progress_is_told_in_bytes(self, released: Path) -> None:
        told: list[tuple[int, int]] = []
        load(released, LoadOptions(**EXACT, alpha=4), lambda done, total: told.append((done, total)))
        (total,) = {total for _, total in told}
        files = sum(file.stat().st_size for file in released.glob("*.safetensors"))
        assert 0.8 * files < total < files  # but for the headers and the vision layer that is not run
        assert [done for done, _ in told] == sorted(done for done, _ in told)
        assert told[-1] == (total, total)


class TestLora:
    """Merged while loading, against W x + alpha / rank * B (A x)."""

    @pytest.fixture(scope="class")
    def adapter(self, plain: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
        folder = tmp_path_factory.mktemp("adapter") / "adapter"
        return write_adapter(folder, plain, adapter_tensors(3))

    @pytest.mark.parametrize("alpha", [0.5, 4, 8, 32, -3.0])
    def test_merging_equals_attaching(self, alpha: float, plain: Path, adapter: Path) -> None:
        base, merged = parameters(plain), parameters(adapter, base=plain, alpha=alpha)
        pairs = adapter_tensors(3)
        x = torch.randn(5, 64, generator=torch.Generator().manual_seed(0))
        for name in LORA_LAYERS:
            stem = name.replace("model.language_model.", "language_model.base_model.model.model.", 1)
            low, high = (pairs[stem.replace("weight", f"lora_{side}.default.weight")] for side in "AB")
            attached = x @ base[name].T + alpha / 8 * (x @ low.T) @ high.T
            assert torch.allclose(x @ merged[name].T, attached, atol=1e-4)
            assert not torch.allclose(merged[name], base[name], atol=0.01)

    @pytest.mark.parametrize("alpha", [0, 0.0])
    def test_alpha_zero_equals_no_lora(self, alpha: float, plain: Path, adapter: Path) -> None:
        merged = parameters(adapter, base=plain, alpha=alpha)
        base = parameters(plain)
        projector = tuple(name for name in base if "projector" in name)
        assert_same(merged, base, but=projector)
        stored = adapter_tensors(3)
        for name in projector:
            assert torch.equal(merged[name], stored[name.removeprefix("model.")])

    def test_wrapped_checkpoint_merges_as_its_adapter_over_its_base(
        self, plain: Path, adapter: Path, tmp_path: Path
    ) -> None:
        def change(kept: Tensors) -> Tensors:
            pairs = adapter_tensors(3)
            stems = {k.partition(".lora_")[0] for k in pairs if "lora" in k}
            wrapped = {}
            for key, value in kept.items():
                key = key.replace("language_model.", "language_model.base_model.model.", 1)
                stem = key.removesuffix(".weight")
                wrapped[f"{stem}.base_layer.weight" if stem in stems else key] = value
            return wrapped | pairs

        whole = edit_weights(copied(plain, tmp_path / "c"), change)
        assert_same(parameters(whole, alpha=4), parameters(adapter, base=plain, alpha=4))

    def test_adapter_saved_by_peft(self, plain: Path, adapter: Path, tmp_path: Path) -> None:
        def renamed(key: str) -> str:
            key = key.replace("language_model.base_model.model.", "language_model.")
            return f"base_model.model.{key.replace('.default', '')}"

        weights = {renamed(k): v for k, v in adapter_tensors(3).items()}
        folder = write_adapter(tmp_path / "a", plain, weights)
        (folder / "model.safetensors").rename(folder / "adapter_model.safetensors")
        assert_same(parameters(folder, base=plain, alpha=4), parameters(adapter, base=plain, alpha=4))

    def test_pairs_in_half_precision_are_merged_in_full(self, plain: Path, tmp_path: Path) -> None:
        pairs = {k: v.half() for k, v in adapter_tensors(3, projector=False).items()}
        folder = write_adapter(tmp_path / "a", plain, pairs)
        merged, base = parameters(folder, base=plain, alpha=4), parameters(plain)
        name = LORA_LAYERS[0]
        stem = "language_model.base_model.model.model.layers.0.self_attn.q_proj.lora_"
        low, high = (pairs[f"{stem}{side}.default.weight"].float() for side in "AB")
        assert torch.allclose(merged[name], base[name] + 0.5 * high @ low, atol=1e-6)

    def test_alpha_must_be_said(self, plain: Path, released: Path, adapter: Path) -> None:
        for folder, base in ((released, None), (adapter, plain)):
            with pytest.raises(UsageError, match="no alpha says how strongly") as caught:
                opened(folder, base=base)
            assert "--alpha 4" in caught.value.hint

    @pytest.mark.parametrize("alpha", [float("nan"), float("inf")])
    def test_alpha_that_is_no_number(self, alpha: float, released: Path) -> None:
        with pytest.raises(UsageError, match="alpha") as caught:
            opened(released, alpha=alpha)
        assert caught.value.hint

    def test_whether_there_is_lora_is_told(self, plain: Path, released: Path) -> None:
        assert not prepare(plain, LoadOptions(**EXACT)).has_lora
        assert prepare(released, LoadOptions(**EXACT, alpha=4)).has_lora

    def test_adapter_without_its_base(self, adapter: Path) -> None:
        with pytest.raises(CheckpointError, match="holds only an adapter") as caught:
            opened(adapter, alpha=4)
        assert "--base" in caught.value.hint

    def test_whole_checkpoint_with_a_base(self, plain: Path) -> None:
        with pytest.raises(UsageError, match="is a whole checkpoint"):
            opened(plain, base=plain)

    def test_adapter_as_a_base(self, plain: Path, adapter: Path) -> None:
        with pytest.raises(CheckpointError, match="lacks"):
            opened(adapter, base=adapter, alpha=4)

    def test_adapter_over_a_base_of_another_size(self, plain: Path, adapter: Path, tmp_path: Path) -> None:
        base = edit_weights(
            copied(plain, tmp_path / "c"),
            lambda kept: kept.update({"language_model.lm_head.weight": torch.zeros(32, 64)}),
        )
        with pytest.raises(CheckpointError, match=r"lm_head\.weight is 32x64 instead of 448x64") as caught:
            opened(adapter, base=base, alpha=4)
        assert "--base" in caught.value.hint

    def test_load_model_takes_tokenizer_and_pictures_from_the_base(self, plain: Path, adapter: Path) -> None:
        model, processor = load_model(adapter, base=plain, alpha=4, **EXACT)
        inputs = processor(np.zeros((4, 8, 8, 3), np.uint8), "<image> what?")
        with torch.inference_mode():
            assert torch.isfinite(model(**inputs).logits).all()


class TestPrecision:
    @pytest.mark.parametrize("dtype", ["fp32", "bf16", "fp16"])
    def test_every_weight_has_the_precision_asked_for(self, dtype: str, plain: Path) -> None:
        wanted = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[dtype]
        loaded = opened(plain, dtype=dtype)
        exact = parameters(plain)
        assert loaded.plan.dtype == dtype
        for name, value in loaded.model.named_parameters():
            assert torch.equal(value, exact[name].to(wanted)), name
        assert loaded.model.dtype == wanted

    @pytest.mark.parametrize(("dtype", "limit"), [("bf16", 0.25), ("fp16", 0.04)])
    @torch.inference_mode()
    def test_half_precision_stays_near(self, dtype: str, limit: float, plain: Path) -> None:
        frames = np.random.default_rng(0).integers(0, 256, (4, 20, 30, 3), np.uint8)
        logits = []
        for precision in ("fp32", dtype):
            model, processor = load_model(plain, **EXACT | {"dtype": precision})
            logits.append(model(**processor(frames, "<image> what is it?")).logits[0].float())
        assert logits[0].std() > 1
        assert (logits[1] - logits[0]).abs().max() < limit

    def test_checkpoint_in_mixed_precision(self, plain: Path, tmp_path: Path) -> None:
        def change(kept: Tensors) -> Tensors:
            return {
                k: v.half() if "vision" in k else v.bfloat16() if "mlp" in k else v for k, v in kept.items()
            }

        folder = edit_weights(copied(plain, tmp_path / "c"), change)
        assert {value.dtype for value in parameters(folder).values()} == {torch.float32}


class TestReading:
    def test_weights_do_not_depend_on_the_file_afterwards(self, plain: Path, tmp_path: Path) -> None:
        folder = copied(plain, tmp_path / "c")
        loaded = parameters(folder)
        before = {name: value.clone() for name, value in loaded.items()}
        with (folder / "model.safetensors").open("r+b") as file:
            file.seek(8 + struct.unpack("<Q", file.read(8))[0])
            file.write(b"\xff" * 500_000)
        assert_same(loaded, before)

    def test_nothing_is_read_of_a_checkpoint_that_does_not_fit(
        self, plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        read: list[str] = []
        monkeypatch.setattr(TensorReader, "read", lambda self, stored: read.append(stored.key))
        folder = edit_weights(copied(plain, tmp_path / "c"), lambda kept: kept.update(extra=torch.zeros(2)))
        with pytest.raises(CheckpointError, match="extra"):
            opened(folder)
        assert read == []

    def test_huge_tensor_is_refused_by_its_header(self, plain: Path, tmp_path: Path) -> None:
        folder = copied(plain, tmp_path / "c")
        file = folder / "model.safetensors"
        with safe_open(file, framework="pt") as handle:
            shapes = {key: list(handle.get_slice(key).get_shape()) for key in handle.keys()}  # noqa: SIM118
        shapes["language_model.lm_head.weight"] = [1 << 22, 64]
        header, end = {}, 0
        for key, shape in shapes.items():
            begin, end = end, end + 4 * int(np.prod(shape))
            header[key] = {"dtype": "F32", "shape": shape, "data_offsets": [begin, end]}
        encoded = json.dumps(header).encode()
        with file.open("wb") as written:
            written.write(struct.pack("<Q", len(encoded)) + encoded)
            written.truncate(8 + len(encoded) + end)  # a gibibyte, of which nothing is on the disk
        assert file.stat().st_size > 1 << 30
        with pytest.raises(CheckpointError, match=r"lm_head\.weight is 4194304x64 instead of 448x64"):
            opened(folder)

    def test_memory_that_does_not_suffice_after_all(
        self, plain: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        read: list[weakref.ref[torch.Tensor]] = []

        def full(reader: TensorReader, recipe: Recipe, alpha: float | None) -> torch.Tensor:
            assert recipe.weight is not None
            made = reader.read(recipe.weight)
            read.append(weakref.ref(made))
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

        monkeypatch.setattr(filling, "merged", full)
        with pytest.raises(MemoryFullError, match="the memory of cpu does not suffice to load") as caught:
            opened(plain)
        assert caught.value.status == 6 and caught.value.hint.startswith("use --quantize 4bit")
        assert caught.value.__context__ is None and [each() for each in read] == [None]

    def test_two_models_at_once(self, plain: Path, tmp_path: Path) -> None:
        other = write_plain(tmp_path / "other", seed=9)
        one, two = parameters(plain), parameters(other)
        assert not torch.equal(one["lm_head.weight"], two["lm_head.weight"])
        assert_same(one, parameters(plain))


def pooled(shape: tuple[int, int, int]) -> Callable[[Path], PllavaForConditionalGeneration]:
    return lambda folder: opened(folder, pooling_shape=shape).model


@pytest.mark.parametrize("shape", [(4, 2, 2), (2, 1, 1), (1, 2, 2), (3, 2, 1), (8, 3, 3)], ids=str)
def test_any_pooling_shape_gives_as_many_tokens(shape: tuple[int, int, int], plain: Path) -> None:
    model = pooled(shape)(plain)
    assert model.config.visual_tokens == shape[0] * shape[1] * shape[2]
    assert model.encode_frames(torch.zeros(4, 3, 28, 28)).shape == (model.config.visual_tokens, 64)


@pytest.mark.parametrize("count", [1, 3, 8])
def test_any_number_of_frames(count: int, plain: Path) -> None:
    model, processor = load_model(plain, num_frames=count, **EXACT)
    frames = np.zeros((count, 9, 12, 3), np.uint8)
    with torch.inference_mode():
        assert model(**processor(frames, "<image> what?")).logits.shape[1] > 16


@pytest.mark.parametrize("look", [TensorReader.read, TensorReader.sample])
def test_tensor_that_has_another_shape_by_now_is_told(tmp_path: Path, look: Callable[..., object]) -> None:
    file = tmp_path / "model.safetensors"
    save_file({"w": torch.zeros(5000, 4)}, file)
    (stored,) = list_tensors(tmp_path)
    save_file({"w": torch.zeros(20, 4)}, file)
    with pytest.raises(CheckpointError, match="has changed while it was read"):
        look(TensorReader(), stored)
