"""Where the model runs, in which precision, and whether it fits: decided before anything is loaded.

Every choice made for the user carries its reason.
"""

import importlib.util
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pllava_cli.errors import DeviceError, UsageError
from pllava_cli.model import cpu_time
from pllava_cli.model.footprint import (
    DTYPES,
    QUANTIZED_BYTES,
    Footprint,
    footprint,
    weight_bytes,
    working_numbers,
)
from pllava_cli.model.spreading import split

if TYPE_CHECKING:
    import torch

__all__ = [
    "DTYPES",
    "QUANTIZATIONS",
    "QUANTIZED_BYTES",
    "SPARE",
    "DeviceInfo",
    "Footprint",
    "Offer",
    "RuntimePlan",
    "choose",
    "cpu_has_bf16_units",
    "devices",
    "footprint",
    "quantization_backend",
    "weight_bytes",
    "working_numbers",
]

QUANTIZATIONS = ("none", *QUANTIZED_BYTES)
SPARE = 0.9
"""Share of the free memory that may be planned for; the rest is left to the libraries."""
WORTH_A_WARNING_S = 60.0
"""Seconds for a clip from which someone who did not choose the CPU should know beforehand."""
_LAYER = re.compile(r"model\.language_model\.layers\.(\d+)\.")
_GB = 1e9


@dataclass(frozen=True)
class DeviceInfo:
    """One device a model can run on."""

    kind: str
    """"cuda" or "cpu"."""
    name: str
    total_bytes: int
    free_bytes: int


@dataclass(frozen=True)
class RuntimePlan:
    """Where and how the model will run, and why."""

    device: str
    dtype: str
    quantize: str
    reasons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    """What the user should know before it begins."""
    layers: tuple[str, ...] = ()
    """The device of each layer of the language model; none: all of them lie on `device`."""
    many_rows: str | None = None
    """Precision in which a CPU multiplies many rows, `dtype` or a more exact one; `None` on other devices.
    Like the device itself it is no part of a record: it changes no more than the rounding."""

    def device_of(self, name: str) -> str:
        """The device of a parameter, by its name."""
        layer = _LAYER.match(name)
        return self.layers[int(layer[1])] if layer and self.layers else self.device

    @property
    def torch_dtype(self) -> "torch.dtype":
        """The precision as torch names it."""
        from pllava_cli.model.precision import TORCH_DTYPES

        return TORCH_DTYPES[self.dtype]

    @property
    def torch_many_rows(self) -> "torch.dtype | None":
        """The precision of many rows as torch names it."""
        from pllava_cli.model.precision import TORCH_DTYPES

        return TORCH_DTYPES[self.many_rows] if self.many_rows else None


@dataclass(frozen=True)
class Offer:
    """Something else that the user could ask for, and what it would take."""

    option: str
    """As it is written on the command line."""
    bytes: Callable[[str, str], int]
    """Bytes needed at a precision and quantisation."""


def devices() -> list[DeviceInfo]:
    """The devices of this machine: CUDA devices first, the CPU last."""
    import psutil
    import torch

    found = []
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            free, total = torch.cuda.mem_get_info(index)
            found.append(DeviceInfo("cuda", torch.cuda.get_device_name(index), total, free))
    memory = psutil.virtual_memory()
    found.append(DeviceInfo("cpu", f"{torch.get_num_threads()} threads", memory.total, memory.available))
    return found


def cpu_has_bf16_units() -> bool:
    """Whether this CPU has instructions that multiply bf16 (AVX512-BF16 or AMX)."""
    import torch

    capabilities = torch.cpu.get_capabilities()
    return any(bool(capabilities.get(name)) for name in ("avx512_bf16", "amx_bf16", "arm_bf16"))


def quantization_backend() -> tuple[bool, str]:
    """Whether weights can be quantised here, and by what or why not."""
    if importlib.util.find_spec("bitsandbytes") is None:
        return False, "bitsandbytes is not installed"
    from importlib.metadata import version

    return True, f"bitsandbytes {version('bitsandbytes')}"


