"""Pixels against the recorded ones, exactly; and everything that is no frame or no such preprocessing."""

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pllava_cli import sample_frames
from pllava_cli.errors import CheckpointError, ClipError, UsageError
from pllava_cli.model.preprocessing import ClipPreprocessor, check_frames, first_resize
from tests.parity import (
    CLIPS,
    DATA,
    PIXELS,
    RECORDED,
    distance,
    facts,
    needs_clips,
    sha256,
    synthetic_frame,
    tensors,
)

SYNTHETIC = facts(DATA / "preprocessing" / "synthetic.json")
GEOMETRY = facts(DATA / "preprocessing" / "geometry.json")
CONFIG = {
    "size": {"shortest_edge": 336},
    "crop_size": {"height": 336, "width": 336},
    "resample": 3,
    "rescale_factor": 1 / 255,
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
}


@pytest.fixture(scope="module")
def preprocess() -> ClipPreprocessor:
    return ClipPreprocessor.from_config(CONFIG)


@pytest.fixture(scope="module")
def recorded() -> dict[str, torch.Tensor]:
    return tensors(DATA / "preprocessing" / "synthetic.safetensors")


def size_of(picture: Image.Image) -> list[int]:
    """[height, width]."""
    return [picture.height, picture.width]


@pytest.mark.parametrize("told", SYNTHETIC["frames"], ids=lambda told: told["key"])
def test_synthetic_frame(
    told: dict[str, Any], preprocess: ClipPreprocessor, recorded: dict[str, torch.Tensor]
) -> None:
    frame = synthetic_frame(told["width"], told["height"], told["kind"])
    assert sha256(frame) == told["frame_sha256"]
    resized = first_resize([(told["width"], told["height"])], 336)(Image.fromarray(frame))
    assert size_of(resized) == told["intermediate_hw"]
    assert sha256(np.asarray(resized)) == told["intermediate_sha256"]
    (pixels,) = preprocess([frame[None]])
    assert list(pixels.shape) == told["out_shape"]
    assert distance(pixels[:, ::16, ::16], recorded[f"{told['key']}.strided"]) <= PIXELS
    corners = torch.stack([pixels[:, :12, :12], pixels[:, -12:, -12:]])
    assert distance(corners, recorded[f"{told['key']}.patches"]) <= PIXELS
    assert pixels.mean((1, 2)).tolist() == pytest.approx(told["mean"], abs=2e-6)
    assert pixels.std((1, 2), correction=0).tolist() == pytest.approx(told["std"], abs=2e-6)
    assert [pixels.min().item(), pixels.max().item()] == pytest.approx([told["min"], told["max"]], abs=1e-6)


@pytest.mark.parametrize("told", SYNTHETIC["multi"], ids=lambda told: told["key"])
def test_clips_of_one_prompt_meet_in_a_common_shape(
    told: dict[str, Any], preprocess: ClipPreprocessor, recorded: dict[str, torch.Tensor]
) -> None:
    sizes = [tuple(size) for size in told["videos"]]
    common = first_resize(sizes, 336)
    frames = [synthetic_frame(*size, kind="a") for size in sizes]
    assert [size_of(common(Image.fromarray(frame))) for frame in frames] == told["intermediate_hw"]
    pixels = preprocess([frame[None] for frame in frames])
    assert list(pixels.shape) == told["out_shape"]
    assert distance(pixels[:, :, ::24, ::24], recorded[f"{told['key']}.strided"]) <= PIXELS


@pytest.mark.parametrize("told", GEOMETRY, ids=lambda told: f"{told['width']}x{told['height']}")
def test_geometry(
    told: dict[str, Any], preprocess: ClipPreprocessor, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, int]] = []
    resize = Image.Image.resize

    def noting(picture: Image.Image, size: tuple[int, int], *args: Any, **kwargs: Any) -> Image.Image:
        asked.append(size)
        return resize(picture, size, *args, **kwargs)

    monkeypatch.setattr(Image.Image, "resize", noting)
    frame = np.zeros((told["height"], told["width"], 3), np.uint8)
    assert preprocess([frame[None]]).shape == (1, 3, 336, 336)
    first, second = asked
    assert [second[1], second[0]] == told["clip_resize_hw"]
    cut = first_resize([(told["width"], told["height"])], 336)(Image.fromarray(frame))
    assert size_of(cut) == told["intermediate_hw"]
    assert 0 <= first[0] - cut.width <= 1
    assert 0 <= first[1] - cut.height <= 1


