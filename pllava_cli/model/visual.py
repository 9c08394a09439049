"""What the language model is given of a clip: its visual tokens, made apart from all that follows.

A clip is seen alone, whatever is remembered beside it: then its tokens are the same to the bit whichever
clips share its batch, and those that were made before can stand in their place.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from pllava_cli.model.modeling import FramesSeen, PllavaForConditionalGeneration
from pllava_cli.model.preprocessing import ClipPreprocessor, Frames


@dataclass(frozen=True)
class VisualTokens:
    """One clip's."""

    tokens_SD: Tensor
    """As wide as the language model's embeddings."""
    widths_S: Tensor | None = None
    """How many positions each takes; None: one, as none have been merged."""

    def to(self, device: torch.device) -> "VisualTokens":
        """The same on a device."""
        widths_S = self.widths_S
        return VisualTokens(self.tokens_SD.to(device), None if widths_S is None else widths_S.to(device))


@torch.inference_mode()
def look(
    model: PllavaForConditionalGeneration,
    preprocess: ClipPreprocessor,
    pictures: Frames,
    on_frames: FramesSeen | None = None,
) -> VisualTokens:
    """Make the visual tokens of one clip: vision tower, projector, and what is merged.

    Args:
        model: The model.
        preprocess: Its `normalise` makes the pixels.
        pictures: Uint8 [num_frames, S, S, 3].
        on_frames: Told the frames seen, and how many there are.
    """
    tokens_BSD, widths_BS = model.model.encode_clips(preprocess.normalise(pictures), on_frames)
    return VisualTokens(tokens_BSD[0], None if widths_BS is None else widths_BS[0])
