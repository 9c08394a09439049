"""Where the model runs, in which precision, and whether it fits: decided before anything is loaded.

Every choice made for the user carries its reason. What this CPU multiplies fastest is measured in `cpu`,
a model over several GPUs is laid out in `spreading`.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from pllava_cli.errors import DeviceError, UsageError
from pllava_cli.model import device as devices
from pllava_cli.model.device import DeviceInfo
from pllava_cli.model.footprint import PRECISION_BYTES, QUANTIZED_BYTES, Footprint
from pllava_cli.model.offers import LOOK, NAMED, NOTHING_LEFT, Offer, first_that_fits, less_work, may_pack
from pllava_cli.model.plan import RuntimePlan
from pllava_cli.model.spreading import spread
from pllava_cli.phrases import counted
from pllava_cli.precisions import ENCODINGS, INT8, QUANTIZATIONS

WORTH_A_WARNING_S = 60.0
"""Seconds for a clip from which someone who did not choose the CPU should know beforehand."""
_GB = 1e9


def choose(
    need: Footprint,
    device: str = "auto",
    dtype: str = "auto",
    quantize: str = "auto",
    *,
    encode: str = "auto",
    offers: Sequence[Offer] = (),
    named: Collection[str] = NAMED,
    is_smallest: bool = False,
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
        is_smallest: Whether there is no smaller checkpoint: no hint speaks of one.
        must_fit: Whether it is an error that nothing fits; else the smallest way is planned for.

    Raises:
        UsageError: A value that does not exist.
        DeviceError: The device is not there, or nothing allowed fits into its memory.
    """
    _check_names(dtype, quantize, encode)
    places, asked = _places(device), _Asked(dtype, quantize, encode)
    if quantize in QUANTIZED_BYTES and not devices.quantization_backend()[0]:
        raise DeviceError(
            f"--quantize {quantize} needs bitsandbytes, which is not installed", "pip install bitsandbytes"
        )
    if encode == INT8 and not devices.quantization_backend()[0]:
        raise DeviceError(
            "--encode int8 needs bitsandbytes, which is not installed", "pip install bitsandbytes"
        )
    for number, place in enumerate(places):
        if number == 1 and (over_several := _over_gpus(need, asked)) is not None:
            return over_several
        ways, room = _ways(asked, place.device, need), place.info.room
        way = next((each for each in ways if each.bytes(need) <= room), None)
        if way is not None:
            many_rows, speed = _many_rows(way, asked, place.device, need)
            reasons = (*place.reasons, *speed, _why(way, ways[0], need, room))
            is_surprise = device == "auto" and place.device == "cpu"
            warnings = _of_time(place, need, many_rows or way.dtype, offers) if is_surprise else ()
            return RuntimePlan(place.device, *way.option, reasons, warnings, many_rows=many_rows)
    first = places[0]
    smallest = min(_ways(asked, first.device, need), key=lambda way: way.bytes(need))
    if not must_fit:
        return RuntimePlan(first.device, *smallest.option, (*first.reasons, f"{smallest} does not fit"))
    raise DeviceError(
        f"the model needs about {smallest.bytes(need) / _GB:.1f} GB in {smallest}; "
        f"{first.device} has {first.info.free_bytes / _GB:.1f} GB free",
        _what_would_fit(need, first, smallest, encode, offers, named, is_smallest=is_smallest),
    )


@dataclass(frozen=True)
class _Asked:
    """What the user said of how to compute, or "auto"."""

    dtype: str
    quantize: str
    encode: str


@dataclass(frozen=True)
class _Way:
    """One of the ways in which a device could run a model."""

    dtype: str
    quantize: str
    is_rounded: bool = False
    """Whether it multiplies many rows in 8 bits, for which weights are kept in 8 bits too."""

    @property
    def option(self) -> tuple[str, str]:
        """Its precision and quantisation."""
        return self.dtype, self.quantize

    def bytes(self, need: Footprint) -> int:
        """Bytes that a model takes."""
        return replace(need, is_rounded=self.is_rounded).bytes(*self.option)

    def __str__(self) -> str:
        spelled = _spell(self.option)
        return f"{spelled} with {INT8}" if self.is_rounded else spelled


@dataclass(frozen=True)
class _Place:
    """Where the model could run."""

    device: str
    info: DeviceInfo
    reasons: tuple[str, ...] = ()


def _ways(asked: _Asked, device: str, need: Footprint) -> list[_Way]:
    """The ways that are allowed on a device, the best first.

    A CPU that is not told to multiply in 8 bits does so only where what that takes fits, too.
    """
    exact = [_Way(*option) for option in _options(asked, device, need)]
    if device != "cpu" or asked.encode not in ("auto", INT8):
        return exact
    if asked.encode == INT8:
        return [replace(way, is_rounded=True) for way in exact]
    packed = [way for way in exact if _may_be_rounded(way, need)]
    return [replace(way, is_rounded=way in packed) for way in exact] + packed