def test_each_frame_of_a_clip_is_treated_alone(preprocess: ClipPreprocessor) -> None:
    frames = np.stack([synthetic_frame(80, 60, kind) for kind in "aba"])
    pixels = preprocess([frames])
    assert torch.equal(pixels[0], pixels[2])
    assert not torch.equal(pixels[0], pixels[1])
    assert torch.equal(pixels[1], preprocess([frames[1:2]])[0])


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (3, 700)])
def test_extreme_shapes_still_become_squares(size: tuple[int, int], preprocess: ClipPreprocessor) -> None:
    pixels = preprocess([synthetic_frame(*size, kind="b")[None]])
    assert pixels.shape == (1, 3, 336, 336)
    assert torch.isfinite(pixels).all()


def test_frames_narrower_than_any_memory_are_refused() -> None:
    with pytest.raises(ClipError, match="2x16384 pixels are too narrow"):
        check_frames(np.zeros((1, 16384, 2, 3), np.uint8))


@needs_clips
@pytest.mark.shared
@pytest.mark.parametrize("name", ["1917.mp4", "cooking.mp4", "jesse_dance.mp4", "yoga.mp4"])
def test_example_clip_from_file_to_pixels(name: str, preprocess: ClipPreprocessor) -> None:
    told = facts(RECORDED / "preprocessing" / "clips.json")[name]
    frames, _, report = sample_frames(CLIPS / name, told["num_segments"])
    assert report.indices == told["eval_indices"]
    assert frames.shape == (16, told["height"], told["width"], 3)
    assert [sha256(frame)[:16] for frame in frames] == told["frame_sha256"]
    pixels = preprocess([frames])
    kept = tensors(RECORDED / "preprocessing" / "clips.safetensors")[f"{name}.strided"]
    assert distance(pixels[:, :, ::24, ::24], kept) <= PIXELS
    assert distance(pixels.mean((2, 3)), torch.tensor(told["pixel_mean"])) <= 1.5e-5
    assert distance(pixels.std((2, 3), correction=0), torch.tensor(told["pixel_std"])) <= 1.5e-5


@pytest.mark.parametrize(
    "frames",
    [
        np.zeros((2, 4, 4, 3), np.float32),
        np.zeros((2, 4, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.uint8),
        np.zeros((0, 4, 4, 3), np.uint8),
        np.zeros((2, 0, 4, 3), np.uint8),
        "clip.mp4",
        7,
    ],
    ids=["float", "four channels", "one picture", "no frames", "no rows", "a name", "a number"],
)
def test_what_is_not_frames_is_refused(frames: Any) -> None:
    with pytest.raises(UsageError, match=r"frames are .* of shape"):
        check_frames(frames)


def test_frames_may_be_a_tensor() -> None:
    frames = torch.arange(2 * 4 * 5 * 3, dtype=torch.uint8).view(2, 4, 5, 3)
    assert np.array_equal(check_frames(frames), frames.numpy())


def without(key: str) -> dict[str, Any]:
    return {k: v for k, v in CONFIG.items() if k != key}


@pytest.mark.parametrize(
    "raw",
    [
        without("size"),
        without("crop_size"),
        without("image_mean"),
        without("image_std"),
        CONFIG | {"size": {"height": 336, "width": 336}},
        CONFIG | {"size": "large"},
        CONFIG | {"size": {"shortest_edge": 0}},
        CONFIG | {"size": {"shortest_edge": 10**9}},
        CONFIG | {"size": {"shortest_edge": None}},
        CONFIG | {"crop_size": {"height": -1, "width": 336}},
        CONFIG | {"crop_size": {"height": 400, "width": 400}},
        CONFIG | {"crop_size": {"height": 1.5, "width": 336}},
        CONFIG | {"image_mean": 0.5},
        CONFIG | {"image_mean": [0.5, 0.5]},
        CONFIG | {"image_mean": ["a", "b", "c"]},
        CONFIG | {"image_std": [0.0, 1.0, 1.0]},
        CONFIG | {"image_std": [float("nan"), 1.0, 1.0]},
        CONFIG | {"rescale_factor": "1/255"},
        CONFIG | {"rescale_factor": None},
        CONFIG | {"rescale_factor": 10**400},
        CONFIG | {"image_std": [10**400] * 3},
        CONFIG | {"size": [10**400] * 3},
        CONFIG | {"resample": 2},
        CONFIG | {"do_center_crop": False},
        CONFIG | {"do_normalize": False},
    ],
    ids=lambda raw: " ".join(f"{k}={raw.get(k)}"[:50] for k in CONFIG | raw if raw.get(k) != CONFIG.get(k)),
)
def test_preprocessing_that_is_not_clips_is_refused(raw: dict[str, Any]) -> None:
    with pytest.raises(CheckpointError, match=r"preprocessor_config\.json") as caught:
        ClipPreprocessor.from_config(raw)
    assert "\n" not in caught.value.message + caught.value.hint
    assert caught.value.hint


def test_older_form_of_the_sizes_means_the_same(preprocess: ClipPreprocessor) -> None:
    assert ClipPreprocessor.from_config(CONFIG | {"size": 336, "crop_size": 336}) == preprocess
