"""Time to the first token of a second question on a clip, as a share of the first question's.

The first question pays for decoding, vision tower, projector and prefill; the second for its own
tokens. Random weights of the 1B shape, written to a temporary folder unless one is given.

    python benchmarks/second_question.py [--checkpoint FOLDER] [--clip FILE]
"""

import argparse
import tempfile
from pathlib import Path

import cv2
import numpy as np
from machine import describe
from random_checkpoint import SHAPES, write

from pllava_cli import Captioner, keep_freed
from pllava_cli.engine import Decoding


def make_clip(file: Path) -> Path:
    """Four seconds of moving noise at 640x360."""
    writer = cv2.VideoWriter(str(file), cv2.VideoWriter.fourcc(*"mp4v"), 25, (640, 360))
    random = np.random.default_rng(0)
    picture = random.integers(0, 255, (360, 640, 3), dtype=np.uint8)
    for shift in range(100):
        writer.write(np.roll(picture, shift * 4, axis=1))
    writer.release()
    return file


def main() -> None:
    """Print both times and their ratio."""
    given = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    given.add_argument("--checkpoint", type=Path)
    given.add_argument("--clip", type=Path)
    given.add_argument("--dtype", default="bf16")
    given.add_argument("--quantize", default="none")
    options = given.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.checkpoint or write(Path(scratch) / "1b", SHAPES["1b"])
        clip = options.clip or make_clip(Path(scratch) / "clip.mp4")
        captioner = Captioner(folder, dtype=options.dtype, quantize=options.quantize)
        keep_freed()  # as `pllava` does
        encoded = captioner.encode(clip)
        decoding = Decoding(max_new_tokens=2)
        ask = [captioner.answer(encoded, question, decoding=decoding) for question in ("What happens?",) * 3]
    first = sum(encoded.elapsed_s.values()) + ask[0].elapsed_s["first_token"]
    second = min(answer.elapsed_s["first_token"] for answer in ask[1:])
    print(describe("torch", "transformers"))
    print(
        f"{captioner.plan.dtype}, quantised: {captioner.plan.quantize}, {encoded.visual_tokens} visual tokens"
    )
    print(f"first question, seconds to the first token: {first:.2f} ({encoded.elapsed_s})")
    print(f"second question: {second:.3f}, {100 * second / first:.2f} % of the first")


if __name__ == "__main__":
    main()
