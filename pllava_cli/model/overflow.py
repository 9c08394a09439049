"""Numbers that leave the range of their precision: of weights to be written, and while a model runs."""

import torch

from pllava_cli.errors import CheckpointError, DeviceError, PllavaError, UsageError
from pllava_cli.model.device import precisions
from pllava_cli.model.modeling import PllavaForConditionalGeneration
from pllava_cli.model.tensors import is_finite


def in_precision(value: torch.Tensor, dtype: torch.dtype, name: str) -> torch.Tensor:
    """A copy of a finite weight in the precision in which it is to be written.

    Args:
        value: The weight.
        dtype: The precision.
        name: The weight's, for the error.

    Raises:
        UsageError: A number of it is beyond the precision's range: nobody could load what would be written.
    """
    cast = value.to(dtype, copy=True)
    if not is_finite(cast):
        raise UsageError(
            f"{name} holds a number beyond the range of {str(dtype).removeprefix('torch.')}",
            "use --dtype bf16" if dtype == torch.float16 else "use a smaller --alpha",
        )
    return cast


def overflowed(model: PllavaForConditionalGeneration) -> PllavaError:
    """The error for logits that are no finite numbers, so that no token can be chosen.

    fp16 ends at 65504, which sound weights may pass. bf16 reaches as far as fp32, where they never come near
    the end: what overflows there is damaged, or merged at an alpha that it was not trained for.
    """
    weight = model.get_input_embeddings().weight
    if weight.dtype == torch.float16:
        wider = "bf16" if "bf16" in precisions(str(weight.device)) else "fp32"
        return DeviceError("the model's numbers overflowed in fp16", f"use --dtype {wider}")
    return CheckpointError(
        "the model's numbers overflowed",
        "the weights are damaged (see `pllava models verify`), or --alpha is far too large",
    )
