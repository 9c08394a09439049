"""What is said where a model's numbers leave the range of its precision, so that no token can be chosen."""

import torch

from pllava_cli.errors import CheckpointError, DeviceError, PllavaError
from pllava_cli.model.device import precisions
from pllava_cli.model.modeling import PllavaForConditionalGeneration


def overflowed(model: PllavaForConditionalGeneration) -> PllavaError:
    """The error for logits that are no finite numbers: of fp16's short range, or else of the weights.

    fp16 ends at 65504. bf16 reaches as far as fp32, where sound weights never come near the end: what
    overflows there is damaged, or merged at an alpha that it was not trained for.
    """
    weight = model.get_input_embeddings().weight
    if weight.dtype == torch.float16:
        wider = "bf16" if "bf16" in precisions(weight.device.type) else "fp32"
        return DeviceError("the model's numbers overflowed in fp16", f"use --dtype {wider}")
    return CheckpointError(
        "the model's numbers overflowed",
        "the weights are damaged (see `pllava models verify`), or --alpha is far too large",
    )
