"""Step (c): the paper's own step, by the project's own command.

Clips are written as video files with a line of conversation each, and `pllava train` teaches the
image model of step (b) what happens over time: LoRA and projector, frames pooled.
"""

import json
import multiprocessing
from pathlib import Path
from random import Random

from pllava_cli.shapes.casting import cast
from pllava_cli.shapes.render import film, write_clip
from recipes.tiny.texts import about, one_of, system

TRAINING, VALIDATION = 50_000_000, 60_000_000
"""First scene seeds of the clips to train on and of those to watch the loss on."""


def write_videos(folder: Path, *, first: int, count: int, lines_each: int = 2, jobs: int = 2) -> Path:
    """Write clips of the seeds from `first` on and a data file for `pllava train`; return that file.

    Of several lines about a clip all but the first are long conversations: seeing a clip costs more than
    talking about it. The first is what a user would begin with, and what a validation loss is to tell of.
    """
    (folder / "clips").mkdir(parents=True, exist_ok=True)
    tasks = [(folder, seed, lines_each) for seed in range(first, first + count)]
    data, partial = folder / "train.jsonl", folder / "train.partial"
    with multiprocessing.get_context("spawn").Pool(jobs) as pool, partial.open("w", encoding="utf-8") as out:
        for lines in pool.imap(_write, tasks, chunksize=50):
            out.writelines(lines)
    return partial.rename(data)


def _write(task: tuple[Path, int, int]) -> list[str]:
    folder, seed, lines_each = task
    scene = cast(seed)
    clip = folder / "clips" / f"{seed}.mp4"
    if not clip.exists():  # an interrupted run goes on
        partial = clip.with_suffix(".partial.mp4")
        write_clip(partial, scene, film(seed))
        partial.rename(clip)
    lines = []
    for number in range(lines_each):
        rng = Random(f"video {seed} {number}")
        turns = about(scene, rng, 2, 2) if number else one_of(scene, rng)
        said = [
            {"from": who, "value": text}
            for turn in turns
            for who, text in zip(("human", "gpt"), turn, strict=True)
        ]
        said[0]["value"] = f"<image>\n{said[0]['value']}"
        line = {
            "id": f"{seed}/{number}",
            "video": f"clips/{clip.name}",
            "system": system(rng),
            "conversations": said,
        }
        lines.append(json.dumps(line) + "\n")
    return lines
