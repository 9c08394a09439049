"""PLLaVA as a network, on transformers' LLaVA.

Three parts differ from LLaVA: the vision tower ends at the selected layer (what lies above it is
never run and never loaded), the projector pools, and a clip of `num_frames` frames gives one block
of visual tokens, of which a share may be left. Everything else, generation included, is the library's.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from transformers import AutoModel, CLIPVisionConfig
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.models.clip.modeling_clip import CLIPVisionModel
from transformers.models.llava.modeling_llava import (
    LlavaForConditionalGeneration,
    LlavaModel,
    LlavaPreTrainedModel,
)

from pllava_cli.model.config import PllavaConfig
from pllava_cli.model.norms import fuse_norms
from pllava_cli.model.pooling import PooledProjector
from pllava_cli.model.recorded import StepRecorder
from pllava_cli.model.thinning import thin
from pllava_cli.phrases import counted

FramesSeen = Callable[[int, int], None]
"""Called with (frames seen so far, frames in all) while the vision tower works."""

FRAMES_AT_ONCE = 4
"""Frames the vision tower sees in one pass: bounds its activations, and lets progress be told."""
FRAMES_AT_ONCE_ON_CPU = 2
"""What two frames need the allocator keeps; memory for more it asks of the system anew for each operation,
which took a tenth of the tower's time (CLIP-L, one thread: 1.52 s for 4 frames, 1.72 s all at once)."""


class VisionTower(CLIPVisionModel):  # type: ignore[misc]
    """CLIP's vision model cut off at a layer, without what only the layers above would use."""

    def __init__(self, config: CLIPVisionConfig, depth: int) -> None:
        super().__init__(config)
        del self.encoder.layers[depth:]
        # The pooled class token is not used, so neither is its norm.
        self.post_layernorm = nn.Identity()


