"""The devices of this machine: what they are, what they have free, and in which precisions they compute.

How fast its CPU multiplies is measured in `cpu`; where a model is to run is decided in `placing`.
"""

import importlib.util
from dataclasses import dataclass

from pllava_cli.model import groups

SPARE = 0.9
"""Share of the free memory that may be planned for; the rest is left to the libraries."""


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
            free, total = torch.cuda.mem_get_info(index)
            found.append(DeviceInfo("cuda", torch.cuda.get_device_name(index), total, free))
    memory, left = psutil.virtual_memory(), groups.bytes_left()
    free = memory.available if left is None else min(memory.available, left)
    found.append(DeviceInfo("cpu", f"{torch.get_num_threads()} threads", memory.total, free))
    return found


def quantization_backend() -> tuple[bool, str]:
    """Whether weights can be quantised here, and by what or why not."""
    if importlib.util.find_spec("bitsandbytes") is None:
        return False, "bitsandbytes is not installed"
    from importlib.metadata import version

    return True, f"bitsandbytes {version('bitsandbytes')}"


def precisions(kind: str) -> tuple[str, ...]:
    """The precisions in which a kind of device computes without emulating them, those chosen for it first."""
    if kind == "cpu":
        return "fp32", "bf16"
    import torch

    return ("bf16", "fp16") if torch.cuda.is_bf16_supported() else ("fp16",)
