"""Frames and a prompt become tensors: lengths, padding, and what does not fit together."""

from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import random_checkpoint
from pllava_cli.engine import load_model
from pllava_cli.errors import CheckpointError, UsageError
from pllava_cli.model.modeling import PllavaForConditionalGeneration
from pllava_cli.model.processing import Processor
from tests.checkpoints import copied, edit_json

Model = tuple[PllavaForConditionalGeneration, Processor]


def clip(frames: int, seed: int = 0, height: int = 20, width: int = 30) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (frames, height, width, 3), np.uint8)


def test_placeholder_becomes_one_id_per_visual_token(tiny: Model) -> None:
    model, processor = tiny
    inputs = processor(clip(4), "before <image> after")
    placeholder = model.config.image_token_id
    assert (inputs["input_ids"] == placeholder).sum() == model.config.visual_tokens == 16
    (positions,) = torch.nonzero(inputs["input_ids"][0] == placeholder, as_tuple=True)
    assert positions.tolist() == list(range(int(positions[0]), int(positions[0]) + 16))
    assert inputs["attention_mask"].tolist() == [[1] * inputs["input_ids"].shape[1]]
    assert inputs["pixel_values"].shape == (4, 3, 28, 28)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_short_clip_has_its_frames_repeated(count: int, tiny: Model) -> None:
    _, processor = tiny
    pixels = processor.pixel_values(clip(count))
    repeats = 4 // count + 1
    slots = [i for i in range(count) for _ in range(repeats)][:4]
    assert torch.equal(pixels, processor.pixel_values(clip(count)[slots]))


def test_text_alone_has_no_pixels(tiny: Model) -> None:
    _, processor = tiny
    assert set(processor(None, "hello")) == {"input_ids", "attention_mask"}


def test_rows_are_padded_on_the_left(tiny: Model) -> None:
    _, processor = tiny
    inputs = processor(None, ["long enough", "x"])
    short = processor(None, "x")["input_ids"][0].tolist()
    assert inputs["input_ids"][1].tolist()[-len(short) :] == short
    missing = inputs["input_ids"].shape[1] - len(short)
    assert inputs["input_ids"][1, :missing].tolist() == [processor.pad_id] * missing
    assert inputs["attention_mask"][1].tolist() == [0] * missing + [1] * len(short)
    assert inputs["attention_mask"][0].all()


@torch.inference_mode()
def test_padded_batch_equals_its_single_runs(tiny: Model) -> None:
    model, processor = tiny
    clips, prompts = (
        [clip(4, 1), clip(4, 2, 40, 24)],
        ["<image> what?", "a rather longer one <image> where is it?"],
    )
    batch = model(**processor(clips, prompts)).logits[:, -1]
    for row in range(2):
        single = model(**processor(clips[row], prompts[row])).logits[0, -1]
        assert torch.allclose(batch[row], single, atol=1e-4)
    assert not torch.allclose(batch[0], batch[1], atol=0.1)


def test_clips_go_to_their_own_prompts(tiny: Model) -> None:
    _, processor = tiny
    wide, tall = clip(4, 1, 20, 30), clip(4, 2, 30, 20)
    apart = processor([wide, tall], ["<image>", "<image>"])["pixel_values"]
    assert torch.equal(apart[:4], processor.pixel_values(wide))
    assert torch.equal(apart[4:], processor.pixel_values(tall))


@pytest.mark.parametrize(
    ("frames", "prompt", "message"),
    [
        ([clip(4), clip(4)], "<image>", "has 1 <image> for 2 clips"),
        (clip(4), "no clip here", "has 0 <image> for 1 clip"),
        (None, "<image>", "has 1 <image> for 0 clips"),
        ([clip(4)], ["<image>", "<image>"], "has 2 <image> for 1 clip"),
        (clip(5), "<image>", "5 frames given, but the model takes 4"),
        (clip(4).astype(np.float32), "<image>", "frames are float32"),
    ],
    ids=["too many clips", "no place", "no clip", "one of two", "too many frames", "floats"],
)
def test_what_does_not_fit_together(frames: object, prompt: str, message: str, tiny: Model) -> None:
    _, processor = tiny
    with pytest.raises(UsageError, match=message) as caught:
        processor(frames, prompt)
    assert caught.value.hint


def test_tokenizer_decides_the_placeholders_id(plain: Path, tmp_path: Path) -> None:
    folder = edit_json(copied(plain, tmp_path / "c") / "config.json", image_token_index=399)
    model, processor = load_model(folder, dtype="fp32", quantize="none", device="cpu")
    assert model.config.image_token_id == processor.tokenizer.placeholder_id == 400
    assert "399" in processor.warnings[0]
    assert "400" in processor.warnings[0]
    inputs = processor(clip(4), "<image> what?")
    with torch.inference_mode():
        assert model(**inputs).logits.shape[1] == inputs["input_ids"].shape[1]


def test_pictures_of_another_size_than_the_vision_towers(plain: Path, tmp_path: Path) -> None:
    folder = copied(plain, tmp_path / "c")
    edit_json(
        folder / "preprocessor_config.json", size={"shortest_edge": 56}, crop_size={"height": 42, "width": 42}
    )
    with pytest.raises(CheckpointError, match=r"42x42 pixels.* 28x28") as caught:
        load_model(folder, dtype="fp32", quantize="none", device="cpu")
    assert caught.value.hint


def test_tokenizer_with_more_tokens_than_the_model_has_embeddings(plain: Path, tmp_path: Path) -> None:
    folder = copied(plain, tmp_path / "c")
    random_checkpoint.tokenizer(700).save(str(folder / "tokenizer.json"))
    with pytest.raises(CheckpointError, match="number 700, but the model has 448 embeddings") as caught:
        load_model(folder, dtype="fp32", quantize="none", device="cpu")
    assert caught.value.hint
