"""Frames as the vision tower wants them: resized twice, cropped, normalised.

Both resizes are Pillow's bicubic on 8-bit pictures, which is what the checkpoints saw at inference:
first to a common shape for all clips of a prompt, then CLIP's own. The arithmetic was read in
magic-research/PLLaVA at 6f49fd2, and pixels are those that it was recorded to make. torch is needed
for the last step alone, so that processes which only make pictures do without it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pllava_cli.errors import CheckpointError, ClipError, UsageError

if TYPE_CHECKING:
    import torch

Frames = NDArray[np.uint8]
"""Frames of one clip, [T, H, W, 3], RGB."""

LONGEST = 640
"""Long side that the first resize aims at, in pixels."""
LARGEST = 2048
"""Largest side that a checkpoint may ask for; the published ones see 336 pixels."""
NARROWEST = 256
"""Long over short side beyond which frames are refused: resizing them would only fill the memory."""


@dataclass(frozen=True)
class FirstResize:
    """Target of the first resize, common to all clips of a prompt."""

    short: int
    """Short side, pixels."""
    ratio: float
    """Long side over short side that is left after cropping."""

    def __call__(self, frame: Image.Image) -> Image.Image:
        """Resize a frame and cut its long side to the common ratio."""
        width, height = frame.size
        long_side = int(self.short * max(width, height) / min(width, height))
        is_portrait = height > width
        size = (self.short, long_side) if is_portrait else (long_side, self.short)
        resized = frame.resize(size, Image.Resampling.BICUBIC)
        target = int(self.short * self.ratio)
        # Kept verbatim: the offset is half of what would centre the crop.
        offset = (long_side - target) // 2 // 2
        if is_portrait:
            return resized.crop((0, offset, self.short, offset + target))
        return resized.crop((offset, 0, offset + target, self.short))


def first_resize(sizes: Sequence[tuple[int, int]], shortest: int) -> FirstResize:
    """Where clips of `sizes` (width, height) meet: the squarest ratio, no side under `shortest`."""
    ratios = [max(size) / min(size) for size in sizes]
    ratio = min(ratios)
    longest = min(LONGEST, max(max(size) for size in sizes))
    short = min(max(min(size) for size in sizes), int(longest / ratio))
    return FirstResize(max(short, shortest), ratio)


@dataclass(frozen=True)
class ClipPreprocessor:
    """CLIP's preprocessing, as `preprocessor_config.json` describes it."""

    size: int
    """Short side of the second resize, pixels."""
    crop: tuple[int, int]
    """Height and width of the centre crop, pixels."""
    mean: tuple[float, ...]
    std: tuple[float, ...]
    rescale: float

    @classmethod
    def from_config(cls, raw: dict[str, Any]) -> "ClipPreprocessor":
        """Read a `preprocessor_config.json`.

        Raises:
            CheckpointError: A field is missing or asks for something CLIP's preprocessing is not.
        """
        try:
            size, crop = raw["size"], raw["crop_size"]
            steps = [
                raw.get(f"do_{step}", True) for step in ("resize", "center_crop", "rescale", "normalize")
            ]
            if raw.get("resample", 3) != Image.Resampling.BICUBIC or not all(steps):
                raise ValueError("it asks for other steps than CLIP's")
            short = _side(size["shortest_edge"] if isinstance(size, dict) else size, LARGEST)
            height, width = (crop["height"], crop["width"]) if isinstance(crop, dict) else (crop, crop)
            return cls(
                short,
                (_side(height, short), _side(width, short)),
                _per_channel(raw["image_mean"], -math.inf),
                _per_channel(raw["image_std"], 0),
                *_per_channel([raw.get("rescale_factor", 1 / 255)], 0, channels=1),
            )
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise CheckpointError(
                f"preprocessor_config.json cannot be used: {error}",
                "the file is damaged or of another kind of model",
            ) from error

    def __call__(self, clips: Sequence[Frames]) -> "torch.Tensor":
        """Pixel values [all frames, 3, S, S] float32 of the clips of one prompt."""
        return self.normalise(self.pictures(clips))

    def pictures(self, clips: Sequence[Frames]) -> Frames:
        """Pictures [all frames, S, S, 3] uint8 of the clips of one prompt: resized and cropped."""
        common = first_resize([(clip.shape[2], clip.shape[1]) for clip in clips], self.size)
        pictures = (common(Image.fromarray(frame)) for clip in clips for frame in clip)
        return np.stack([self._resize_and_crop(picture) for picture in pictures])

    def clip_pictures(self, frames: Any) -> Frames:
        """Pictures [T, S, S, 3] uint8 of one clip's frames, which are checked.

        Raises:
            UsageError, ClipError: As `check_frames`.
        """
        return self.pictures([check_frames(frames)])

    def normalise(self, pictures_FSSC: Frames) -> "torch.Tensor":
        """Pixel values [F, 3, S, S] float32 of pictures [F, S, S, 3]."""
        import torch

        # A table of the 256 levels of each channel gives the same float32 as the arithmetic on pixels.
        levels = (np.arange(256) * self.rescale).astype(np.float32)
        table = [
            (levels - np.float32(mean)) / np.float32(std)
            for mean, std in zip(self.mean, self.std, strict=True)
        ]
        channels = [torch.from_numpy(table[c][pictures_FSSC[..., c]]) for c in range(3)]
        return torch.stack(channels, dim=1)

    def _resize_and_crop(self, picture: Image.Image) -> Frames:
        width, height = picture.size
        short, long_side = min(width, height), max(width, height)
        scaled = int(self.size * long_side / short)
        size = (self.size, scaled) if width <= height else (scaled, self.size)
        pixels = np.asarray(picture.resize(size, Image.Resampling.BICUBIC))
        top, left = (pixels.shape[0] - self.crop[0]) // 2, (pixels.shape[1] - self.crop[1]) // 2
        return pixels[top : top + self.crop[0], left : left + self.crop[1]]


def _side(value: Any, largest: int) -> int:
    if not isinstance(value, int) or not 1 <= value <= largest:
        raise ValueError(f"a side of {value!r:.40} is not from 1 to {largest} pixels")
    return value


def _per_channel(values: Any, above: float, channels: int = 3) -> tuple[float, ...]:
    numbers = tuple(float(value) for value in values)
    if len(numbers) != channels or not all(above < number < math.inf for number in numbers):
        raise ValueError(f"{values!r:.80} cannot scale {channels} colour channel(s)")
    return numbers


def check_frames(frames: Any) -> Frames:
    """The frames of one clip, checked to be uint8 [T, H, W, 3] with at least one frame.

    Raises:
        UsageError: They are something else.
        ClipError: They are too narrow to be looked at.
    """
    array = np.asarray(frames)
    if array.dtype != np.uint8 or array.ndim != 4 or array.shape[-1] != 3 or 0 in array.shape:
        raise UsageError(
            f"frames are {array.dtype} of shape {list(array.shape)}",
            "give uint8 RGB frames of shape [T, H, W, 3], as sample_frames returns them",
        )
    height, width = array.shape[1:3]
    if max(height, width) > NARROWEST * min(height, width):
        raise ClipError(
            f"frames of {width}x{height} pixels are too narrow to be looked at",
            "crop or scale the clip first",
        )
    return array
