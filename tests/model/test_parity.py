"""The network against recorded outputs of the reference implementation."""

from pathlib import Path
from typing import Any

import pytest
import torch

from pllava_cli.engine import load_model
from pllava_cli.model.cache import PrefixCache
from pllava_cli.model.generation import Decoding, TokenRun, prefill, step
from pllava_cli.model.modeling import PllavaForConditionalGeneration
from pllava_cli.model.pooling import fill_slots, pool
from pllava_cli.model.processing import Processor
from tests.parity import (
    LOGITS,
    LOGITS_LORA,
    PIXELS,
    PROJECTOR,
    RECORDED,
    SMALL_GRID,
    distance,
    facts,
    ids_of,
    needs_recordings,
    tensors,
)

Model = tuple[PllavaForConditionalGeneration, Processor]
EXACT = {"dtype": "fp32", "quantize": "none", "device": "cpu"}


def expanded(processor: Processor, prompt_ids: torch.Tensor) -> torch.Tensor:
    """Recorded ids [1, S], which hold one placeholder a clip, as the model takes them."""
    return torch.tensor([processor.expand(ids_of(prompt_ids))])


def kept_logits(recorded: dict[str, torch.Tensor], logits_SV: torch.Tensor) -> list[tuple[Any, Any]]:
    """Pairs of (ours, recorded) for every form in which logits are stored."""
    pairs = []
    if "logits" in recorded:
        pairs.append((logits_SV, recorded["logits"]))
    if "logits_rows" in recorded:
        pairs.append((logits_SV[recorded["logits_index"]], recorded["logits_rows"]))
    if "logits_every4" in recorded:
        pairs.append((logits_SV[::4], recorded["logits_every4"]))
    if "last_logits" in recorded:
        pairs.append((logits_SV[-1], recorded["last_logits"]))
    assert pairs
    return pairs


@torch.inference_mode()
def decode_along(
    model: PllavaForConditionalGeneration, inputs: dict[str, torch.Tensor], new_ids: list[int]
) -> torch.Tensor:
    """Logits [N, V] of each step along `new_ids`, by our own cache: all but the last prompt id prefilled."""
    cache = PrefixCache(model.config.text_config.num_hidden_layers)
    visual = model.encode_frames(inputs["pixel_values"]) if "pixel_values" in inputs else None
    embeddings = model.embed(inputs["input_ids"], visual)
    prefill(model, cache, embeddings[:, :-1])
    feed = [int(inputs["input_ids"][0, -1]), *new_ids[:-1]]
    return torch.stack([step(model, cache, [[token]])[0] for token in feed])


def assert_agrees(
    model: PllavaForConditionalGeneration,
    inputs: dict[str, torch.Tensor],
    recorded: dict[str, torch.Tensor],
    limit: float,
) -> None:
    """Logits of the whole sequence, of each step with the cache, and the greedy answer."""
    with torch.inference_mode():
        logits = model(**inputs).logits[0]
    for ours, theirs in kept_logits(recorded, logits):
        assert distance(ours, theirs) <= limit
    wanted = ids_of(recorded["generated_ids"])
    if "decode_scores" in recorded:
        assert distance(decode_along(model, inputs, wanted), recorded["decode_scores"]) <= limit
    answer = model.generate(**inputs, max_new_tokens=len(wanted), do_sample=False)
    assert answer[0, inputs["input_ids"].shape[1] :].tolist() == wanted


class TestSmallGrid:
    """These recordings come with the tests."""

    def test_one_clip_is_held_at_every_stage(self, small_grid: Model) -> None:
        model, processor = small_grid
        recorded = tensors(SMALL_GRID / "expected.safetensors")
        pixels = processor.pixel_values(recorded["frames"].numpy())
        assert distance(pixels, recorded["pixel_values"]) <= PIXELS
        with torch.inference_mode():
            assert distance(model.model.see(pixels), recorded["clip_hidden_selected"][:, 1:]) <= 5e-5
        assert distance(model.encode_frames(pixels), recorded["projector_output"][0]) <= PROJECTOR
        ids = expanded(processor, recorded["input_ids"])
        assert ids.shape == (1, recorded["logits"].shape[0])
        assert_agrees(model, {"input_ids": ids, "pixel_values": pixels}, recorded, LOGITS)

    def test_two_clips_of_different_shape_in_one_prompt(self, small_grid: Model) -> None:
        model, processor = small_grid
        recorded = tensors(SMALL_GRID / "expected_two_clips.safetensors")
        clips = [
            tensors(SMALL_GRID / "expected.safetensors")["frames"].numpy(),
            recorded["frames_b"].numpy(),
        ]
        pixels = processor(clips, "<image><image>")["pixel_values"]
        assert distance(pixels[:, :, ::3, ::3], recorded["pixel_values_strided"]) <= PIXELS
        ids = expanded(processor, recorded["input_ids"])
        assert_agrees(model, {"input_ids": ids, "pixel_values": pixels}, recorded, LOGITS)

    def test_text_alone(self, small_grid: Model) -> None:
        model, processor = small_grid
        recorded = tensors(SMALL_GRID / "expected_text_only.safetensors")
        ids = expanded(processor, recorded["input_ids"])
        assert torch.equal(ids, recorded["input_ids"])
        assert_agrees(model, {"input_ids": ids}, recorded, LOGITS)

    def test_our_own_decoding_gives_the_recorded_answer(self, small_grid: Model) -> None:
        model, processor = small_grid
        recorded = tensors(SMALL_GRID / "expected.safetensors")
        ids = ids_of(expanded(processor, recorded["input_ids"]))
        cache = PrefixCache(model.config.text_config.num_hidden_layers)
        visual = model.encode_frames(processor.pixel_values(recorded["frames"].numpy()))
        cut = len(ids) - 10
        with torch.inference_mode():
            prefill(model, cache, model.embed(torch.tensor([ids[:cut]]), visual))
        wanted = ids_of(recorded["generated_ids"])
        run = TokenRun(model, cache, ids[cut:], Decoding(max_new_tokens=len(wanted)), frozenset({2}))
        assert list(run) == wanted
        assert run.stopped == "length"

    def test_placeholder_count_is_checked_before_the_model_runs(self, small_grid: Model) -> None:
        model, processor = small_grid
        ids = expanded(processor, tensors(SMALL_GRID / "expected.safetensors")["input_ids"])
        with pytest.raises(ValueError, match="16 placeholders in the prompt, 15 visual tokens"):
            model.embed(ids, torch.zeros(15, 64))
        with pytest.raises(ValueError, match="3 frames given, but a clip has 4"):
            model.encode_frames(torch.zeros(3, 3, 28, 28))


