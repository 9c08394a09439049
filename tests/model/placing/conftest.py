"""Machines of the test's making, and a model to be placed on them."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from pllava_cli.model import cpu as cpu_module
from pllava_cli.model import device as device_module
from pllava_cli.model.device import DeviceInfo
from pllava_cli.model.footprint import Footprint
from pllava_cli.model.placing import choose

GB = 1_000_000_000
SEVEN_B = Footprint(quantizable=6_476_000_000, other=587_000_000, working=800_000_000)
"""About 31.5 GB in fp32, 15.7 in bf16, 6.1 in 4 bits."""


class Machine:
    """A machine of the test's making; free memory in GB."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._patch = monkeypatch

    def has(
        self,
        cpu: float,
        *cuda: float,
        bf16_units: bool = False,
        packing: bool = True,
        times_of_fp32: float | None = None,
        eight_bits: bool = False,
    ) -> None:
        """`times_of_fp32`: of a product in 16 bits; `None`: half with units for it, twice without."""
        found = [DeviceInfo("cuda", f"GPU {i}", 80 * GB, int(free * GB)) for i, free in enumerate(cuda)]
        found.append(DeviceInfo("cpu", "2 threads", 64 * GB, int(cpu * GB)))
        self._patch.setattr(device_module, "devices", lambda: found)
        self._patch.setattr(device_module, "DRIVER", Path("no driver"))
        self._patch.setattr(cpu_module, "has_bf16_units", lambda: bf16_units)
        times = times_of_fp32 or (0.5 if bf16_units else 2.0)
        self._patch.setattr(cpu_module, "times_of_fp32", lambda dtype, layer: times)
        self._patch.setattr(cpu_module, "suits_eight_bits", lambda layer: eight_bits)
        backend = (packing, "bitsandbytes 1.0" if packing else "bitsandbytes is not installed")
        self._patch.setattr(device_module, "quantization_backend", lambda: backend)
        self.has_gpus_of(*[8] * len(cuda))

    def has_gpus_of(self, *generations: int) -> None:
        """By their compute capabilities; only those from 8 on have units for bf16."""
        cards = {f"cuda:{number}": SimpleNamespace(major=each) for number, each in enumerate(generations)}
        self._patch.setattr("torch.cuda.get_device_properties", cards.__getitem__)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


def chosen(**options: str) -> tuple[str, str, str]:
    plan = choose(SEVEN_B, **options)
    assert plan.reasons
    assert not any("\n" in reason for reason in plan.reasons)
    return plan.device, plan.dtype, plan.quantize