def _may_be_rounded(way: _Way, need: Footprint) -> bool:
    """Whether a CPU had better multiply many rows in 8 bits: packed weights have lost more than that."""
    from pllava_cli.model import cpu

    return way.quantize != "none" and cpu.suits_eight_bits(need.layer)


def _options(asked: _Asked, device: str, need: Footprint) -> list[tuple[str, str]]:
    """Precision and quantisation that are allowed on a device, the best first."""
    return [(d, q) for q in _quantizations(asked.quantize) for d in _dtypes(asked.dtype, device, need)]


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
    *cuda, main = devices.devices()
    units = "has" if cpu.has_bf16_units() else "has no"
    on_cpu = _Place("cpu", main, (f"the CPU {units} units for bf16",))
    if kind == "cpu":
        return [on_cpu]
    if kind == "auto":
        why = "nothing fits on a GPU" if cuda else devices.why_no_gpu()
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
        what = counted(len(cuda), "CUDA device") if cuda else "no CUDA device"
        raise DeviceError(
            f"--device {device}: this machine has {what} that torch can use",
            "use --device cpu, or see `pllava doctor`",
        )
    return [_Place(f"cuda:{index}", cuda[index])]


def _over_gpus(need: Footprint, asked: _Asked) -> RuntimePlan | None:
    """The model over several GPUs, if there are several and it fits on them together."""
    cuda = [info for info in devices.devices() if info.kind == "cuda"]
    rooms = {f"cuda:{number}": info.room for number, info in enumerate(cuda)}
    poorest = min(rooms, key=lambda device: len(devices.precisions(device)))  # all compute what it does
    found = spread(need, _options(asked, poorest, need), rooms)
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
    return ["none", "4bit"] if devices.quantization_backend()[0] else ["none"]


def _dtypes(asked: str, device: str, need: Footprint) -> list[str]:
    if asked != "auto":
        return [asked]
    if device != "cpu":
        return [devices.precisions(device)[0]]
    from pllava_cli.model import cpu

    return ["bf16"] if cpu.prefers_bf16(need.layer) else ["fp32", "bf16"]  # fp32 where it fits


def _many_rows(way: _Way, asked: _Asked, device: str, need: Footprint) -> tuple[str | None, tuple[str, ...]]:
    """In which precision many rows are to be multiplied, and why."""
    if device != "cpu":
        return None, ()
    from pllava_cli.model import cpu

    precision, why = cpu.of_many_rows(asked.dtype, way.dtype, need.layer)
    if asked.encode == INT8:
        return INT8, (*why, "many rows are multiplied in int8, as asked for")
    if way.is_rounded:
        return INT8, (*why, "many rows are multiplied in int8, for which the CPU has units")
    if asked.encode == "auto" and _may_be_rounded(way, need):
        return precision, (*why, "there is too little memory to multiply many rows in int8")
    return precision, why


def _spell(option: tuple[str, str]) -> str:
    dtype, quantize = option
    return dtype if quantize == "none" else f"{quantize} ({dtype})"


def _why(way: _Way, first: _Way, need: Footprint, room: int) -> str:
    size = f"{way.bytes(need) / _GB:.1f} GB of {room / _GB:.1f} GB"
    if way == first:
        return f"{way} fits: {size}"
    return f"{first} would need {first.bytes(need) / _GB:.1f} GB; {way} fits: {size}"


def _what_would_fit(
    need: Footprint,
    place: _Place,
    smallest: _Way,
    encode: str,
    offers: Sequence[Offer],
    named: Collection[str],
    *,
    is_smallest: bool,
) -> str:
    """Say what to ask for instead, of what the user can ask for."""
    room = place.info.room
    if smallest.is_rounded and replace(smallest, is_rounded=False).bytes(need) <= room:
        return "use --encode exact"  # who could ask for the other can ask for this
    here = replace(need, is_rounded=smallest.is_rounded)
    option = first_that_fits(here, smallest.option, room, offers, may_pack=may_pack(named))
    if option is not None:
        return f"use {option}"
    more = f"free memory; {LOOK}"
    if place.device != "cpu" and "device" in named:
        cpu = devices.devices()[-1]
        if any(way.bytes(need) <= cpu.room for way in _ways(_Asked("auto", "auto", encode), "cpu", need)):
            return f"use --device cpu, which is slower, or {more}"
    return NOTHING_LEFT if is_smallest else f"use a smaller checkpoint, or {more}"
