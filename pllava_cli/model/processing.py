"""Frames and a prompt become the tensors the model takes.

The placeholder of each clip is expanded to one id per visual token here, so that lengths are known
before the model runs and a mismatch is an error, not a wrong answer.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from pllava_cli.errors import CheckpointError, UsageError
from pllava_cli.model.config import PllavaConfig
from pllava_cli.model.jsonfile import read_json
from pllava_cli.model.pooling import fill_slots
from pllava_cli.model.preprocessing import ClipPreprocessor, Frames, check_frames
from pllava_cli.model.tokenizer import Tokenizer
from pllava_cli.phrases import counted


class Processor:
    """Prepares the inputs of `PllavaForConditionalGeneration`.

    Args:
        folder: The checkpoint's folder: tokenizer.json and preprocessor_config.json are read.
        config: The model's configuration; its placeholder id is set to the tokenizer's, which is
            what the prompt will hold (in some released files the two differ).
        pad_id: Id that fills the left of shorter rows.
        placeholder: What stands for a clip in a prompt.

    Raises:
        CheckpointError: A file is missing or damaged, or belongs to another network.
    """

    def __init__(self, folder: Path, config: PllavaConfig, pad_id: int, placeholder: str) -> None:
        self.placeholder = placeholder
        self.tokenizer = Tokenizer(folder, placeholder)
        self.preprocess = ClipPreprocessor.from_config(read_json(folder / "preprocessor_config.json"))
        _check_fits(config, self.tokenizer, self.preprocess, placeholder)
        self.num_frames = config.num_frames
        self.visual_tokens, self.pooled_tokens = config.visual_tokens, config.pooled_tokens
        self.pad_id = pad_id
        self.warnings: tuple[str, ...] = ()
        if config.image_token_id != self.tokenizer.placeholder_id:
            self.warnings = (
                f"config.json gives {placeholder} the id {config.image_token_id}, the tokenizer "
                f"{self.tokenizer.placeholder_id}; the tokenizer's is used",
            )
            config.image_token_index = self.tokenizer.placeholder_id

    def __call__(
        self, frames: ArrayLike | Sequence[ArrayLike] | None, prompt: str | Sequence[str]
    ) -> dict[str, Tensor]:
        """Tensors for one prompt, or for several as a left-padded batch.

        Args:
            frames: One clip's frames uint8 [T, H, W, 3], or a list of clips, the k-th for the k-th
                placeholder over all prompts; `None` for text alone. A clip with fewer frames than
                the model takes has its own repeated; one with more is an error.
            prompt: The rendered prompt, or one per row.

        Returns:
            `input_ids` and `attention_mask` [B, S] and, with clips, `pixel_values`
            [clips * num_frames, 3, size, size].

        Raises:
            UsageError: Clips and placeholders differ in number, or the frames are not frames.
        """
        prompts = [prompt] if isinstance(prompt, str) else list(prompt)
        clips = self._clips(frames)
        rows = [self.expand(self.tokenizer.encode(text)) for text in prompts]
        wanted = [text.count(self.placeholder) for text in prompts]
        if sum(wanted) != len(clips):
            raise UsageError(
                f"the prompt has {sum(wanted)} {self.placeholder} for {counted(len(clips), 'clip')}",
                "give one for each clip",
            )
        inputs = self._pad(rows)
        if clips:
            inputs["pixel_values"] = torch.cat([self.preprocess(group) for group in _groups(clips, wanted)])
        return inputs

    def expand(self, ids: list[int]) -> list[int]:
        """Ids with every placeholder repeated once per visual token."""
        placeholder = self.tokenizer.placeholder_id
        return [i for token in ids for i in ([token] * (self.visual_tokens if token == placeholder else 1))]

    def pixel_values(self, frames: ArrayLike) -> Tensor:
        """Pixel values [num_frames, 3, size, size] of one clip alone."""
        return self.preprocess(self._clips(frames))

    def pictures(self, frames: ArrayLike) -> Frames:
        """Pictures uint8 [num_frames, size, size, 3] of one clip alone: what `pixel_values` normalises."""
        return self.preprocess.pictures(self._clips(frames))

    def check_pictures(self, pictures: Frames | None, clip: Path) -> None:
        """Refuse pictures that `pictures` cannot have made.

        Raises:
            UsageError: They are of another type or shape.
        """
        wanted = (self.num_frames, *self.preprocess.crop, 3)
        if pictures is None or pictures.dtype != np.uint8 or pictures.shape != wanted:
            found = "missing" if pictures is None else f"{pictures.dtype} of shape {list(pictures.shape)}"
            raise UsageError(
                f"{clip}: pictures are {found}",
                f"give uint8 of shape {list(wanted)}, as Captioner.decode makes them",
            )

    def _clips(self, frames: Any) -> list[Frames]:
        if frames is None:
            return []
        clips = frames if isinstance(frames, (list, tuple)) else [frames]
        return [self._fill(check_frames(clip)) for clip in clips]

    def _fill(self, clip: Frames) -> Frames:
        if len(clip) > self.num_frames:
            raise UsageError(
                f"{counted(len(clip), 'frame')} given, but the model takes {self.num_frames}",
                "sample as many frames as the model takes, or set num_frames when loading it",
            )
        return clip[fill_slots(len(clip), self.num_frames)]

    def _pad(self, rows: list[list[int]]) -> dict[str, Tensor]:
        length = max(len(row) for row in rows)
        ids = [[self.pad_id] * (length - len(row)) + row for row in rows]
        mask = [[0] * (length - len(row)) + [1] * len(row) for row in rows]
        return {"input_ids": torch.tensor(ids), "attention_mask": torch.tensor(mask)}


def _check_fits(
    config: PllavaConfig, tokenizer: Tokenizer, preprocess: ClipPreprocessor, placeholder: str
) -> None:
    rows, side = config.text_config.vocab_size, config.vision_config.image_size
    ids = tokenizer.encode(f"a {placeholder} b")
    if max(tokenizer.size - 1, *ids) >= rows:
        raise CheckpointError(
            f"the tokenizer has {tokenizer.size} tokens, the clip's is number {tokenizer.placeholder_id}, "
            f"but the model has {rows} embeddings",
            "tokenizer.json belongs to another checkpoint",
        )
    if (count := ids.count(tokenizer.placeholder_id)) != 1:
        raise CheckpointError(
            f"the tokenizer makes {count} tokens of one {placeholder} in a prompt",
            "tokenizer.json is damaged or belongs to another checkpoint",
        )
    if preprocess.crop != (side, side):
        height, width = preprocess.crop
        raise CheckpointError(
            f"preprocessor_config.json makes pictures of {width}x{height} pixels, "
            f"the vision tower takes {side}x{side}",
            "preprocessor_config.json or config.json belongs to another checkpoint",
        )


def _groups(clips: list[Frames], counts: list[int]) -> list[list[Frames]]:
    """The clips of each prompt: the clips of one prompt are resized to a common shape."""
    rest = iter(clips)
    return [[next(rest) for _ in range(count)] for count in counts if count]
