"""The devices of this machine: what they are, what they have free, and in which precisions they compute.

How fast its CPU multiplies is measured in `cpu`; where a model is to run is decided in `placing`.
"""

import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path

from pllava_cli.model import groups

SPARE = 0.9
"""Share of the free memory that may be planned for; the rest is left to the libraries."""
DRIVER = Path("/proc/driver/nvidia/version")
"""Where the kernel tells which of NVIDIA's drivers it has, if it has one."""
_BF16_SINCE = 8
"""Compute capability from which a GPU has units for bf16 (`is_bf16_supported` of torch/cuda/__init__.py);
AMD's are numbered from 9."""


@dataclass(frozen=True)
class DeviceInfo:
    """One device a model can run on."""

    kind: str
    """"cuda" or "cpu"."""
    name: str
    total_bytes: int
    free_bytes: int

    @property
    def room(self) -> int:
        """Bytes that may be planned for."""
        return int(self.free_bytes * SPARE)


def devices() -> list[DeviceInfo]:
    """The devices of this machine: CUDA devices first, the CPU last."""
    import psutil
    import torch

    found = []
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            about = torch.cuda.get_device_properties(index)
            found.append(DeviceInfo("cuda", about.name, about.total_memory, _free_bytes(index)))
    memory, left = psutil.virtual_memory(), groups.bytes_left()
    free = memory.available if left is None else min(memory.available, left)
    found.append(DeviceInfo("cpu", f"{torch.get_num_threads()} threads", memory.total, free))
    return found


def _free_bytes(index: int) -> int:
    """Free memory of a GPU; none where another process has all of it, or has the GPU to itself."""
    import torch

    try:
        free, _ = torch.cuda.mem_get_info(index)
    except RuntimeError:  # to ask takes some of its memory
        return 0
    return free


def why_no_gpu() -> str:
    """Say why `devices` finds no GPU, as far as can be told; torch says it where nobody sees it, and once."""
    import torch

    if not DRIVER.exists() or "CUDA_VISIBLE_DEVICES" in os.environ:
        return "no CUDA device here"
    built_for = torch.version.cuda
    why = f"for CUDA {built_for} it may be too old" if built_for else "it is built without CUDA"
    return f"torch cannot use the NVIDIA driver here ({why})"


def quantization_backend() -> tuple[bool, str]:
    """Whether weights can be quantised here, and by what or why not."""
    if importlib.util.find_spec("bitsandbytes") is None:
        return False, "bitsandbytes is not installed"
    from importlib.metadata import PackageNotFoundError, version

    try:
        return True, f"bitsandbytes {version('bitsandbytes')}"
    except PackageNotFoundError:  # it is on the path without having been installed
        return True, "bitsandbytes of an unknown version"


def precisions(device: str) -> tuple[str, ...]:
    """The precisions in which a device computes without emulating them, those chosen for it first.

    Args:
        device: "cpu", or "cuda:N": a machine may have cards of several generations.
    """
    if device == "cpu":
        return "fp32", "bf16"
    import torch

    has_units = torch.cuda.get_device_properties(device).major >= _BF16_SINCE
    return ("bf16", "fp16") if has_units else ("fp16",)