def choose(
    need: Footprint,
    device: str = "auto",
    dtype: str = "auto",
    quantize: str = "auto",
    *,
    offers: Sequence[Offer] = (),
    must_fit: bool = True,
) -> RuntimePlan:
    """Choose device, precision and quantisation: what the user said, else the best that fits.

    Left to choose the device, it is the GPU with the most free memory, else several together, and the CPU
    where there is none or nothing fits on them.

    Args:
        need: The model's footprint.
        device: "auto", "cpu", "cuda" or "cuda:N".
        dtype: "auto" or one of `DTYPES`.
        quantize: "auto", "none", "4bit" or "8bit".
        offers: What else the user could ask for, the best first; an error names the first that fits.
        must_fit: Whether that nothing fits is an error; else the smallest is planned for.

    Raises:
        UsageError: A value that does not exist.
        DeviceError: The device is not there, or nothing allowed fits into its memory.
    """
    _check_names(dtype, quantize)
    places = _places(device)
    if quantize in QUANTIZED_BYTES and not quantization_backend()[0]:
        raise DeviceError(
            f"--quantize {quantize} needs bitsandbytes, which is not installed", "pip install bitsandbytes"
        )
    for number, place in enumerate(places):
        if number == 1 and (spread := _spread(need, dtype, quantize)) is not None:
            return spread
        options, room = _options(dtype, quantize, place.info, need), _room(place.info)
        fitting = next((option for option in options if need.bytes(*option) <= room), None)
        if fitting is not None:
            many_rows, speed = _many_rows(dtype, fitting[0], place.info, need)
            reasons = (*place.reasons, *speed, _why(fitting, options[0], need, room))
            warnings = _warnings(place, device, need, many_rows or fitting[0])
            return RuntimePlan(place.device, *fitting, reasons, warnings, many_rows=many_rows)
    first = places[0]
    options = _options(dtype, quantize, first.info, need)
    smallest = min(options, key=lambda option: need.bytes(*option))
    if not must_fit:
        return RuntimePlan(first.device, *smallest, (*first.reasons, f"{_spell(smallest)} does not fit"))
    raise DeviceError(
        f"the model needs about {need.bytes(*smallest) / _GB:.1f} GB in {_spell(smallest)}; "
        f"{first.device} has {first.info.free_bytes / _GB:.1f} GB free",
        _what_would_fit(need, first, smallest, offers),
    )


@dataclass(frozen=True)
class _Place:
    """Where the model could run."""

    device: str
    info: DeviceInfo
    reasons: tuple[str, ...] = ()


def _room(info: DeviceInfo) -> int:
    return int(info.free_bytes * SPARE)


def _options(dtype: str, quantize: str, info: DeviceInfo, need: Footprint) -> list[tuple[str, str]]:
    """Precision and quantisation that are allowed on a device, the best first."""
    return [(d, q) for q in _quantizations(quantize) for d in _dtypes(dtype, info, need)]


def _check_names(dtype: str, quantize: str) -> None:
    if dtype not in ("auto", *DTYPES):
        raise UsageError(f"unknown precision {dtype!r}", f"choose one of: auto, {', '.join(DTYPES)}")
    if quantize not in ("auto", *QUANTIZATIONS):
        raise UsageError(
            f"unknown quantisation {quantize!r}", f"choose one of: auto, {', '.join(QUANTIZATIONS)}"
        )


def _places(device: str) -> list[_Place]:
    """Where the model may run, the best first."""
    kind, colon, number = device.partition(":")
    if kind not in ("auto", "cpu", "cuda") or (colon and not (kind == "cuda" and number.isdecimal())):
        raise UsageError(f"unknown device {device!r}", "choose one of: auto, cpu, cuda, cuda:N")
    *cuda, cpu = devices()
    units = "has" if cpu_has_bf16_units() else "has no"
    on_cpu = _Place("cpu", cpu, (f"the CPU {units} units for bf16",))
    if kind == "cpu":
        return [on_cpu]
    if kind == "auto":
        why = "nothing fits on a GPU" if cuda else "no CUDA device here"
        fallback = _Place("cpu", cpu, (f"{why}: running on the CPU", *on_cpu.reasons))
        if not cuda:
            return [fallback]
        best = max(range(len(cuda)), key=lambda index: cuda[index].free_bytes)
        return [
            _Place(f"cuda:{best}", cuda[best], (f"{cuda[best].name} has the most free memory",)),
            fallback,
        ]
    index = int(number or 0)
    if index >= len(cuda):
        what = f"{len(cuda)} CUDA device(s)" if cuda else "no CUDA device"
        raise DeviceError(
            f"--device {device}: this machine has {what} that torch can use",
            "use --device cpu, or see `pllava doctor`",
        )
    return [_Place(f"cuda:{index}", cuda[index])]


def _spread(need: Footprint, dtype: str, quantize: str) -> RuntimePlan | None:
    """The model over several GPUs, if there are several and it fits on them together."""
    cuda = [info for info in devices() if info.kind == "cuda"]
    if len(cuda) < 2 or need.layers < 2:
        return None
    rooms = {f"cuda:{number}": _room(info) for number, info in enumerate(cuda)}
    for option in _options(dtype, quantize, cuda[0], need):
        other = need.other * DTYPES[option[0]]
        layers = split(need.layers, need.layer_bytes(*option), other, rooms)
        if layers is not None:
            home = max(rooms, key=lambda device: rooms[device])
            told = (
                f"{_spell(option)} fits on no GPU alone, but on {', '.join(dict.fromkeys((home, *layers)))}"
            )
            return RuntimePlan(home, *option, (told,), layers=layers)
    return None


