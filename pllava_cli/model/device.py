"""Where the model runs, in which precision, and whether it fits: decided before anything is loaded.

Every choice made for the user carries its reason. The estimate covers what stays in memory while a
caption is made: the weights, the key-value cache of one clip, and the vision tower's activations.
"""

import importlib.util
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pllava_cli.errors import DeviceError, UsageError

if TYPE_CHECKING:
    import torch

    from pllava_cli.model.config import PllavaConfig

DTYPES = {"fp32": 4, "bf16": 2, "fp16": 2}
"""Precisions and their bytes per number."""
QUANTIZED_BYTES = {"4bit": 0.52, "8bit": 1.01}
"""Bytes per weight once quantised. NF4 with double quantisation: 4 bits, plus an 8-bit scale for 64
weights and a 32-bit one for 256 scales (QLoRA, arXiv 2305.14314, section 3), 0.516; 8-bit: one byte
plus a 32-bit scale per row."""
QUANTIZATIONS = ("none", *QUANTIZED_BYTES)
SPARE = 0.9
"""Share of the free memory that may be planned for; the rest is left to the libraries."""
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
class Footprint:
    """How many numbers a loaded model holds, by what can be done to them."""

    quantizable: int
    """Weights of the language model's linear layers."""
    other: int
    """All other weights: vision tower, projector, embeddings, head, norms."""
    working: int
    """Numbers held while one clip is captioned: its key-value cache and the vision tower's activations."""

    def bytes(self, dtype: str, quantize: str) -> int:
        """Bytes needed on the device at a precision and quantisation."""
        each = DTYPES[dtype]
        packed = QUANTIZED_BYTES.get(quantize, each)
        return int(self.quantizable * packed + (self.other + self.working) * each)


@dataclass(frozen=True)
class RuntimePlan:
    """Where and how the model will run, and why."""

    device: str
    dtype: str
    quantize: str
    reasons: tuple[str, ...] = ()

    @property
    def torch_dtype(self) -> "torch.dtype":
        """The precision as torch names it."""
        import torch

        return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[self.dtype]


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


def weight_bytes(parameters: int, dtype: str, quantize: str) -> int:
    """Bytes of `parameters` weights, as if all could be quantised: an estimate before the files are there."""
    return int(parameters * QUANTIZED_BYTES.get(quantize, DTYPES[dtype]))


def footprint(config: "PllavaConfig", shapes: dict[str, tuple[int, ...]], quantizable: set[str]) -> Footprint:
    """The footprint of a network with parameters `shapes`, of which `quantizable` can be quantised."""
    from math import prod

    sizes = {name: prod(shape) for name, shape in shapes.items()}
    text, vision = config.text_config, config.vision_config
    head = text.head_dim or text.hidden_size // text.num_attention_heads
    kv = 2 * text.num_hidden_layers * text.num_key_value_heads * head
    rows, columns = config.patch_grid
    patches = config.num_frames * (rows * columns + 1) * vision.hidden_size
    packed = sum(sizes[name] for name in quantizable)
    # A prompt and an answer beside the visual tokens: 512 positions is ample for both.
    return Footprint(packed, sum(sizes.values()) - packed, kv * (config.visual_tokens + 512) + 4 * patches)


def choose(need: Footprint, device: str = "auto", dtype: str = "auto", quantize: str = "auto") -> RuntimePlan:
    """Choose device, precision and quantisation: what the user said, else the best that fits.

    Args:
        need: The model's footprint.
        device: "auto", "cpu", "cuda" or "cuda:N".
        dtype: "auto" or one of `DTYPES`.
        quantize: "auto", "none", "4bit" or "8bit".

    Raises:
        UsageError: A value that does not exist.
        DeviceError: The device is not there, or nothing allowed fits into its memory.
    """
    _check_names(dtype, quantize)
    chosen, info, reasons = _device(device)
    if quantize in QUANTIZED_BYTES and not quantization_backend()[0]:
        raise DeviceError(
            f"--quantize {quantize} needs bitsandbytes, which is not installed", "pip install bitsandbytes"
        )
    room = int(info.free_bytes * SPARE)
    options = [(d, q) for q in _quantizations(quantize) for d in _dtypes(dtype, q, info)]
    for option in options:
        if need.bytes(*option) <= room:
            return RuntimePlan(chosen, *option, (*reasons, _why(option, options[0], need, room)))
    smallest = min(options, key=lambda option: need.bytes(*option))
    raise DeviceError(
        f"the model needs about {need.bytes(*smallest) / _GB:.1f} GB in {_spell(smallest)}; "
        f"{chosen} has {info.free_bytes / _GB:.1f} GB free",
        _what_would_fit(need, room, smallest),
    )


