"""Time of a caption and tokens a second, beside transformers' own generate on the same weights.

Random weights of a real shape; the prompt, the frames and the number of tokens are the same on all
sides, and the end-of-text token is never taken, so that all write every token. On a GPU ours is measured with
its CUDA graph and without. A rate is that of the second half of the tokens: the first few are not recorded.

For each token the language model's weights and the keys and values of all positions must be read: how long
that takes at least, at the rate at which the device copies, is the limit that a rate is told a share of.

    python benchmarks/caption_speed.py --shape 7b --device cuda --quantize none 4bit
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from machine import describe
from random_checkpoint import SHAPES, write

from pllava_cli import keep_freed
from pllava_cli.loader import open_checkpoint
from pllava_cli.model.cache import PrefixCache
from pllava_cli.model.cuda_graph import use_graph
from pllava_cli.model.generation import prefill, step
from pllava_cli.model.modeling import PllavaForConditionalGeneration
from pllava_cli.model.processing import Processor

Times = tuple[float, float, float]
"""Seconds to the first token, for the other tokens, and for the second half of all of them."""
PROMPT = "USER: <image>\n USER: What happens? ASSISTANT:"
COPIED_BYTES = 1 << 30


def now(model: PllavaForConditionalGeneration) -> float:
    """The time, when the device has done all it was given."""
    if model.device.type == "cuda":
        torch.cuda.synchronize(model.device)
    return time.perf_counter()


@torch.inference_mode()
def ours(model: PllavaForConditionalGeneration, inputs: dict[str, torch.Tensor], tokens: int) -> Times:
    """How long a caption takes with the engine's own steps."""
    began = now(model)
    visual, widths = model.model.encode_clips(inputs["pixel_values"])
    cache = PrefixCache(model.config.text_config.num_hidden_layers)
    ids = inputs["input_ids"].to(model.device)
    positions = None if widths is None else model.positions(ids[:, :-1], widths)
    prefill(model, cache, model.embed(ids[:, :-1], visual.flatten(0, 1)), positions_BS=positions)
    cache.reserve(cache.length + tokens + 1)
    token = int(step(model, cache, ids[:, -1:].tolist()).argmax())
    first = now(model)
    for number in range(1, tokens):
        if number == tokens - tokens // 2:
            half = now(model)
        token = int(step(model, cache, [[token]]).argmax())
    whole = now(model)
    return first - began, whole - first, whole - half


def step_by_step(
    model: PllavaForConditionalGeneration, inputs: dict[str, torch.Tensor], tokens: int
) -> Times:
    """The same, with no step recorded."""
    recorder, model.recorder = model.recorder, None
    try:
        return ours(model, inputs, tokens)
    finally:
        model.recorder = recorder


@torch.inference_mode()
def library(model: PllavaForConditionalGeneration, inputs: dict[str, torch.Tensor], tokens: int) -> Times:
    """The same by `generate`: one token for the first time, all of them for the rest."""
    inputs = {name: tensor.to(model.device) for name, tensor in inputs.items()}
    began = now(model)
    model.generate(**inputs, max_new_tokens=1, min_new_tokens=1)
    first = now(model)
    model.generate(**inputs, max_new_tokens=tokens, min_new_tokens=tokens)
    rest = now(model) - first - (first - began)
    return first - began, rest, rest * (tokens // 2) / (tokens - 1)


def measure(
    model: PllavaForConditionalGeneration, processor: Processor, tokens: int, rounds: int
) -> dict[str, Times]:
    """Best times of interleaved rounds, after one to warm up."""
    frames = np.random.default_rng(0).integers(0, 255, (processor.num_frames, 360, 640, 3), dtype=np.uint8)
    inputs = processor(frames, PROMPT)
    ways = {"ours": ours}
    if model.recorder is not None:
        ways = {"ours, CUDA graph": ours, "ours, step by step": step_by_step}
    if processor.visual_tokens == processor.pooled_tokens:  # else the library cannot
        ways["transformers generate"] = library
    seen: dict[str, list[Times]] = {name: [] for name in ways}
    for turn in range(rounds + 1):
        for name, way in ways.items():
            times = way(model, inputs, tokens)
            if turn:
                seen[name].append(times)
    return {name: tuple(map(min, zip(*times, strict=True))) for name, times in seen.items()}


@torch.inference_mode()
def bytes_per_second(device: torch.device) -> float:
    """Bytes that the device reads and writes a second when it copies; the best of five."""
    source = torch.ones(COPIED_BYTES, dtype=torch.uint8, device=device)
    target, best = torch.zeros_like(source), 0.0
    for _ in range(5):
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        began = time.perf_counter()
        target.copy_(source)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        best = max(best, 2 * COPIED_BYTES / (time.perf_counter() - began))
    return best


def bytes_per_token(model: PllavaForConditionalGeneration, positions: int) -> int:
    """Bytes of the weights that a step reads, and of the keys and values of so many positions."""
    text = model.config.text_config
    weights = (*model.model.language_model.layers.parameters(), *model.lm_head.parameters())
    width = text.head_dim or text.hidden_size // text.num_attention_heads
    itemsize = model.get_input_embeddings().weight.itemsize
    kept = 2 * text.num_hidden_layers * text.num_key_value_heads * width * itemsize
    return sum(each.nbytes for each in weights) + positions * kept


def main() -> None:
    """Print a table: time to the first token, tokens a second and how near the limit, time of a caption."""
    given = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    given.add_argument("--shape", choices=sorted(SHAPES), default="1b")
    given.add_argument("--checkpoint", type=Path)
    given.add_argument("--device", default="auto")
    given.add_argument("--dtype", default="bf16")
    given.add_argument("--quantize", nargs="+", default=["none", "4bit"])
    given.add_argument("--keep-tokens", type=float, default=1.0, help="share of the visual tokens to leave")
    given.add_argument("--tokens", type=int, default=64)
    given.add_argument("--rounds", type=int, default=3)
    options = given.parse_args()
    if options.tokens < 2:
        given.error("--tokens: at least 2, of which the second half is timed")
    print(describe("torch", "transformers", "bitsandbytes"))
    if torch.cuda.is_available():
        print(torch.cuda.get_device_name())
    print(
        f"\n{options.shape} shape, {options.dtype}, {options.keep_tokens:g} of the visual tokens, "
        f"{options.tokens} tokens, best of {options.rounds}\n"
    )
    print("| quantised | way | first token, s | tokens/s | of the limit | caption, s |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.checkpoint or write(Path(scratch) / "c", SHAPES[options.shape])
        for quantize in options.quantize:
            opened = open_checkpoint(
                folder,
                alpha=4,
                base=None,
                dtype=options.dtype,
                quantize=quantize,
                device=options.device,
                num_frames=None,
                pooling_shape=None,
                keep_tokens=options.keep_tokens,
            )
            keep_freed()  # as `pllava` does
            model, processor = opened.model, opened.processor
            print(f"{'; '.join(use_graph(model, opened.plan).reasons)}", file=sys.stderr)
            positions = processor.visual_tokens + options.tokens
            most = bytes_per_second(model.device) / bytes_per_token(model, positions)
            for way, (first, rest, late) in measure(model, processor, options.tokens, options.rounds).items():
                rate = options.tokens // 2 / late
                told = f"{first:.2f} | {rate:.2f} | {rate / most:.0%} | {first + rest:.2f}"
                print(f"| {quantize} | {way} | {told} |", flush=True)
            del model, opened


if __name__ == "__main__":
    main()