def _warnings(place: _Place, asked: str, need: Footprint, dtype: str) -> tuple[str, ...]:
    """What someone should know who did not choose the CPU."""
    if asked != "auto" or place.device != "cpu":
        return ()
    seconds = cpu_time.expected_seconds(need.products, dtype)
    if seconds < WORTH_A_WARNING_S:
        return ()
    minutes = f"{seconds / 60:.0f} minute{'s' if seconds >= 90 else ''}"
    return (f"{place.reasons[0]}: a clip takes at least {minutes}; --preset fast takes a quarter of it",)


def _quantizations(asked: str) -> list[str]:
    if asked != "auto":
        return [asked]
    return ["none", "4bit"] if quantization_backend()[0] else ["none"]


def _dtypes(asked: str, info: DeviceInfo, need: Footprint) -> list[str]:
    if asked != "auto":
        return [asked]
    if info.kind == "cuda":
        import torch

        return ["bf16"] if torch.cuda.is_bf16_supported() else ["fp16"]
    return ["bf16"] if cpu_prefers_bf16(need.layer) else ["fp32", "bf16"]  # fp32 where it fits


def cpu_prefers_bf16(layer: tuple[int, int, int]) -> bool:
    """Whether to compute in bf16 on this CPU even where fp32 fits.

    It should with units for bf16 and should not without: one core multiplies it more than twice as fast
    with them and half as fast without (benchmarks/RESULTS.md). But on some the units gain nothing, and
    then the measurement has the last word.

    Args:
        layer: Rows, inputs and outputs of a product of the model.
    """
    from pllava_cli.model.precision import GAIN

    times = times_of_fp32("bf16", layer)
    return times < GAIN if cpu_has_bf16_units() else times <= 1 / GAIN


def cpu_precision(layer: tuple[int, int, int] = (2304, 4096, 4096)) -> tuple[str, str]:
    """The precision that `choose` takes on this CPU where the memory suffices, and why.

    Args:
        layer: Rows, inputs and outputs of a product; without it, one of a 7B model.
    """
    why = compared("bf16", times_of_fp32("bf16", layer))
    return "bf16" if cpu_prefers_bf16(layer) else "fp32", why


def times_of_fp32(dtype: str, layer: tuple[int, int, int]) -> float:
    """How many times as long as in fp32 a product takes on this CPU: measured, once in a process."""
    from pllava_cli.model import precision

    return precision.times_of_fp32(dtype, layer)


def compared(dtype: str, times: float) -> str:
    """Say what `times_of_fp32` has measured."""
    fast, slow, ratio = ("fp32", dtype, times) if times >= 1 else (dtype, "fp32", 1 / times)
    return f"the CPU multiplies {fast} {ratio:.1f} times as fast as {slow}"


def _many_rows(asked: str, dtype: str, info: DeviceInfo, need: Footprint) -> tuple[str | None, list[str]]:
    """In which precision many rows are to be multiplied, and why."""
    if info.kind != "cpu":
        return None, []
    if asked == "fp32":
        return asked, []
    from pllava_cli.model.precision import GAIN

    sixteen = "bf16" if dtype == "fp32" else dtype
    times = times_of_fp32(sixteen, need.layer)
    why = compared(sixteen, times)
    if dtype == "fp32" or times < GAIN:
        return dtype, [why]
    return "fp32", [f"{why}: {dtype} is widened where many rows are multiplied"]


def _spell(option: tuple[str, str]) -> str:
    dtype, quantize = option
    return dtype if quantize == "none" else f"{quantize} ({dtype})"


def _why(option: tuple[str, str], first: tuple[str, str], need: Footprint, room: int) -> str:
    size = f"{need.bytes(*option) / _GB:.1f} GB of {room / _GB:.1f} GB"
    if option == first:
        return f"{_spell(option)} fits: {size}"
    return f"{_spell(first)} would need {need.bytes(*first) / _GB:.1f} GB; {_spell(option)} fits: {size}"


def _what_would_fit(
    need: Footprint, place: _Place, smallest: tuple[str, str], offers: Sequence[Offer]
) -> str:
    """Name the first option, or two together, with which it would fit."""
    dtype, quantize = smallest
    room, can_pack = _room(place.info), quantization_backend()[0]
    packing = Offer("--quantize 4bit", need.bytes)
    if can_pack and quantize != "4bit" and packing.bytes(dtype, "4bit") <= room:
        return f"use {packing.option}"
    for offer in offers:
        if offer.bytes(dtype, quantize) <= room:
            return f"use {offer.option}"
        if can_pack and quantize != "4bit" and offer.bytes(dtype, "4bit") <= room:
            return f"use {packing.option} {offer.option}"
    if place.device != "cpu":
        cpu = devices()[-1]
        if any(need.bytes(*option) <= _room(cpu) for option in _options("auto", "auto", cpu, need)):
            return "use --device cpu, which is slower, or free memory; `pllava doctor` shows what fits"
    return "use --preset fast or a smaller checkpoint, or free memory; `pllava doctor` shows what fits"
