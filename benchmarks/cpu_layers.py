"""Which way of multiplying a layer is fastest on this CPU, by its shape and the rows of its input.

The figures in `pllava_cli/model/many_rows.py` and `cpu.py` come from here. Each cell is the least
of several rounds in milliseconds, with the rate in GFLOP/s in brackets. By default time on the clock,
with all threads: for a machine that does nothing else. `--thread-time` counts the time that one thread
spends, which other programs change little.

    python benchmarks/cpu_layers.py
"""

import argparse
import importlib.util
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from machine import describe
from torch import Tensor, nn
from torch.nn import functional

from pllava_cli.model import cpu, eight_bits, many_rows
from pllava_cli.model.packed import rounded_rows, unpacked
from pllava_cli.model.precision import TORCH_DTYPES
from pllava_cli.model.quantization import bitsandbytes, pack

LAYERS = {
    "7B: attention": (4096, 4096),
    "7B: gate, up": (11008, 4096),
    "7B: down": (4096, 11008),
    "vision: attention": (1024, 1024),
    "vision: first": (4096, 1024),
    "vision: second": (1024, 4096),
}
"""Outputs and inputs of the layers of Vicuna-7B and of CLIP-L."""
ROWS = (1, 16, 64, 128, 512, 2304)
"""A token, a batch of tokens, about the threshold, a part of a clip, a clip of 16 frames."""
LONGEST_S = 3.0
"""Seconds for one cell, from which on no further round is begun."""
Product = Callable[[Tensor], Tensor]


def ways(weight: Tensor) -> Iterator[tuple[str, torch.dtype, Product]]:
    """Name, precision of the input, and the product."""
    for name, dtype in TORCH_DTYPES.items():
        yield name, dtype, partial(functional.linear, weight=weight.to(dtype))
    yield "bf16 widened to fp32", torch.bfloat16, partial(multiply_wide, weight.bfloat16())
    packed = four_bits(weight)
    yield "NF4, bitsandbytes", torch.float32, packed
    for name, dtype in TORCH_DTYPES.items():
        yield f"NF4 unpacked to {name}", dtype, partial(multiply_unpacked, packed, dtype)
    yield "fp32 rounded to int8", torch.float32, partial(eight_bits.multiply, weight=weight)
    yield "NF4 rounded to int8", torch.float32, partial(multiply_rounded, packed)
    yield "8 bits, bitsandbytes", torch.float32, kept_in_eight_bits(weight)
    parts = list(eight_bits.rounded_rows(weight))
    yield "8 bits, as here", torch.float32, partial(multiply_kept, parts, len(weight))
    if importlib.util.find_spec("torchao"):
        yield "8 bits, torchao", torch.float32, torchao_layer(weight)


def multiply_kept(weight: list[eight_bits.RoundedRows], outputs: int, x: Tensor) -> Tensor:
    """As `EightBitLinear` does."""
    return eight_bits.multiply_rounded(x, weight, outputs)


def torchao_layer(weight: Tensor) -> nn.Module:
    """A layer of torchao, which is no dependency, with weight and input in 8 bits."""
    from torchao.quantization import Int8DynamicActivationInt8WeightConfig, quantize_

    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    layer.weight = nn.Parameter(weight, requires_grad=False)
    quantize_(layer, Int8DynamicActivationInt8WeightConfig())
    return layer.eval()


def multiply_wide(weight: Tensor, x: Tensor) -> Tensor:
    """As `WideLinear` does."""
    return many_rows.multiply(x, weight.float(), None)


def multiply_rounded(layer: Any, x: Tensor) -> Tensor:
    """As `Packed4bit` does where it rounds."""
    return eight_bits.multiply_rounded(x, rounded_rows(layer), layer.out_features)


def multiply_unpacked(layer: Any, dtype: torch.dtype, x: Tensor) -> Tensor:
    """As `Packed4bit` does."""
    return many_rows.multiply(x, unpacked(layer, dtype), None)


def four_bits(weight: Tensor) -> Any:
    """A layer of bitsandbytes in NF4, in the order in which it multiplies on this CPU."""
    outputs, inputs = weight.shape
    layer = bitsandbytes().nn.Linear4bit(
        inputs, outputs, bias=False, compute_dtype=torch.float32, quant_type="nf4", device="meta"
    )
    pack(layer.requires_grad_(False), weight, torch.device("cpu"))
    layer.eval()(torch.ones(1, inputs))
    return layer


def kept_in_eight_bits(weight: Tensor) -> nn.Module:
    """A layer of bitsandbytes in 8 bits, with outliers apart as the project has it."""
    outputs, inputs = weight.shape
    layer: nn.Module = bitsandbytes().nn.Linear8bitLt(
        inputs, outputs, bias=False, has_fp16_weights=False, threshold=6.0, device="meta"
    )
    pack(layer.requires_grad_(False), weight, torch.device("cpu"))
    return layer.eval()


def best_s(product: Product, x: Tensor, clock: Callable[[], float], rounds: int) -> float:
    """Least seconds of one product."""
    best, spent = float("inf"), 0.0
    for _ in range(rounds):
        began = clock()
        product(x)
        took = clock() - began
        best, spent = min(best, took), spent + took
        if spent > LONGEST_S:
            break
    return best


@torch.inference_mode()
def main() -> None:
    """Print a table for each layer."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", type=int, nargs="+", default=ROWS)
    parser.add_argument("--layers", nargs="+", choices=LAYERS, default=list(LAYERS))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--thread-time", action="store_true", help="one thread, and its own time")
    options = parser.parse_args()
    if options.thread_time:
        torch.set_num_threads(1)
    clock = time.thread_time if options.thread_time else time.perf_counter
    times = cpu.times_of_fp32("bf16", cpu.LARGEST)
    print(describe("torch", "bitsandbytes"))
    how = "their own time" if options.thread_time else "by the clock"
    print(f"\nthreads: {torch.get_num_threads()}; {how}, least of {options.rounds}")
    print(f"as loading measures it, bf16 takes {times:.2f} times as long as fp32")
    random = torch.Generator().manual_seed(0)
    for name in options.layers:
        outputs, inputs = LAYERS[name]
        weight = torch.randn(outputs, inputs, generator=random) * inputs**-0.5
        print(f"\n{name}, {inputs} to {outputs}\n")
        print("| rows |", " | ".join(map(str, options.rows)), "|\n|---|" + "---|" * len(options.rows))
        for way, dtype, product in ways(weight):
            cells = []
            for rows in options.rows:
                x = torch.randn(rows, inputs, generator=random).to(dtype)
                seconds = best_s(product, x, clock, options.rounds)
                cells.append(f"{seconds * 1e3:.2f} ({2 * rows * inputs * outputs / seconds / 1e9:.0f})")
            print(f"| {way} |", " | ".join(cells), "|", flush=True)


if __name__ == "__main__":
    main()
