"""How many clips fit beside each other into the memory that is left once the model is loaded.

The key-value cache decides: it holds every position of every clip for the whole time. What comes
and goes beside it is counted generously, as if all of it were held at once, because a batch that
fails costs more than one that is a clip smaller.
"""

from dataclasses import dataclass

import torch

from pllava_cli.model import device as devices
from pllava_cli.model.batching import clips_per_pass, head_width
from pllava_cli.model.config import PllavaConfig

QUESTION_ROOM = 256
"""Positions kept for a question beside the answer's; a longer one makes the cache grow."""
MOST_CLIPS = {"cuda": 64, "cpu": 16}
"""Most clips at once, by kind of device: more would put off the first answers, and an interruption
would cost more. On a CPU that is where the tokens a second level off: a language model of six layers of
width 128 on one thread made 205 alone, 600 with 8 clips, 870 with 16 and with 32. The other is a guess
that only small models reach: at 7B the memory ends before it."""
CPU_SHARE = 0.5
"""Share of the free main memory that may be planned for. A program that takes too much of it is killed,
not told; and decoders and the files' cache live there too."""


@dataclass(frozen=True)
class Capacity:
    """What clips take of the memory.

    Args:
        config: The network's configuration.
        prefix_length: Positions up to the clip's last visual token.
        bytes_each: Of one number.
    """

    config: PllavaConfig
    prefix_length: int
    bytes_each: int

    def positions(self, max_new_tokens: int) -> int:
        """Positions of one clip: system text, clip, question and answer, at most what the model has."""
        most: int = self.config.text_config.max_position_embeddings
        return min(self.prefix_length + QUESTION_ROOM + max_new_tokens, most)

    def kv_bytes(self, max_new_tokens: int) -> int:
        """Bytes of one clip's key-value cache.

        A key and a value for each position, layer and key-value head: 2 * 32 * 32 * 128 * 2 bytes =
        512 KiB a position for Vicuna-7B in bf16 (arXiv 2309.06180, section 3, counts likewise).
        """
        text = self.config.text_config
        position: int = 2 * text.num_hidden_layers * text.num_key_value_heads * head_width(text)
        return position * self.positions(max_new_tokens) * self.bytes_each

    def step_bytes(self, max_new_tokens: int) -> int:
        """Bytes that one clip takes for the length of a step, beside the cache.

        One layer's keys and values repeated to all heads, which attention under a mask may do; the
        question's hidden states and those of the MLP; logits, as float32 and sorted for top-p.
        """
        text = self.config.text_config
        attention: int = 2 * self.positions(max_new_tokens) * text.num_attention_heads * head_width(text)
        question = QUESTION_ROOM * self._hidden_numbers()
        vocabulary: int = text.vocab_size
        return (attention + question + vocabulary) * self.bytes_each + vocabulary * (3 * 4 + 8)

    def pass_bytes(self) -> int:
        """Bytes that encoding takes at once, however many clips there are (`clips_per_pass`)."""
        config, text, vision = self.config, self.config.text_config, self.config.vision_config
        clips = clips_per_pass(self.prefix_length)
        rows, columns = config.patch_grid
        frames: int = config.num_frames  # clips are seen one after another
        pixels: int = frames * 3 * vision.image_size**2 * 4
        # Patches as they come and joined; the projector's first layer, its activation, and a copy to pool.
        patches: int = frames * rows * columns * (2 * vision.hidden_size + 3 * text.hidden_size)
        prefill = clips * self.prefix_length * self._hidden_numbers()
        # A layer that is packed is unpacked to be multiplied, to float32 at most.
        unpacked: int = text.hidden_size * text.intermediate_size * 4
        return pixels + unpacked + (patches + prefill) * self.bytes_each

    def _hidden_numbers(self) -> int:
        """Numbers held for one position inside a layer, as if nothing of it were let go.

        Residual, norm, q, k, v, rotated q and k, output; gate, its activation, up and their product.
        """
        text = self.config.text_config
        return int(8 * text.hidden_size + 4 * text.intermediate_size)

    def useful(self, kind: str, weight_bytes: int, max_new_tokens: int) -> int:
        """How many clips at once are worth it: another would gain little.

        A step reads the weights once for all clips and each clip's own keys and values: with n clips
        the weights are W / (W + n * KV) of what is read, under a tenth from n = 9 * W / KV on.
        """
        return max(1, min(MOST_CLIPS[kind], -(-9 * weight_bytes // self.kv_bytes(max_new_tokens))))

    def clips(self, room: int, max_new_tokens: int) -> int:
        """How many clips fit into `room` bytes beside the model; 0 if not one."""
        each = self.kv_bytes(max_new_tokens) + self.step_bytes(max_new_tokens)
        return max(0, (room - self.pass_bytes()) // each)


def free_bytes(device: torch.device) -> int:
    """Free memory of a device, with what torch holds of it and does not use."""
    found = devices.devices()
    if device.type != "cuda":
        return found[-1].free_bytes
    index = device.index or 0
    kept = torch.cuda.memory_reserved(index) - torch.cuda.memory_allocated(index)
    return found[index].free_bytes + kept


def plannable(kind: str, free: int) -> int:
    """Bytes of the free memory of a kind of device that may be planned for."""
    return int(free * (devices.SPARE if kind == "cuda" else CPU_SHARE))