LORA_RUNS = [
    ("case2_peft_full", "expected_alpha4"),
    ("case2_peft_full", "expected_alpha32"),
    ("case3_adapter_only", "expected_alpha4"),
    ("case3_adapter_only", "expected_alpha32"),
]
POOLINGS = ["pool_16_10_10", "pool_4_12_12", "pool_8_6_6"]


@needs_recordings
@pytest.mark.shared
class TestFullGrid:
    """16 frames of 336 x 336 pixels, as the released checkpoints take them."""

    @pytest.fixture(scope="class")
    def full(self) -> Model:
        return load_model(RECORDED / "case1_full", **EXACT)

    @pytest.fixture(scope="class")
    def recorded(self) -> dict[str, torch.Tensor]:
        return tensors(RECORDED / "case1_full" / "expected.safetensors")

    def assert_case_agrees(
        self, loaded: Model, json_file: Path, frames: torch.Tensor, limit: float = LOGITS
    ) -> None:
        model, processor = loaded
        told, recorded = facts(json_file), tensors(json_file.with_suffix(".safetensors"))
        inputs = processor(frames.numpy(), told["prompt"])
        assert torch.equal(inputs["input_ids"], expanded(processor, recorded["input_ids"]))
        assert inputs["input_ids"].shape[1] == told.get("merged_length", inputs["input_ids"].shape[1])
        pixels = inputs["pixel_values"]
        if "pixel_values_strided" in recorded:
            assert distance(pixels[:, :, ::24, ::24], recorded["pixel_values_strided"]) <= PIXELS
            assert distance(pixels.mean((2, 3)), recorded["pixel_values_mean"]) <= 1e-5
            assert distance(pixels.std((2, 3), correction=0), recorded["pixel_values_std"]) <= 1e-5
        if "clip_hidden_selected_frame0" in recorded:
            with torch.inference_mode():
                patches = model.model.see(pixels[:1])[0]
            theirs = recorded["clip_hidden_selected_frame0"][1:]  # every fourth, the class token first
            assert distance(patches[3::4], theirs) <= 5e-5
        if "projector_output_strided" in recorded:
            kept = recorded["projector_output_strided"][0]
            tokens = model.encode_frames(pixels)
            stride = told.get("projector_stride") or -(-len(tokens) // len(kept))
            assert distance(tokens[::stride], kept) <= PROJECTOR
        assert_agrees(model, inputs, recorded, limit)

    def test_plain_checkpoint(self, full: Model, recorded: dict[str, torch.Tensor]) -> None:
        self.assert_case_agrees(full, RECORDED / "case1_full" / "expected.json", recorded["frames"])

    @pytest.mark.parametrize(("case", "run"), LORA_RUNS)
    def test_lora_at_alpha(self, case: str, run: str, recorded: dict[str, torch.Tensor]) -> None:
        folder = RECORDED / case
        told = facts(folder / f"{run}.json")
        base = (folder / told["base"]).resolve() if "base" in told else None
        loaded = load_model(folder, alpha=told["lora_alpha"], base=base, **EXACT)
        frames = recorded["frames"]
        if case == "case2_peft_full":  # both alphas answer about the frames of one recording
            frames = tensors(folder / "expected_alpha4.safetensors")["frames"]
        self.assert_case_agrees(loaded, folder / f"{run}.json", frames, LOGITS_LORA)

    def test_leaving_lora_out_is_far_off(self) -> None:
        folder = RECORDED / "case2_peft_full"
        told = facts(folder / "expected_alpha32.json")
        recorded = tensors(folder / "expected_alpha32.safetensors")
        model, processor = load_model(folder, alpha=0, **EXACT)
        frames = tensors(folder / "expected_alpha4.safetensors")["frames"]
        with torch.inference_mode():
            logits = model(**processor(frames.numpy(), told["prompt"])).logits[0]
        moved = distance(logits[-1], recorded["logits_rows"][-1])
        assert moved == pytest.approx(told["last_logits_max_abs_diff_if_lora_dropped"], abs=0.01)

    @pytest.mark.parametrize("run", POOLINGS)
    def test_other_pooling_shapes(self, run: str, recorded: dict[str, torch.Tensor]) -> None:
        file = RECORDED / "case4_variants" / f"{run}.json"
        shape = tuple(facts(file)["pooling_shape"])
        loaded = load_model(RECORDED / "case1_full", num_frames=16, pooling_shape=shape, **EXACT)
        self.assert_case_agrees(loaded, file, recorded["frames"])

    @torch.inference_mode()
    def test_projector_on_fewer_frames_than_it_takes(
        self, full: Model, recorded: dict[str, torch.Tensor]
    ) -> None:
        model, processor = full
        file = RECORDED / "case4_variants" / "projector_short_inputs.json"
        kept = tensors(file.with_suffix(".safetensors"))
        patches = model.model.see(processor.pixel_values(recorded["frames"].numpy())).view(16, 24, 24, -1)
        projector = model.model.multi_modal_projector
        for name, count in (("video_5_frames", 5), ("video_8_frames", 8), ("image_1_frame", 1)):
            told = facts(file)["runs"][name]
            assert told["frames_given"] == count
            slots = patches[:count][fill_slots(count, 16)]
            assert torch.equal(slots, patches[torch.tensor(told["source_frame_of_each_slot"])])
            assert distance(projector(slots[None])[0, ::21], kept[name][0]) <= PROJECTOR
        # An image's frames are all averaged, and the one picture fills every temporal slot.
        hidden = projector.act(projector.linear_1(patches[None]))
        picture = pool(hidden, (1, 12, 12)).expand(-1, 16, -1, -1, -1).flatten(1, 3)
        assert distance(projector.linear_2(picture)[0, ::21], kept["image_all_frames"][0]) <= PROJECTOR

    def test_short_clip_fills_its_slots_before_the_vision_tower(
        self, full: Model, recorded: dict[str, torch.Tensor]
    ) -> None:
        model, processor = full
        kept = tensors(RECORDED / "case4_variants" / "projector_short_inputs.safetensors")
        pixels = processor.pixel_values(recorded["frames"][:5].numpy())
        assert distance(model.encode_frames(pixels)[::21], kept["video_5_frames"][0]) <= PROJECTOR

    def test_left_padded_batch_equals_its_single_runs(
        self, full: Model, recorded: dict[str, torch.Tensor]
    ) -> None:
        model, processor = full
        told = facts(RECORDED / "case5_batch" / "expected.json")
        batch = tensors(RECORDED / "case5_batch" / "expected.safetensors")
        clips = [recorded["frames"].numpy(), batch["frames_b"].numpy()]
        inputs = processor(clips, told["prompts"])
        assert torch.equal(inputs["attention_mask"], batch["merged_attention_mask"])
        pixels = inputs["pixel_values"][:, :, ::24, ::24]
        assert distance(pixels, batch["pixel_values_strided"]) <= PIXELS
        rows = [expanded(processor, row[row != processor.pad_id][None]) for row in batch["input_ids"]]
        for ours, alone in zip(inputs["input_ids"], rows, strict=True):
            assert ours[-alone.shape[1] :].tolist() == ids_of(alone)
        with torch.inference_mode():
            logits = model(**inputs).logits
        seen = batch["merged_attention_mask"][:, ::64].bool()
        assert distance(logits[:, ::64][seen], batch["logits_every"][seen]) <= LOGITS
        assert distance(logits[:, -1], batch["last_logits"]) <= LOGITS
        answers = model.generate(**inputs, max_new_tokens=24, do_sample=False)
        assert torch.equal(answers[:, inputs["input_ids"].shape[1] :], batch["generated_ids"])
        for row, clip in enumerate(clips):
            single = processor(clip, told["prompts"][row])
            answer = model.generate(**single, max_new_tokens=24, do_sample=False)
            new_ids = answer[0, single["input_ids"].shape[1] :].tolist()
            assert new_ids == told["comparison_with_single_runs"][row]["single_ids"]
            assert new_ids == batch["generated_ids"][row].tolist()


@needs_recordings
@pytest.mark.shared
@pytest.mark.parametrize("run", ["expected", "expected_two_clips", "expected_text_only"])
def test_small_grid_prompts_have_the_recorded_ids(run: str, small_grid: Model) -> None:
    """The prompts are not part of the tests' own data, only their ids are."""
    _, processor = small_grid
    told = facts(RECORDED / "case0_small_grid" / f"{run}.json")
    recorded = tensors(SMALL_GRID / f"{run}.safetensors")
    assert processor.tokenizer.encode(told["prompt"]) == ids_of(recorded["input_ids"])
