"""Make the checkpoint `tiny` from nothing: `python -m recipes.tiny OUT`.

Each step leaves its outcome in OUT and is passed over when that is there, so an interrupted run goes on
with the step it was in. The finished checkpoint is OUT/tiny.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import torch
from tokenizers import Tokenizer

from pllava_cli.shapes.casting import cast
from recipes.tiny.align import train_alignment, train_choosing
from recipes.tiny.assemble import assemble, save_image_model
from recipes.tiny.language import train_language
from recipes.tiny.precision import fastest
from recipes.tiny.seen import see_scenes
from recipes.tiny.sizes import LORA_RANK, language_model
from recipes.tiny.texts import corpus
from recipes.tiny.tokens import special_ids, train_tokenizer
from recipes.tiny.tower import train_tower
from recipes.tiny.videos import TRAINING, VALIDATION, write_videos

TOWER_STEPS, LANGUAGE_STEPS, ALIGNMENT_STEPS, CHOICE_STEPS, VIDEO_STEPS = 2000, 1500, 2200, 7000, 800
SCENES, CLIPS, VALIDATION_CLIPS = 16_000, 5_000, 200
LINES_EACH = 3
PICTURES = 30_000_000
"""First scene seed of the pictures of step (b)."""


def main() -> None:
    """Run every step that has not been run."""
    parser = argparse.ArgumentParser(description="Make the checkpoint tiny from nothing.")
    parser.add_argument("out", type=Path)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(options.threads)
    step = Step(out)
    tokenizer_file = out / "tokenizer.json"
    step(tokenizer_file, lambda: _tokenizer(tokenizer_file))
    tokenizer = Tokenizer.from_file(str(tokenizer_file))
    step(out / "tower.pt", lambda: train_tower(out, steps=TOWER_STEPS))
    step(out / "language.pt", lambda: train_language(tokenizer, out, steps=LANGUAGE_STEPS))
    step(out / "seen.bin", lambda: see_scenes(out, first=PICTURES, count=SCENES))
    scenes = {"first": PICTURES, "count": SCENES}
    step(out / "aligned.pt", lambda: train_alignment(tokenizer, out, **scenes, steps=ALIGNMENT_STEPS))
    step(out / "image.pt", lambda: train_choosing(tokenizer, out, **scenes, steps=CHOICE_STEPS))
    step(out / "base" / "tokenizer.json", lambda: _base(tokenizer, out))
    step(
        out / "clips" / "train.jsonl",
        lambda: write_videos(out / "clips", first=TRAINING, count=CLIPS, lines_each=LINES_EACH),
    )
    step(
        out / "validation" / "train.jsonl",
        lambda: write_videos(out / "validation", first=VALIDATION, count=VALIDATION_CLIPS, lines_each=1),
    )
    step(
        out / "adapter" / "adapter_model.safetensors",
        lambda: subprocess.run(training_command(out), check=True),
    )
    step(out / "tiny" / "config.json", lambda: assemble(out / "base", out / "adapter", out / "tiny"))


class Step:
    """Runs what is not done, and notes how long it took and with what."""

    def __init__(self, out: Path) -> None:
        self._log = out / "steps.jsonl"

    def __call__(self, made: Path, make: Callable[[], object]) -> None:
        """Call `make` unless `made`, the last file that it writes, is there."""
        if made.exists():
            return
        began = time.perf_counter()
        make()
        line = {
            "step": str(made.parent.name + "/" + made.name),
            "seconds": round(time.perf_counter() - began, 1),
        }
        line |= {
            name: version(name) for name in ("torch", "transformers", "peft", "tokenizers", "opencv-python")
        }
        with self._log.open("a", encoding="utf-8") as log:
            log.write(json.dumps(line) + "\n")


def training_command(out: Path) -> list[str]:
    """Step (c): the tool's own command."""
    return [
        *(sys.executable, "-m", "pllava_cli", "train", str(out / "clips" / "train.jsonl")),
        *("--model", str(out / "base"), "-o", str(out / "adapter")),
        *("--validation", str(out / "validation" / "train.jsonl")),
        *("--rank", str(LORA_RANK), "--alpha", str(LORA_RANK), "--dropout", "0", "--targets", "all"),
        *("--steps", str(VIDEO_STEPS), "--batch-size", "16", "--gradient-accumulation", "1"),
        *("--optimizer", "muon", "--learning-rate", "1e-3", "--warmup", "0.03", "--max-grad-norm", "1"),
        *("--dtype", "bf16" if fastest() == torch.bfloat16 else "fp32"),
        *("--save-every", "400", "--eval-every", "200", "--log-every", "20"),
    ]


def _tokenizer(file: Path) -> None:
    train_tokenizer((text for text in corpus(map(cast, range(40_000_000, 40_003_000)))), 1000).save(str(file))


def _base(tokenizer: Tokenizer, out: Path) -> None:
    text = language_model(tokenizer.get_vocab_size(), **special_ids(tokenizer))
    save_image_model(torch.load(out / "image.pt"), text, tokenizer, out / "base")


if __name__ == "__main__":
    main()
