"""Linear layers in 4 or 8 bits, by bitsandbytes, packed one tensor at a time while loading.

Only the language model's linear layers are packed: they are most of a checkpoint and are read whole
for every token. The vision tower, the projector and the head stay in the compute precision.
"""

import importlib
import logging
import sys
from typing import Any

import torch
from torch import nn


def bitsandbytes() -> Any:
    """Import bitsandbytes without letting it fetch anything.

    On a CPU with AVX512-BF16 its import downloads and runs native code from the model hub if the
    package `kernels` is there, and warns if not. Hiding that package for the moment of the import
    leaves the code that bitsandbytes itself ships.
    """
    if "bitsandbytes" not in sys.modules:
        before = sys.modules.get("kernels")
        logger = logging.getLogger("bitsandbytes.backends.cpu.ops")
        level = logger.level
        sys.modules["kernels"] = None  # type: ignore[assignment]
        logger.setLevel(logging.ERROR)
        try:
            importlib.import_module("bitsandbytes")
        finally:
            logger.setLevel(level)
            if before is None:
                del sys.modules["kernels"]
            else:
                sys.modules["kernels"] = before
        # Its 8-bit layers say with every multiplication that they cast to fp16; they always do.
        logging.getLogger("bitsandbytes.autograd._functions").setLevel(logging.ERROR)
    return sys.modules["bitsandbytes"]


def quantizable(model: nn.Module) -> dict[str, nn.Linear]:
    """The layers that can be packed, by module name."""
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and name.startswith("model.language_model.layers.")
    }


def replace_linears(model: nn.Module, quantize: str, compute_dtype: torch.dtype) -> set[str]:
    """Put bitsandbytes' layers, still empty, in place of the linear ones; returns the weights' names."""
    bnb = bitsandbytes()

    names = set()
    for name, linear in quantizable(model).items():
        size = (linear.in_features, linear.out_features)
        if quantize == "4bit":
            # NF4 with double quantisation is QLoRA's recipe (arXiv 2305.14314).
            packed = bnb.nn.Linear4bit(
                *size,
                bias=linear.bias is not None,
                compute_dtype=compute_dtype,
                compress_statistics=True,
                quant_type="nf4",
                device="meta",
            )
        else:
            packed = bnb.nn.Linear8bitLt(
                *size, bias=linear.bias is not None, has_fp16_weights=False, threshold=6.0, device="meta"
            )
        packed.requires_grad_(False)
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, packed)
        names.add(f"{name}.weight")
    return names


def pack(module: nn.Module, weight: torch.Tensor, device: torch.device) -> None:
    """Pack `weight` [out, in] into a bitsandbytes layer, on `device`."""
    bnb = bitsandbytes()

    weight = weight.contiguous()
    if isinstance(module, bnb.nn.Linear4bit):
        parameter = bnb.nn.Params4bit(
            weight, requires_grad=False, quant_type="nf4", compress_statistics=True, module=module
        )
    else:
        parameter = bnb.nn.Int8Params(weight, requires_grad=False, has_fp16_weights=False)
    module.weight = parameter.to(device)
