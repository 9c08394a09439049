"""What a PLLaVA network is made of: LLaVA's configuration plus frames and pooling.

The released folders call themselves "llava" and leave out whatever equalled a library default when
they were written, so they are read here field by field and never through the library's guessing.
"""

import math
from collections.abc import Collection, Iterator
from typing import Any

from huggingface_hub.dataclasses import strict
from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig

from pllava_cli.errors import CheckpointError, PllavaError, UsageError
from pllava_cli.model.pooling import PoolingShape

MOST_FRAMES = 1 << 40
"""Far beyond any memory; more cannot even be counted in bytes."""
LARGEST_SIZES = {
    "hidden_size": 1 << 16,
    "intermediate_size": 1 << 18,
    "num_hidden_layers": 1 << 10,
    "num_attention_heads": 1 << 10,
    "num_key_value_heads": 1 << 10,
    "head_dim": 1 << 12,
    "vocab_size": 1 << 22,
    "max_position_embeddings": 1 << 24,
    "image_size": 1 << 11,
    "patch_size": 1 << 11,
}
"""Several times what any language model or vision tower has: a damaged file must not keep the program
busy with building a network without end."""


_TEXT_KEYS = {
    *("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads"),
    *("head_dim", "vocab_size", "max_position_embeddings", "hidden_act", "rms_norm_eps", "attention_bias"),
    *("mlp_bias", "attention_dropout", "tie_word_embeddings", "partial_rotary_factor"),
    *("rope_theta", "rope_scaling", "rope_parameters", "bos_token_id", "eos_token_id", "pad_token_id"),
}
_VISION_KEYS = {
    *("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_channels"),
    *("image_size", "patch_size", "hidden_act", "layer_norm_eps", "attention_dropout"),
}
"""What makes the network. The library takes any other key too, and does what it says: it gives tuples where
we read names (`return_dict`), or makes a list of a billion labels (`num_labels`)."""


@strict
class PllavaConfig(LlavaConfig):  # type: ignore[misc]
    """Configuration of `PllavaForConditionalGeneration`.

    `pooling_shape` is (T, H, W): how many temporal slots, patch rows and patch columns are left of a
    clip after average pooling; their product is the number of pooled tokens of a clip, and `keep_tokens`
    the share of them that is left as visual tokens. It is a choice of a run, and no file's.
    """

    model_type = "pllava"

    num_frames: int = 1
    pooling_shape: list[int] | tuple[int, ...] = (1, 24, 24)
    keep_tokens: float = 1.0

    @property
    def pooled_tokens(self) -> int:
        """Tokens of one clip after pooling."""
        t, h, w = self.pooling_shape
        return t * h * w

    @property
    def visual_tokens(self) -> int:
        """Visual tokens of one clip: what is left of the pooled ones."""
        return round(self.keep_tokens * self.pooled_tokens)

    @property
    def patch_grid(self) -> tuple[int, int]:
        """Rows and columns of patches the vision tower makes of one frame."""
        side = self.vision_config.image_size // self.vision_config.patch_size
        return side, side

    @property
    def vision_depth(self) -> int:
        """How many of the vision tower's layers are needed for the selected hidden state.

        Hidden state 0 is the embedding, k the output of layer k; -2 is therefore the output of the
        last but one layer, and the last layer is never run.
        """
        layers: int = self.vision_config.num_hidden_layers
        layer: int = self.vision_feature_layer
        return layer if layer >= 0 else layers + 1 + layer


def read_config(
    raw: dict[str, Any],
    num_frames: int | None,
    pooling_shape: PoolingShape | None,
    keep_tokens: float = 1.0,
) -> PllavaConfig:
    """Build a `PllavaConfig` from the `config.json` of any known layout.

    Args:
        raw: The parsed file.
        num_frames: Frames a clip is sampled to; `None` takes the checkpoint's.
        pooling_shape: (T, H, W), or "none" to pool nothing; `None` takes the checkpoint's.
        keep_tokens: The share of the pooled tokens to leave; at least one is left of each place of the frame.

    Raises:
        CheckpointError: A needed field is missing or has a value that no PLLaVA can have.
        UsageError: `num_frames`, `pooling_shape` or `keep_tokens` cannot be.
    """
    _check_options(num_frames, pooling_shape)
    for part in ("text_config", "vision_config"):
        if not isinstance(raw.get(part), dict):
            raise CheckpointError(
                f"config.json has no {part}: this is not a LLaVA or PLLaVA checkpoint",
                "give a folder that holds a PLLaVA checkpoint with --model",
            )
    frames = num_frames if num_frames is not None else raw.get("num_frames")
    shape = pooling_shape if pooling_shape is not None else raw.get("pooling_shape")
    if frames is None or shape is None:
        raise CheckpointError(
            "the checkpoint's config.json does not say how many frames it takes or how it pools them",
            "give both --frames and --pooling-shape, for example --frames 16 --pooling-shape 16,12,12",
        )
    try:
        config = PllavaConfig(
            text_config=_text_config(raw),
            vision_config=CLIPVisionConfig(**_known(raw["vision_config"], _VISION_KEYS)),
            image_token_index=raw.get("image_token_index", raw.get("image_token_id", 32000)),
            projector_hidden_act=raw.get("projector_hidden_act", "gelu"),
            vision_feature_layer=raw.get("vision_feature_layer", -2),
            vision_feature_select_strategy=raw.get("vision_feature_select_strategy", "default"),
            num_frames=frames,
            pooling_shape=(1, 1, 1) if shape == "none" else tuple(shape),
            keep_tokens=float(keep_tokens),
        )
        if shape == "none":
            config.pooling_shape = (config.num_frames, *config.patch_grid)
    except Exception as error:
        raise CheckpointError(
            f"config.json cannot be used: {' '.join(str(error).split()):.500}",
            "the file is damaged or belongs to another kind of model",
        ) from error
    _check(config)
    _check_room(config, CheckpointError if pooling_shape is None else UsageError)
    _check_share(config)
    return config


