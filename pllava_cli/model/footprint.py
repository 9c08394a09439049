"""What a model takes of a device's memory, told from its shapes before anything is loaded.

The estimate covers what stays in memory while a caption is made: the weights, the key-value cache of
one clip, and the vision tower's activations.
"""

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pllava_cli.model.config import PllavaConfig

DTYPES = {"fp32": 4, "bf16": 2, "fp16": 2}
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

    def bytes(self, dtype: str, quantize: str) -> int:
        """Bytes needed on the device at a precision and quantisation."""
        each = DTYPES[dtype]
        packed = QUANTIZED_BYTES.get(quantize, each)
        kept = int(self.quantizable * packed + (self.other + self.working) * each)
        if (dtype, quantize) == ("fp32", "none"):
            return kept
        _, inputs, outputs = self.layer  # kept in fewer bits, it may be multiplied in fp32
        return kept + DTYPES["fp32"] * inputs * outputs

    def layer_bytes(self, dtype: str, quantize: str) -> int:
        """Bytes of one layer of the language model with its part of what a clip takes."""
        packed = QUANTIZED_BYTES.get(quantize, DTYPES[dtype])
        return int((self.quantizable * packed + self.working * DTYPES[dtype]) / self.layers) + 1


def weight_bytes(parameters: int, dtype: str, quantize: str) -> int:
    """Bytes of `parameters` weights, as if all could be quantised: an estimate before the files are there."""
    return int(parameters * QUANTIZED_BYTES.get(quantize, DTYPES[dtype]))


def footprint(config: "PllavaConfig", shapes: dict[str, tuple[int, ...]], quantizable: set[str]) -> Footprint:
    """The footprint of a network with parameters `shapes`, of which `quantizable` can be quantised."""
    sizes = {name: prod(shape) for name, shape in shapes.items()}
    packed = sum(sizes[name] for name in quantizable)
    patches = config.num_frames * prod(config.patch_grid)
    products = patches * sum(size for name, size in sizes.items() if ".vision_tower." in name)
    return Footprint(
        packed,
        sum(sizes.values()) - packed,
        working_numbers(config, config.num_frames, config.visual_tokens),
        products + packed * config.visual_tokens,
        config.text_config.num_hidden_layers,
        (config.visual_tokens, config.text_config.hidden_size, config.text_config.intermediate_size),
    )


def working_numbers(config: "PllavaConfig", num_frames: int, visual_tokens: int) -> int:
    """Numbers that a network holds while it captions a clip of so many frames and visual tokens."""
    text, vision = config.text_config, config.vision_config
    head = text.head_dim or text.hidden_size // text.num_attention_heads
    kv = 2 * text.num_hidden_layers * text.num_key_value_heads * head
    rows, columns = config.patch_grid
    patches = num_frames * (rows * columns + 1) * vision.hidden_size
    # A prompt and an answer beside the visual tokens: 512 positions is ample for both.
    return int(kv * (visual_tokens + 512) + 4 * patches)
