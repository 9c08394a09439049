"""The paper's idea: project the patches of all frames, then average them over time and space.

Averaging is linear, so it commutes with the projector's second linear layer (an affine map whose
weights in every window sum to one keeps its bias). Pooling first lets that layer see a quarter of
the tokens at 16x24x24 -> 16x12x12. Source: PLLaVA, arXiv 2404.16994, section 3.3.
"""

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional
from transformers.activations import ACT2FN

Shape = tuple[int, int, int]
"""Temporal slots, rows, columns."""

PoolingShape = Shape | Literal["none"]
"""What a user asks for; "none" leaves every patch of every frame, the paper's n-frame baseline."""


class PooledProjector(nn.Module):
    """Two linear layers with average pooling in between.

    Args:
        vision_width: Width of the vision tower's patches.
        text_width: Width of the language model's embeddings.
        activation: Name of the activation between the layers; "gelu" is the exact, erf-based one.
        pooling_shape: (T, H, W) that is left of each clip. Any shape works: where it does not divide
            the input, the windows are adaptive, from floor(i*n/m) to ceil((i+1)*n/m).
    """

    def __init__(self, vision_width: int, text_width: int, activation: str, pooling_shape: Shape) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(vision_width, text_width)
        self.act = ACT2FN[activation]
        self.linear_2 = nn.Linear(text_width, text_width)
        self.pooling_shape = pooling_shape

    def forward(self, patches_BTHWC: Tensor) -> Tensor:
        """Turn patches [B, T, H, W, vision width] into visual tokens [B, t*h*w, text width].

        Tokens come in temporal order, then by rows, then by columns.
        """
        hidden_BTHWD = self.act(self.linear_1(patches_BTHWC))
        tokens_BSD: Tensor = self.linear_2(pool(hidden_BTHWD, self.pooling_shape).flatten(1, 3))
        return tokens_BSD


def pool(grid_BTHWD: Tensor, shape: Shape) -> Tensor:
    """Average [B, T, H, W, D] down (or repeat it up) to [B, t, h, w, D] with `shape` (t, h, w)."""
    if grid_BTHWD.shape[1:4] == shape:
        return grid_BTHWD
    channels_first = grid_BTHWD.movedim(-1, 1)
    pooled: Tensor = functional.adaptive_avg_pool3d(channels_first, shape)
    return pooled.movedim(1, -1)


def fill_slots(count: int, slots: int) -> list[int]:
    """Which of `count` frames stands in each of `slots` temporal slots, when there are too few.

    Kept verbatim: the reference repeats every frame slots // count + 1 times, in order, and cuts the
    list at `slots`, so the last frames of a short list may be lost (5 frames for 16 slots: 0000 1111
    2222 3333).
    """
    if count >= slots:
        return list(range(slots))
    repeats = slots // count + 1
    return [index for index in range(count) for _ in range(repeats)][:slots]
