"""Linear layers in 4 or 8 bits, by bitsandbytes, packed one tensor at a time while loading.

Only the language model's linear layers are packed: they are most of a checkpoint and are read whole
for every token. The vision tower, the projector and the head stay in the compute precision.
"""

import importlib
import json
import logging
import math
import sys
from functools import partial
from typing import Any

import torch
from torch import nn

from pllava_cli.errors import DeviceError

BLOCK, NESTED_BLOCK = 64, 256
"""Weights of one scale and scales of one scale in NF4 with double quantisation (QLoRA, arXiv 2305.14314,
section 3); what bitsandbytes takes if it is not told otherwise."""
STATE = "weight.quant_state.bitsandbytes__nf4"
"""Under which bitsandbytes saves the description of a 4-bit weight, as the bytes of a JSON object."""
_ROW_MAJOR = 0
"""What bitsandbytes saves as the format of 8-bit weights that lie row by row; there is no other now."""


def bitsandbytes() -> Any:
    """Import bitsandbytes without letting it fetch anything.

    On a CPU with AVX512-BF16 its import downloads and runs native code from the model hub if the
    package `kernels` is there, and warns if not. Hiding that package for the moment of the import
    leaves the code that bitsandbytes itself ships.

    Raises:
        DeviceError: It is installed, but does not work here.
    """
    if "bitsandbytes" not in sys.modules:
        before = sys.modules.get("kernels")
        logger = logging.getLogger("bitsandbytes.backends.cpu.ops")
        level = logger.level
        sys.modules["kernels"] = None  # type: ignore[assignment]
        logger.setLevel(logging.ERROR)
        try:
            importlib.import_module("bitsandbytes")
        except Exception as error:  # a library of the system that is missing, or of another version
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise DeviceError(
                f"bitsandbytes cannot be imported ({reason:.300})",
                "install it anew, or use --quantize none and --encode exact, which do without it",
            ) from error
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
    """The layers that can be packed, or are, by module name."""
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and name.startswith("model.language_model.layers.")
    }


def packable(model: nn.Module) -> set[str]:
    """The names of their weights."""
    return {f"{name}.weight" for name in quantizable(model)}


def replace_linears(
    model: nn.Module, quantize: str, compute_dtype: torch.dtype, many_rows: torch.dtype | None = None
) -> None:
    """Put bitsandbytes' layers, still empty, in place of the linear ones.

    Args:
        model: The network.
        quantize: "4bit" or "8bit".
        compute_dtype: In which 4-bit layers multiply.
        many_rows: In which they multiply many rows on a CPU; `None` leaves that to bitsandbytes, as for
            8 bits always: its products of integers are faster than any of floats.
    """
    bnb = bitsandbytes()
    for name, linear in quantizable(model).items():
        size = (linear.in_features, linear.out_features)
        if quantize == "4bit":
            # NF4 with double quantisation is QLoRA's recipe (arXiv 2305.14314).
            packed = _linear4bit(many_rows)(
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


def _linear4bit(many_rows: torch.dtype | None) -> Any:
    if many_rows is None:
        return bitsandbytes().nn.Linear4bit
    from pllava_cli.model.packed import Packed4bit  # which is made of bitsandbytes' layer

    return partial(Packed4bit, many_rows=many_rows)


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


def parts_of(shape: tuple[int, ...], quantize: str) -> dict[str, tuple[str, tuple[int, ...] | None]]:
    """What a packed layer of a weight [out, in] is saved as.

    Names and layout are those of bitsandbytes' own state_dict, the same on every device.

    Returns:
        Name below the layer's -> the kind of number as safetensors names it, and the shape (`None`: a row
        of any length). The packed numbers themselves come first.
    """
    if quantize == "8bit":
        return {"weight": ("I8", shape), "SCB": ("F32", shape[:1]), "weight_format": ("U8", ())}
    blocks = -(-math.prod(shape) // BLOCK)
    return {
        "weight": ("U8", (-(-math.prod(shape) // 2), 1)),
        "weight.absmax": ("U8", (blocks,)),
        "weight.quant_map": ("F32", (16,)),
        "weight.nested_absmax": ("F32", (-(-blocks // NESTED_BLOCK),)),
        "weight.nested_quant_map": ("F32", (256,)),
        STATE: ("U8", None),
    }


def packed_parts(module: nn.Module) -> dict[str, torch.Tensor]:
    """The tensors of a packed layer by the names of `parts_of`, in main memory and each on its own.

    A layer that has been run on a CPU may hold its weight in that CPU's own order; bitsandbytes' state_dict
    puts it back into the order of all devices.
    """
    state: dict[str, torch.Tensor] = module.state_dict()
    return {name: tensor.cpu().clone() for name, tensor in state.items()}


def clear(module: Any, empty: nn.Parameter) -> None:
    """Let go of what a layer holds; `empty` takes its place."""
    module.weight = empty
    if hasattr(module, "quant_state"):
        module.quant_state = None


def restore(module: Any, parts: dict[str, torch.Tensor], dtype: torch.dtype, device: torch.device) -> None:
    """Put what `packed_parts` gave into a packed layer that is still empty, without packing again.

    Args:
        module: The layer.
        parts: Of the kinds and shapes that `parts_of` says.
        dtype: Of the weight before it was packed.
        device: Where the layer is to be.

    Raises:
        ValueError: The parts' own description is not that of the layer.
    """
    bnb = bitsandbytes()

    # Not a view of a file that may change or go.
    placed = {name: tensor.to(device, copy=True) for name, tensor in parts.items() if name != STATE}
    weight = placed["weight"]
    if isinstance(module, bnb.nn.Linear8bitLt):
        if int(placed["weight_format"]) != _ROW_MAJOR:
            raise ValueError("its numbers are not in rows")
        module.weight = bnb.nn.Int8Params(
            weight, requires_grad=False, has_fp16_weights=False, CB=weight, SCB=placed["SCB"]
        )
        return
    offset = _offset(parts[STATE], (module.out_features, module.in_features), dtype)
    state_of = bnb.functional.QuantState
    scales = state_of(
        absmax=placed["weight.nested_absmax"],
        blocksize=NESTED_BLOCK,
        code=placed["weight.nested_quant_map"],
        dtype=torch.float32,
    )
    state = state_of(
        absmax=placed["weight.absmax"],
        shape=torch.Size((module.out_features, module.in_features)),
        code=placed["weight.quant_map"],
        blocksize=BLOCK,
        quant_type="nf4",
        dtype=dtype,
        offset=torch.tensor(offset, device=device),
        state2=scales,
    )
    module.weight = bnb.nn.Params4bit(
        weight, requires_grad=False, quant_state=state, quant_type="nf4", module=module, bnb_quantized=True
    )
    module.quant_state = state


def _offset(described: torch.Tensor, shape: tuple[int, ...], dtype: torch.dtype) -> float:
    """The mean of the scales; all else that a description may say is known."""
    try:
        found = json.loads(bytes(described.tolist()))
    except RecursionError:
        found = None
    offset = found.pop("nested_offset", None) if isinstance(found, dict) else None
    wanted = {
        "quant_type": "nf4",
        "blocksize": BLOCK,
        "dtype": str(dtype).removeprefix("torch."),
        "shape": list(shape),
        "nested_blocksize": NESTED_BLOCK,
        "nested_dtype": "float32",
    }
    if found != wanted or not isinstance(offset, float) or not math.isfinite(offset):
        raise ValueError("its description is that of another weight")
    return offset
