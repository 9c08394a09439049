"""How clips are seen: all that their visual tokens depend on besides the clips themselves.

Weights are told by their own bytes, as they are in memory, so that nothing has to be known of how they came
there: an adapter's projector, a precision, LoRA in a vision tower that somebody has trained, all show.
"""

import hashlib
import json
from dataclasses import asdict
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from pllava_cli import __version__
from pllava_cli.model.modeling import PllavaForConditionalGeneration
from pllava_cli.model.plan import RuntimePlan
from pllava_cli.model.processing import Processor

_LIBRARIES = ("torch", "transformers", "pillow", "opencv-python", "opencv-python-headless", "av")
"""What decodes, scales and multiplies: another version may do so to another last bit."""
_NOT_SEEN = ("_name_or_path", "transformers_version", "dtype", "torch_dtype")
"""What a configuration says of files and of the library that wrote it."""


def way_of_seeing(model: PllavaForConditionalGeneration, processor: Processor, plan: RuntimePlan) -> str:
    """A digest of how a loaded checkpoint sees clips."""
    config = model.config
    vision = {name: value for name, value in config.vision_config.to_dict().items() if name not in _NOT_SEEN}
    said: dict[str, Any] = {
        "tool": __version__,
        "libraries": {name: _version(name) for name in _LIBRARIES},
        "weights": weights_digest(model),
        "vision": vision,
        "depth": config.vision_depth,
        "attention": config.vision_config._attn_implementation,
        "projector": config.projector_hidden_act,
        "num_frames": config.num_frames,
        "pooling_shape": list(config.pooling_shape),
        "visual_tokens": config.visual_tokens,
        "preprocess": asdict(processor.preprocess),
        "precision": [plan.dtype, plan.many_rows],
        "device": _device(model.model.vision_tower.device),
    }
    return hashlib.sha256(json.dumps(said, sort_keys=True, default=str).encode()).hexdigest()


def weights_digest(model: PllavaForConditionalGeneration) -> str:
    """A digest of the vision tower's and the projector's weights: 0.6 GB at 7B in 16 bits, under a second."""
    digest = hashlib.sha256()
    for part in (model.model.vision_tower, model.model.multi_modal_projector):
        for name, tensor in sorted(part.state_dict().items()):
            digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
            digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def _device(device: torch.device) -> str:
    """What rounds: the kind of card, or the instructions of the CPU."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type} {torch.backends.cpu.get_cpu_capability()}"


@cache
def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