def _check_names(dtype: str, quantize: str) -> None:
    if dtype not in ("auto", *DTYPES):
        raise UsageError(f"unknown precision {dtype!r}", f"choose one of: auto, {', '.join(DTYPES)}")
    if quantize not in ("auto", *QUANTIZATIONS):
        raise UsageError(
            f"unknown quantisation {quantize!r}", f"choose one of: auto, {', '.join(QUANTIZATIONS)}"
        )


def _device(device: str) -> tuple[str, DeviceInfo, list[str]]:
    kind, colon, number = device.partition(":")
    if kind not in ("auto", "cpu", "cuda") or (colon and not (kind == "cuda" and number.isdecimal())):
        raise UsageError(f"unknown device {device!r}", "choose one of: auto, cpu, cuda, cuda:N")
    found = devices()
    cuda = [info for info in found if info.kind == "cuda"]
    if kind == "cpu" or (kind == "auto" and not cuda):
        why = ["no CUDA device here: running on the CPU"] if kind == "auto" else []
        units = "has" if cpu_has_bf16_units() else "has no"
        return "cpu", found[-1], [*why, f"the CPU {units} units for bf16"]
    if kind == "auto":
        best = max(range(len(cuda)), key=lambda index: cuda[index].free_bytes)
        return f"cuda:{best}", cuda[best], [f"{cuda[best].name} has the most free memory"]
    index = int(number or 0)
    if index >= len(cuda):
        what = f"{len(cuda)} CUDA device(s)" if cuda else "no CUDA device"
        raise DeviceError(
            f"--device {device}: this machine has {what} that torch can use",
            "use --device cpu, or see `pllava doctor`",
        )
    return f"cuda:{index}", cuda[index], []


def _quantizations(asked: str) -> list[str]:
    if asked != "auto":
        return [asked]
    return ["none", "4bit"] if quantization_backend()[0] else ["none"]


def _dtypes(asked: str, quantize: str, info: DeviceInfo) -> list[str]:
    if asked != "auto":
        return [asked]
    if info.kind == "cuda":
        import torch

        return ["bf16"] if torch.cuda.is_bf16_supported() else ["fp16"]
    # With bf16 units a CPU multiplies bf16 more than twice as fast as fp32, without them half as fast
    # (benchmarks/RESULTS.md); then bf16 is the choice only where fp32 does not fit.
    return ["bf16"] if cpu_has_bf16_units() else ["fp32", "bf16"]


def _spell(option: tuple[str, str]) -> str:
    dtype, quantize = option
    return dtype if quantize == "none" else f"{quantize} ({dtype})"


def _why(option: tuple[str, str], first: tuple[str, str], need: Footprint, room: int) -> str:
    size = f"{need.bytes(*option) / _GB:.1f} GB of {room / _GB:.1f} GB"
    if option == first:
        return f"{_spell(option)} fits: {size}"
    return f"{_spell(first)} would need {need.bytes(*first) / _GB:.1f} GB; {_spell(option)} fits: {size}"


def _what_would_fit(need: Footprint, room: int, smallest: tuple[str, str]) -> str:
    dtype = smallest[0]
    if smallest[1] != "4bit" and quantization_backend()[0] and need.bytes(dtype, "4bit") <= room:
        return "use --quantize 4bit"
    return "use --preset fast or a smaller checkpoint, or free memory; `pllava doctor` shows what fits"
