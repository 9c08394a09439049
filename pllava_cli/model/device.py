"""Where the model runs, in which precision, and whether it fits: decided before anything is loaded.

Every choice made for the user carries its reason. What this CPU multiplies fastest is measured in `cpu`,
a model over several GPUs is laid out in `spreading`.
"""

import importlib.util
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from pllava_cli.errors import DeviceError, UsageError
from pllava_cli.model import groups
from pllava_cli.model.footprint import PRECISION_BYTES, QUANTIZED_BYTES, Footprint
from pllava_cli.model.offers import NAMED, Offer, first_that_fits, less_work
from pllava_cli.model.plan import RuntimePlan
from pllava_cli.model.spreading import spread
from pllava_cli.precisions import ENCODINGS, INT8, QUANTIZATIONS

SPARE = 0.9
"""Share of the free memory that may be planned for; the rest is left to the libraries."""
WORTH_A_WARNING_S = 60.0
"""Seconds for a clip from which someone who did not choose the CPU should know beforehand."""
_GB = 1e9


@dataclass(frozen=True)
class DeviceInfo:
    """One device a model can run on."""

    kind: str
    """"cuda" or "cpu"."""
    name: str
    total_bytes: int
    free_bytes: int


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


def choose(
    need: Footprint,
    device: str = "auto",
    dtype: str = "auto",
    quantize: str = "auto",
    *,
    encode: str = "auto",
    offers: Sequence[Offer] = (),
    named: Collection[str] = NAMED,
    must_fit: bool = True,
) -> RuntimePlan:
    """Choose device, precision and quantisation: what the user said, else the best that fits.

    Left to choose the device, it is the GPU with the most free memory, else several together, and the CPU
    where there is none or nothing fits on them.

    Args:
        need: The model's footprint.
        device: "auto", "cpu", "cuda" or "cuda:N".
        dtype: "auto" or one of `PRECISION_BYTES`.
        quantize: "auto", "none", "4bit" or "8bit".
        encode: How a CPU multiplies many rows: one of `ENCODINGS`.
        offers: What else the user could ask for, the best first; an error names the first that fits.
        named: The options that the user has: no hint names another.
        must_fit: Whether that nothing fits is an error; else the smallest is planned for.

    Raises:
        UsageError: A value that does not exist.
        DeviceError: The device is not there, or nothing allowed fits into its memory.
    """
    _check_names(dtype, quantize, encode)
    places = _places(device)
    if quantize in QUANTIZED_BYTES and not quantization_backend()[0]:
        raise DeviceError(
            f"--quantize {quantize} needs bitsandbytes, which is not installed", "pip install bitsandbytes"
        )
    if encode == INT8 and not quantization_backend()[0]:
        raise DeviceError(
            "--encode int8 needs bitsandbytes, which is not installed", "pip install bitsandbytes"
        )
    for number, place in enumerate(places):
        if number == 1 and (over_several := _over_gpus(need, dtype, quantize)) is not None:
            return over_several
        options, room = _options(dtype, quantize, place.info, need), _room(place.info)
        here = _at(place, need, encode)
        fitting = next((option for option in options if here.bytes(*option) <= room), None)
        if fitting is not None:
            many_rows, speed = _many_rows(dtype, fitting, encode, place.info, need)
            reasons = (*place.reasons, *speed, _why(fitting, options[0], here, room))
            is_surprise = device == "auto" and place.device == "cpu"
            warnings = _of_time(place, need, many_rows or fitting[0], offers) if is_surprise else ()
            return RuntimePlan(place.device, *fitting, reasons, warnings, many_rows=many_rows)
    first = places[0]
    need = _at(first, need, encode)
    options = _options(dtype, quantize, first.info, need)
    smallest = min(options, key=lambda option: need.bytes(*option))
    if not must_fit:
        return RuntimePlan(first.device, *smallest, (*first.reasons, f"{_spell(smallest)} does not fit"))
    raise DeviceError(
        f"the model needs about {need.bytes(*smallest) / _GB:.1f} GB in {_spell(smallest)}; "
        f"{first.device} has {first.info.free_bytes / _GB:.1f} GB free",
        _what_would_fit(need, first, smallest, offers, named),
    )


@dataclass(frozen=True)
class _Place:
    """Where the model could run."""

    device: str
    info: DeviceInfo
    reasons: tuple[str, ...] = ()


def _at(place: _Place, need: Footprint, encode: str) -> Footprint:
    """What a model takes in a place: a CPU keeps in 8 bits beside what it is told to multiply so."""
    return replace(need, is_rounded=encode == INT8 and place.info.kind == "cpu")


def _room(info: DeviceInfo) -> int:
    return int(info.free_bytes * SPARE)


def _options(dtype: str, quantize: str, info: DeviceInfo, need: Footprint) -> list[tuple[str, str]]:
    """Precision and quantisation that are allowed on a device, the best first."""
    return [(d, q) for q in _quantizations(quantize) for d in _dtypes(dtype, info, need)]


