"""Loading, packing and captioning at a released checkpoint's size: how long each stage takes, and the memory.

Random weights of the exact shapes in the released layout, fp16 shards, LoRA to be merged. Each way of
loading runs in a fresh process, which then captions a clip stage by stage. The checkpoint is deleted
afterwards; with --checkpoint a folder is used and kept.

    python benchmarks/full_scale.py CLIP [--shape 7b] [--quantize 4bit] [--device cpu] [--tokens 40]
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from machine import describe
from random_checkpoint import SHAPES, write

STAGES = ("load", "decode", "vision", "prefill", "first token", "each token", "caption")
PRESETS: dict[str, dict[str, Any]] = {
    "standard": {},
    "standard, --keep-tokens 0.25": {"keep_tokens": 0.25},
    "fast": {"num_frames": 4, "pooling_shape": (4, 12, 12)},
}
"""As in weights.toml, and one with a quarter of the visual tokens."""


def measure(options: argparse.Namespace) -> dict[str, float]:
    """Load, and caption a clip, in this process; seconds of each stage, and bytes."""
    from pllava_cli import Captioner, keep_freed
    from pllava_cli.engine import Decoding

    resident = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    seen: dict[tuple[str, int], float] = {}

    def tell(stage: str, done: int, _total: int) -> None:
        seen.setdefault((stage, done), time.perf_counter())

    began = time.perf_counter()
    captioner = Captioner(
        options.checkpoint,
        quantize=options.quantize,
        device=options.device,
        on_progress=tell,
        **PRESETS[options.preset],
    )
    keep_freed()  # as `pllava` does
    loaded = time.perf_counter()
    # The most that loading took above what the libraries take; captioning comes after.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - resident
    scales = (m.weight.quant_state.absmax for m in captioner.model.modules() if hasattr(m, "quant_state"))
    weights = sum(each.nbytes for each in captioner.model.parameters()) + sum(each.nbytes for each in scales)
    decoded = captioner.decode(options.clip)
    start = time.perf_counter()
    encoded = captioner.remember(decoded)
    filled = time.perf_counter()
    looked = seen["encoding", captioner.num_frames]
    answer = captioner.answer(encoded, decoding=Decoding(max_new_tokens=options.tokens))
    first, whole = answer.elapsed_s["first_token"], answer.elapsed_s["generate"]
    return {
        "load": loaded - began,
        "decode": decoded.decode_s,
        "vision": looked - start,
        "prefill": filled - looked,
        "first token": first,
        "each token": (whole - first) / max(answer.new_tokens - 1, 1),
        "caption": decoded.decode_s + filled - start + whole,
        "tokens": answer.new_tokens,
        "peak": peak,
        "weights": weights,
    }


def main() -> None:
    """Print a row of seconds for each way of loading and preset, and what loading needs of memory."""
    given = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    given.add_argument("clip", type=Path)
    given.add_argument("--shape", choices=sorted(SHAPES), default="7b")
    given.add_argument("--checkpoint", type=Path)
    given.add_argument("--quantize", default="4bit", choices=["none", "4bit", "8bit"])
    given.add_argument("--device", default="auto")
    given.add_argument("--tokens", type=int, default=40)
    given.add_argument("--preset", choices=sorted(PRESETS), help=argparse.SUPPRESS)
    options = given.parse_args()
    if options.preset:
        print(json.dumps(measure(options)))
        return
    print(describe("torch", "transformers", "bitsandbytes"), flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        source = options.checkpoint
        if source is None:
            began = time.perf_counter()
            source = write(Path(scratch) / "source", SHAPES[options.shape], dtype=torch.float16)
            print(f"random checkpoint written in {time.perf_counter() - began:.0f} s", file=sys.stderr)
        what = f"{options.shape} shape, {options.quantize}, {options.clip.name}, {options.tokens} tokens"
        print(f"\n{what}; seconds\n")
        print("| from | preset | " + " | ".join(STAGES) + " | peak of loading / weights, GB |")
        print("|---" * (len(STAGES) + 3) + "|", flush=True)
        _row(options, "released files", source, "standard")
        if options.quantize == "none":
            _row(options, "released files", source, "fast")
            return
        saved = Path(scratch) / "saved"
        began = time.perf_counter()
        command = [sys.executable, "-m", "pllava_cli", "models", "quantize", str(source), "-o", str(saved)]
        subprocess.run([*command, "--quantize", options.quantize, "--device", options.device], check=True)
        took = time.perf_counter() - began
        for preset in PRESETS:
            _row(options, "packed save", saved, preset)
        size = sum(file.stat().st_size for file in saved.glob("*.safetensors"))
        print(f"\n`pllava models quantize`: {took:.0f} s for {size / 1e9:.2f} GB")


def _row(options: argparse.Namespace, name: str, folder: Path, preset: str) -> None:
    command = [sys.executable, __file__, str(options.clip), "--checkpoint", str(folder), "--preset", preset]
    command += ["--quantize", options.quantize, "--device", options.device, "--tokens", str(options.tokens)]
    out = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    figures = json.loads(out.splitlines()[-1])
    cells = [f"{figures[stage]:.2f}" for stage in STAGES]
    peak, weights = figures["peak"], figures["weights"]
    memory = f"{peak / 1e9:.2f} / {weights / 1e9:.2f} = {peak / weights:.2f}"
    print(f"| {name} | {preset} | " + " | ".join(cells) + f" | {memory} |", flush=True)


if __name__ == "__main__":
    main()
