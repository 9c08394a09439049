"""What a model takes of a device's memory, told from its shapes before anything is loaded.

The estimate covers what stays in memory while a caption is made: the weights, the key-value cache of
one clip, and the vision tower's activations.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pllava_cli.model.config import PllavaConfig

PRECISION_BYTES = {"fp32": 4, "bf16": 2, "fp16": 2}
"""Precisions and their bytes per number."""
QUANTIZED_BYTES = {"4bit": 0.52, "8bit": 1.01}
"""Bytes per weight once quantised. NF4 with double quantisation: 4 bits, plus an 8-bit scale for 64
weights and a 32-bit one for 256 scales (QLoRA, arXiv 2305.14314, section 3), 0.516; 8-bit: one byte
plus a 32-bit scale per row."""


@dataclass(frozen=True)
class Footprint:
    """How many numbers a loaded model holds, by what can be done to them."""

    quantizable: int
    """Weights of the language model's linear layers."""
    other: int
    """All other weights: vision tower, projector, embeddings, head, norms."""
    working: int
    """Numbers held while one clip is captioned: its key-value cache and the vision tower's activations."""
    products: int = 0
    """Multiplications that encoding one clip takes; 0: not known."""
    layers: int = 1
    """Layers of the language model, over which the quantizable weights and the cache are spread."""
    layer: tuple[int, int, int] = (0, 0, 0)
    """Rows, inputs and outputs of the largest product that encoding a clip takes."""
    seen_by: int = 0
    """Weights of the vision tower, of `other`."""
    is_rounded: bool = False
    """Whether weights that multiply many rows, unless packed, are kept in 8 bits as well (`eight_bits`)."""

    def bytes(self, dtype: str, quantize: str) -> int:
        """Bytes needed on the device at a precision and quantisation."""
        each = PRECISION_BYTES[dtype]
        packed = QUANTIZED_BYTES.get(quantize, each)
        kept = int(self.quantizable * packed + (self.other + self.working) * each)
        if self.is_rounded:
            kept += self.seen_by + (self.quantizable if quantize == "none" else 0)
        if (dtype, quantize) == ("fp32", "none"):
            return kept
        _, inputs, outputs = self.layer  # kept in fewer bits, it may be multiplied in fp32
        return kept + PRECISION_BYTES["fp32"] * inputs * outputs

    def layer_bytes(self, dtype: str, quantize: str) -> int:
        """Bytes of one layer of the language model with its part of what a clip takes."""
        packed = QUANTIZED_BYTES.get(quantize, PRECISION_BYTES[dtype])
        return int((self.quantizable * packed + self.working * PRECISION_BYTES[dtype]) / self.layers) + 1


def weight_bytes(parameters: int, dtype: str, quantize: str) -> int:
    """Bytes of `parameters` weights, as if all could be quantised: an estimate before the files are there."""
    return int(parameters * QUANTIZED_BYTES.get(quantize, PRECISION_BYTES[dtype]))


def footprint(
    config: "PllavaConfig",
    shapes: dict[str, tuple[int, ...]],
    quantizable: set[str],
    *,
    num_frames: int | None = None,
    visual_tokens: int | None = None,
) -> Footprint:
    """The footprint of a network.

    Args:
        config: The network's configuration.
        shapes: Of its parameters, by name.
        quantizable: Those of them that can be quantised.
        num_frames: Of a clip; `None`: the configuration's, as with the other.
        visual_tokens: Of a clip.
    """
    frames = config.num_frames if num_frames is None else num_frames
    tokens = config.visual_tokens if visual_tokens is None else visual_tokens
    sizes = {name: prod(shape) for name, shape in shapes.items()}
    packed = sum(sizes[name] for name in quantizable)
    seen_by = sum(size for name, size in sizes.items() if ".vision_tower." in name)
    products = frames * prod(config.patch_grid) * seen_by
    return Footprint(
        packed,
        sum(sizes.values()) - packed,
        _working_numbers(config, frames, tokens),
        products + packed * tokens,
        config.text_config.num_hidden_layers,
        (tokens, config.text_config.hidden_size, config.text_config.intermediate_size),
        seen_by,
    )


def footprint_of(memory_gb: Mapping[str, float]) -> Footprint:
    """The footprint of a checkpoint that is not on this machine, from what the registry says of it.

    Args:
        memory_gb: 10^9 bytes needed with weights in 16 bits (`bf16`) and quantised to four (`nf4`); all but
            the quantised weights are in 16 bits in both.
    """
    saved = PRECISION_BYTES["bf16"] - QUANTIZED_BYTES["4bit"]
    quantizable = max(0.0, memory_gb["bf16"] - memory_gb["nf4"]) / saved
    other = max(0.0, memory_gb["bf16"] / PRECISION_BYTES["bf16"] - quantizable)
    return Footprint(int(quantizable * 1e9), int(other * 1e9), 0)


def _working_numbers(config: "PllavaConfig", num_frames: int, visual_tokens: int) -> int:
    """Numbers that a network holds while it captions a clip of so many frames and visual tokens."""
    text, vision = config.text_config, config.vision_config
    head = text.head_dim or text.hidden_size // text.num_attention_heads
    kv = 2 * text.num_hidden_layers * text.num_key_value_heads * head
    rows, columns = config.patch_grid
    patches = num_frames * (rows * columns + 1) * vision.hidden_size
    # A prompt and an answer beside the visual tokens: 512 positions is ample for both.
    return int(kv * (visual_tokens + 512) + 4 * patches)