class PllavaModel(LlavaModel):  # type: ignore[misc]
    """Vision tower, pooled projector and language model, without the head."""

    config: PllavaConfig
    frames_at_once: int = FRAMES_AT_ONCE
    """Frames the vision tower sees in one pass; training takes more, as it tells no progress in between."""

    def __init__(self, config: PllavaConfig) -> None:
        LlavaPreTrainedModel.__init__(self, config)
        self.vision_tower = VisionTower(config.vision_config, config.vision_depth)
        time_slots, rows, columns = config.pooling_shape
        self.multi_modal_projector = PooledProjector(
            config.vision_config.hidden_size,
            config.text_config.hidden_size,
            config.projector_hidden_act,
            (time_slots, rows, columns),
        )
        self.language_model = AutoModel.from_config(config.text_config)
        fuse_norms(self.language_model)
        self.post_init()

    def see(self, pixels_FCHW: Tensor, on_frames: FramesSeen | None = None) -> Tensor:
        """Patches [F, H*W, width] of `F` frames [F, 3, S, S], class token dropped.

        Frames that are patches already, because they have been seen before, are given back. A frozen tower
        sees while the language model is trained as it sees afterwards: in its own precision, or in that of
        many rows, whatever training has the rest computed in.
        """
        if pixels_FCHW.ndim == 3:
            return pixels_FCHW
        if any(weight.requires_grad for weight in self.vision_tower.parameters()):
            return self._seen(pixels_FCHW, on_frames)
        with torch.no_grad(), torch.autocast(self.vision_tower.device.type, enabled=False):
            return self._seen(pixels_FCHW, on_frames)

    def _seen(self, pixels_FCHW: Tensor, on_frames: FramesSeen | None) -> Tensor:
        dtype, device = self.vision_tower.dtype, self.vision_tower.device
        patches = []
        for start in range(0, len(pixels_FCHW), self.frames_at_once):
            some = pixels_FCHW[start : start + self.frames_at_once].to(device, dtype)
            patches.append(self.vision_tower(some).last_hidden_state[:, 1:])
            if on_frames:
                on_frames(min(start + self.frames_at_once, len(pixels_FCHW)), len(pixels_FCHW))
        return torch.cat(patches)

    def encode_clips(
        self, pixels_FCHW: Tensor, on_frames: FramesSeen | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Visual tokens [B, visual tokens, width] of the B clips whose frames come one after another.

        And how many positions each of them takes [B, visual tokens]; `None` where all take one, because
        none have been merged.

        Raises:
            ValueError: The number of frames is no multiple of the clip length.
        """
        frames = self.config.num_frames
        if len(pixels_FCHW) == 0 or len(pixels_FCHW) % frames:
            raise ValueError(f"{counted(len(pixels_FCHW), 'frame')} given, but a clip has {frames}")
        rows, columns = self.config.patch_grid
        patches = self.see(pixels_FCHW, on_frames)
        pooled_BSD: Tensor = self.multi_modal_projector(
            patches.view(-1, frames, rows, columns, patches.shape[-1])
        )
        if self.config.visual_tokens == self.config.pooled_tokens:
            return pooled_BSD, None
        clips, _, width = pooled_BSD.shape
        grids_BTPD = pooled_BSD.view(clips, self.config.pooling_shape[0], -1, width)
        thinned = [thin(grid_TPD, self.config.visual_tokens) for grid_TPD in grids_BTPD]
        tokens, widths = zip(*thinned, strict=True)
        return torch.stack(tokens), torch.stack(widths)

    def get_image_features(self, pixel_values: Tensor, **kwargs: object) -> BaseModelOutputWithPooling:
        """LLaVA's hook: the visual tokens of every clip, as a list in `pooler_output`.

        Raises:
            ValueError: Tokens have been merged: the library would number those that are left one by one.
        """
        visual, widths = self.encode_clips(pixel_values)
        if widths is not None:
            raise ValueError("merged visual tokens stand at positions that only Captioner gives them")
        return BaseModelOutputWithPooling(pooler_output=list(visual))


class PllavaForConditionalGeneration(LlavaForConditionalGeneration):  # type: ignore[misc]
    """PLLaVA with its language-model head.

    `forward` and `generate` take `pixel_values` [B * num_frames, 3, S, S], `input_ids` with one
    placeholder id per visual token, and `attention_mask` (left padding where rows differ in length).
    """

    config: PllavaConfig
    config_class = PllavaConfig
    recorder: StepRecorder | None = None
    """Records decoding steps; None: each is taken as it comes."""

    def __init__(self, config: PllavaConfig) -> None:
        LlavaPreTrainedModel.__init__(self, config)
        self.model = PllavaModel(config)
        self.lm_head = nn.Linear(config.text_config.hidden_size, config.text_config.vocab_size, bias=False)
        self.post_init()

    @torch.inference_mode()
    def encode_frames(self, pixel_values: Tensor, on_frames: FramesSeen | None = None) -> Tensor:
        """Visual tokens [clips * visual tokens, width] of frames [clips * num_frames, 3, S, S]."""
        return self.model.encode_clips(pixel_values, on_frames)[0].flatten(0, 1)

    def embed(self, input_ids: Tensor, visual_tokens: Tensor | None = None) -> Tensor:
        """Embeddings [B, S, D] of ids [B, S], with `visual_tokens` [n, D] at the placeholders.

        Raises:
            ValueError: The placeholders and the visual tokens differ in number.
        """
        embeddings: Tensor = self.get_input_embeddings()(input_ids)
        if visual_tokens is None:
            return embeddings
        is_visual = input_ids == self.config.image_token_id
        placeholders = int(is_visual.sum())
        if placeholders != len(visual_tokens):
            raise ValueError(f"{placeholders} placeholders in the prompt, {len(visual_tokens)} visual tokens")
        return embeddings.masked_scatter(is_visual.unsqueeze(-1), visual_tokens.to(embeddings))

    def positions(self, input_ids: Tensor, widths: Tensor) -> Tensor:
        """Where ids [B, S] stand, with the `widths` [n] of visual tokens at the placeholders: [B, S].

        Every token is as far from every other as it would be if nothing were merged: from that the language
        model knows what was when and where. Only differences count for it (rotary embeddings, arXiv
        2104.09864), so what comes after S goes on from S as ever, and what is before moves back, below 0.
        """
        is_visual = input_ids == self.config.image_token_id
        taken_BS = torch.ones_like(input_ids).masked_scatter(is_visual, widths.to(input_ids))
        in_all_B1 = taken_BS.sum(1, keepdim=True)
        return taken_BS.cumsum(1) - taken_BS - in_all_B1 + input_ids.shape[1]