def _check_names(dtype: str, quantize: str, encode: str) -> None:
    if encode not in ENCODINGS:
        raise UsageError(f"unknown way to encode {encode!r}", f"choose one of: {', '.join(ENCODINGS)}")
    if dtype not in ("auto", *PRECISION_BYTES):
        known = ", ".join(PRECISION_BYTES)
        raise UsageError(f"unknown precision {dtype!r}", f"choose one of: auto, {known}")
    if quantize not in QUANTIZATIONS:
        raise UsageError(f"unknown quantisation {quantize!r}", f"choose one of: {', '.join(QUANTIZATIONS)}")


def _places(device: str) -> list[_Place]:
    """Where the model may run, the best first."""
    from pllava_cli.model import cpu

    kind, colon, number = device.partition(":")
    if kind not in ("auto", "cpu", "cuda") or (colon and not (kind == "cuda" and number.isdecimal())):
        raise UsageError(f"unknown device {device!r}", "choose one of: auto, cpu, cuda, cuda:N")
    *cuda, main = devices()
    units = "has" if cpu.has_bf16_units() else "has no"
    on_cpu = _Place("cpu", main, (f"the CPU {units} units for bf16",))
    if kind == "cpu":
        return [on_cpu]
    if kind == "auto":
        why = "nothing fits on a GPU" if cuda else "no CUDA device here"
        fallback = _Place("cpu", main, (f"{why}: running on the CPU", *on_cpu.reasons))
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


def _over_gpus(need: Footprint, dtype: str, quantize: str) -> RuntimePlan | None:
    """The model over several GPUs, if there are several and it fits on them together."""
    cuda = [info for info in devices() if info.kind == "cuda"]
    rooms = {f"cuda:{number}": _room(info) for number, info in enumerate(cuda)}
    found = spread(need, _options(dtype, quantize, cuda[0], need), rooms)
    if found is None:
        return None
    told = f"{_spell(found.option)} fits on no GPU alone, but on {', '.join(found.devices)}"
    return RuntimePlan(found.home, *found.option, (told,), layers=found.layers)


def _of_time(place: _Place, need: Footprint, dtype: str, offers: Sequence[Offer]) -> tuple[str, ...]:
    """What someone should know who did not choose the CPU: how long it takes, and what takes less."""
    from pllava_cli.model import cpu

    seconds = cpu.expected_seconds(need.products, dtype, need.layer)
    if seconds < WORTH_A_WARNING_S:
        return ()
    minutes = f"{seconds / 60:.0f} minute{'s' if seconds >= 90 else ''}"
    faster = less_work(need, offers)
    return (f"{place.reasons[0]}: a clip takes at least {minutes}{f'; {faster}' if faster else ''}",)


def _quantizations(asked: str) -> list[str]:
    if asked != "auto":
        return [asked]
    return ["none", "4bit"] if quantization_backend()[0] else ["none"]


def _dtypes(asked: str, info: DeviceInfo, need: Footprint) -> list[str]:
    if asked != "auto":
        return [asked]
    if info.kind == "cuda":
        return [precisions("cuda")[0]]
    from pllava_cli.model import cpu

    return ["bf16"] if cpu.prefers_bf16(need.layer) else ["fp32", "bf16"]  # fp32 where it fits


def _many_rows(
    asked: str, chosen: tuple[str, str], encode: str, info: DeviceInfo, need: Footprint
) -> tuple[str | None, tuple[str, ...]]:
    """In which precision many rows are to be multiplied, and why.

    Packed weights have lost more than 8 bits lose, so there these are taken where they are faster.
    """
    if info.kind != "cpu":
        return None, ()
    from pllava_cli.model import cpu

    dtype, quantize = chosen
    precision, why = cpu.of_many_rows(asked, dtype, need.layer)
    if encode == INT8:
        return INT8, (*why, "many rows are multiplied in int8, as asked for")
    if encode == "auto" and quantize != "none" and cpu.suits_eight_bits(need.layer):
        return INT8, (*why, "many rows are multiplied in int8, for which the CPU has units")
    return precision, why


def _spell(option: tuple[str, str]) -> str:
    dtype, quantize = option
    return dtype if quantize == "none" else f"{quantize} ({dtype})"


def _why(option: tuple[str, str], first: tuple[str, str], need: Footprint, room: int) -> str:
    size = f"{need.bytes(*option) / _GB:.1f} GB of {room / _GB:.1f} GB"
    if option == first:
        return f"{_spell(option)} fits: {size}"
    return f"{_spell(first)} would need {need.bytes(*first) / _GB:.1f} GB; {_spell(option)} fits: {size}"


def _what_would_fit(
    need: Footprint,
    place: _Place,
    smallest: tuple[str, str],
    offers: Sequence[Offer],
    named: Collection[str],
) -> str:
    """Say what to ask for instead, of what the user can ask for."""
    if need.is_rounded and replace(need, is_rounded=False).bytes(*smallest) <= _room(place.info):
        return "use --encode exact"  # who could ask for the other can ask for this
    may_pack = "quantize" in named and quantization_backend()[0]
    option = first_that_fits(need, smallest, _room(place.info), offers, may_pack=may_pack)
    if option is not None:
        return f"use {option}"
    more = "free memory; `pllava doctor` shows what fits"
    if place.device != "cpu" and "device" in named:
        cpu = devices()[-1]
        if any(need.bytes(*each) <= _room(cpu) for each in _options("auto", "auto", cpu, need)):
            return f"use --device cpu, which is slower, or {more}"
    return f"use a smaller checkpoint, or {more}"
