"""How far from float32 the logits lie by each way of loading and encoding, on random weights of the 1B shape.

The same clip and question through each: what is compared is the logits after every token of the question.
Random weights have no outliers, so this tells of the arithmetic, not of the quality of released checkpoints.

    python benchmarks/logits.py [--checkpoint FOLDER] [--clip FILE]
"""

import argparse
import gc
import tempfile
from pathlib import Path

import torch
from machine import describe
from random_checkpoint import SHAPES, write
from second_question import make_clip
from torch import Tensor

from pllava_cli import Captioner
from pllava_cli.engine import DecodedClip

QUESTION = "What happens in this video, and in which order?"
WAYS = (
    ("fp32", "none", "exact"),
    ("fp32", "none", "int8"),
    ("bf16", "none", "exact"),
    ("fp32", "8bit", "exact"),
    ("fp32", "4bit", "exact"),
    ("fp32", "4bit", "int8"),
)
"""Precision, quantisation, and how the clip is encoded; the first is what the others are compared with."""


@torch.inference_mode()
def logits(captioner: Captioner, decoded: DecodedClip) -> Tensor:
    """Logits [S, V] after each token of the question."""
    encoded = captioner.remember(decoded)
    ids = captioner.processor.tokenizer.encode(QUESTION)
    output = captioner.model(input_ids=torch.tensor([ids]), cache=encoded.cache, use_cache=True)
    return output.logits[0].float()


def distance(found_SV: Tensor, wanted_SV: Tensor) -> tuple[float, float, float]:
    """Norm of the difference over the norm, Kullback-Leibler divergence, share of equal likeliest."""
    norm = (found_SV - wanted_SV).norm() / wanted_SV.norm()
    wanted, found = wanted_SV.log_softmax(-1), found_SV.log_softmax(-1)
    divergence = (wanted.exp() * (wanted - found)).sum(-1).mean()
    same = (found_SV.argmax(-1) == wanted_SV.argmax(-1)).float().mean()
    return norm.item(), divergence.item(), same.item()


def main() -> None:
    """Print a row for each way."""
    given = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    given.add_argument("--checkpoint", type=Path)
    given.add_argument("--clip", type=Path)
    options = given.parse_args()
    print(describe("torch", "transformers", "bitsandbytes"))
    print("\n| precision | quantised | clips | difference / norm | KL, nats | same token |")
    print("|---" * 6 + "|", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.checkpoint or write(Path(scratch) / "1b", SHAPES["1b"])
        clip = options.clip or make_clip(Path(scratch) / "clip.mp4")
        wanted: Tensor | None = None
        for dtype, quantize, encode in WAYS:
            captioner = Captioner(folder, dtype=dtype, quantize=quantize, encode=encode, device="cpu")
            found = logits(captioner, captioner.decode(clip))
            wanted = found if wanted is None else wanted
            norm, divergence, same = distance(found, wanted)
            row = f"| {dtype} | {quantize} | {encode} | {100 * norm:.2f} % | {divergence:.2g} |"
            print(row, f"{100 * same:.0f} % |", flush=True)
            del captioner
            gc.collect()


if __name__ == "__main__":
    main()