def _check_options(num_frames: int | None, pooling_shape: PoolingShape | None) -> None:
    if num_frames is not None and not (isinstance(num_frames, int) and num_frames >= 1):
        raise UsageError(f"{num_frames} frames cannot be sampled", "give --frames 1 or more")
    if pooling_shape not in (None, "none") and not _is_shape(pooling_shape):
        raise UsageError(
            f"the pooling shape {list(pooling_shape)} is not three positive numbers",
            "give frames, rows and columns, for example --pooling-shape 16,12,12",
        )


def _is_shape(shape: Any) -> bool:
    return len(shape) == 3 and all(isinstance(n, int) and n > 0 for n in shape)


def _known(section: dict[str, Any], keys: Collection[str]) -> dict[str, Any]:
    return {key: value for key, value in section.items() if key in keys}


def _text_config(raw: dict[str, Any]) -> LlamaConfig:
    section = dict(raw["text_config"])
    if section.get("model_type", "llama") != "llama":
        raise ValueError(f"the language model is a {section['model_type']!r:.40}, not a Llama")
    # The embedding's row count may stand at the top level only.
    if "vocab_size" not in section and "vocab_size" in raw:
        section["vocab_size"] = raw["vocab_size"]
    if section.get("pad_token_id") is None and raw.get("pad_token_id") is not None:
        section["pad_token_id"] = raw["pad_token_id"]
    return LlamaConfig(**_known(section, _TEXT_KEYS))


def _check(config: PllavaConfig) -> None:
    shape = config.pooling_shape
    if not _is_shape(shape):
        raise CheckpointError(
            f"the pooling shape {list(shape)!s:.80} is not three positive numbers",
            "give frames, rows and columns, for example --pooling-shape 16,12,12",
        )
    if not isinstance(config.num_frames, int) or not 1 <= config.num_frames <= MOST_FRAMES:
        raise CheckpointError(
            f"{config.num_frames!s:.20} frames cannot be sampled", "give --frames 1 or more"
        )
    if config.tie_word_embeddings:
        raise CheckpointError(
            "the checkpoint ties its head to its embeddings, which no PLLaVA does",
            "the checkpoint's config.json belongs to another kind of model",
        )
    _check_sizes(config)
    _check_numbers(config)
    if config.vision_feature_select_strategy != "default":
        raise CheckpointError(
            f"the vision feature strategy {config.vision_feature_select_strategy!r} is not supported",
            "PLLaVA checkpoints drop the class token ('default')",
        )
    layer = config.vision_feature_layer
    if not isinstance(layer, int) or not 0 < config.vision_depth <= config.vision_config.num_hidden_layers:
        raise CheckpointError(
            f"vision_feature_layer {layer!s:.40} does not exist in a vision tower of "
            f"{config.vision_config.num_hidden_layers} layers",
            "the checkpoint's config.json is damaged",
        )


def _check_share(config: PllavaConfig) -> None:
    if not 0 < config.keep_tokens <= 1:  # which NaN is not either
        raise UsageError(
            f"a share of {config.keep_tokens:g} of the visual tokens cannot be left",
            "give --keep-tokens above 0 and at most 1",
        )
    slots, rows, columns = config.pooling_shape
    if config.visual_tokens < rows * columns:
        raise UsageError(
            f"{config.keep_tokens:g} of {config.pooled_tokens} visual tokens is {config.visual_tokens}, fewer"
            f" than the {rows}x{columns} of one frame: only what is alike over time is merged",
            f"give --keep-tokens {math.ceil(1e4 / slots) / 1e4:g} or more, or a smaller --pooling-shape",
        )


def _check_room(config: PllavaConfig, blamed: type[PllavaError]) -> None:
    shape = config.pooling_shape
    positions = config.text_config.max_position_embeddings
    if config.pooled_tokens >= positions:  # merged tokens keep the positions of all
        raise blamed(
            f"a pooling shape of {'x'.join(map(str, shape)):.80} makes {config.pooled_tokens!s:.40} visual"
            " tokens; "
            f"the language model has {positions} positions",
            "choose a smaller --pooling-shape",
        )


def _check_sizes(config: PllavaConfig) -> None:
    for part, section in (("text_config", config.text_config), ("vision_config", config.vision_config)):
        for name, largest in LARGEST_SIZES.items():
            size = getattr(section, name, None)
            if size is not None and not (isinstance(size, int) and 1 <= size <= largest):
                raise CheckpointError(
                    f"{name} in {part} is {size!r:.40}, which is not from 1 to {largest}",
                    "the checkpoint's config.json is damaged",
                )


def _check_numbers(config: PllavaConfig) -> None:
    """Refuse what would make every number of the network none (NaN), which reads like an empty answer."""
    text, vision = config.text_config, config.vision_config
    for name, value in (
        ("rms_norm_eps", text.rms_norm_eps),
        ("layer_norm_eps", vision.layer_norm_eps),
        *_rope_numbers(text.rope_parameters or {}),
    ):
        if not 0 < value < math.inf:
            raise CheckpointError(
                f"config.json gives {value!r:.40} for {name}, which is not above 0 and finite",
                "the checkpoint's config.json is damaged",
            )


def _rope_numbers(rope: dict[str, Any]) -> Iterator[tuple[str, float]]:
    """What the positions' angles are divided by."""
    for name in ("rope_theta", "factor"):
        if isinstance(value := rope.get(name), int | float):
            yield name, value
