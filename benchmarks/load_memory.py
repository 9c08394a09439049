"""Peak memory of loading a 4-bit model from 16-bit files, as a multiple of the finished model.

Random weights of the 1B shape in the released layout (LoRA to be merged), each load in a fresh
process. The peer loads the whole model in bf16 and quantises it afterwards.

    python benchmarks/load_memory.py [--checkpoint FOLDER] [--quantize 4bit]
"""

import argparse
import resource
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from machine import describe
from random_checkpoint import SHAPES, write


def resident_bytes() -> int:
    """Resident memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def measure(folder: Path, quantize: str, afterwards: bool) -> None:
    """Load in this process; print the resident memory before, after and at the peak, in MB."""
    import torch

    from pllava_cli.model import quantization
    from pllava_cli.model.loading import load
    from pllava_cli.model.options import LoadOptions

    options = LoadOptions(alpha=4, device="cpu", dtype="bf16", quantize="none" if afterwards else quantize)
    with tempfile.TemporaryDirectory() as scratch:  # brings the libraries into memory first
        load(write(Path(scratch), SHAPES["tiny"]), replace(options, quantize=quantize))
    before = resident_bytes()
    model = load(folder, options).model
    if afterwards:
        weights = {name: linear.weight for name, linear in quantization.quantizable(model).items()}
        quantization.replace_linears(model, quantize, torch.bfloat16)
        for name, weight in weights.items():
            quantization.pack(model.get_submodule(name), weight, torch.device("cpu"))
        del weights, weight
    scales = (m.weight.quant_state.absmax for m in model.modules() if hasattr(m, "quant_state"))
    final = sum(parameter.nbytes for parameter in model.parameters()) + sum(scale.nbytes for scale in scales)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(f"{(peak - before) / 1e6:.0f} {final / 1e6:.0f}")


def main() -> None:
    """Measure both ways and print the ratios."""
    given = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    given.add_argument("--checkpoint", type=Path)
    given.add_argument("--quantize", default="4bit", choices=["4bit", "8bit"])
    given.add_argument("--child", choices=["ours", "afterwards"], help=argparse.SUPPRESS)
    options = given.parse_args()
    if options.child:
        measure(options.checkpoint, options.quantize, options.child == "afterwards")
        return
    print(describe("torch", "transformers", "bitsandbytes"))
    print(f"\n1B shape, released layout, bf16 files, {options.quantize}\n")
    print("| way | peak above start, MB | weights, MB | ratio |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.checkpoint or write(Path(scratch) / "1b", SHAPES["1b"])
        for way in ("ours", "afterwards"):
            command = [sys.executable, __file__, "--child", way, "--checkpoint", str(folder)]
            out = subprocess.run(
                [*command, "--quantize", options.quantize], check=True, capture_output=True, text=True
            ).stdout
            peak, final = map(int, out.split()[-2:])
            print(f"| {way} | {peak} | {final} | {peak / final:.2f} |", flush=True)


if __name__ == "__main__":
    main()
