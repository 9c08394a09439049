"""A base, clips and data files of the smallest kind, shared by the tests of training."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from pllava_cli.training.settings import Recipe, TrainSettings
from tests.checkpoints import write_plain
from tests.clips import write_clip

CLIPS = 8


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory, one_thread: None) -> Path:
    return write_plain(tmp_path_factory.mktemp("training") / "base")


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of clips 0.mp4 … and a picture, still.png."""
    folder = tmp_path_factory.mktemp("clips")
    for number in range(CLIPS):
        write_clip(folder / f"{number}.mp4", seed=number)
    picture = np.random.default_rng(99).integers(0, 256, (48, 64, 3), np.uint8)
    assert cv2.imwrite(str(folder / "still.png"), picture)
    return folder


def conversation(clip: Path | str, question: str = "What is it?", answer: str = " A bird.") -> dict[str, Any]:
    return {
        "video": str(clip),
        "conversations": [
            {"from": "human", "value": f"<image>\n{question}"},
            {"from": "gpt", "value": answer},
        ],
    }


def write_lines(file: Path, lines: Iterable[dict[str, Any] | str]) -> Path:
    file.write_text("".join((each if isinstance(each, str) else json.dumps(each)) + "\n" for each in lines))
    return file


@pytest.fixture
def data(tmp_path: Path, clips: Path) -> Path:
    """A conversation about each clip, each with its own answer."""
    return write_lines(
        tmp_path / "data.jsonl",
        (
            conversation(clips / f"{number}.mp4", answer=f" Bird {'abcdefgh'[number]}.")
            for number in range(CLIPS)
        ),
    )


@dataclass
class Heard:
    """A reporter that remembers."""

    said: list[str] = field(default_factory=list)
    warned: list[str] = field(default_factory=list)
    steps: list[tuple[str, int, int, str]] = field(default_factory=list)

    def progress(self, stage: str, done: int, total: int, note: str = "") -> None:
        self.steps.append((stage, done, total, note))

    def say(self, text: str) -> None:
        self.said.append(text)

    def warn(self, text: str) -> None:
        self.warned.append(text)


@pytest.fixture
def heard() -> Heard:
    return Heard()


QUICK = {
    "steps": 4,
    "batch_size": 2,
    "gradient_accumulation": 1,
    "learning_rate": 5e-3,
    "warmup": 0.1,
    "rank": 4,
    "alpha": 8.0,
}


@pytest.fixture
def quick(base: Path, data: Path, tmp_path: Path) -> Callable[..., TrainSettings]:
    """Settings of a short run; keywords change the recipe or the run."""

    def settings(**changes: Any) -> TrainSettings:
        of_recipe = {name: changes.pop(name) for name in list(changes) if name in Recipe.__annotations__}
        run: dict[str, Any] = {
            "data": (data,),
            "out": tmp_path / "out",
            "model": str(base),
            "device": "cpu",
            "dtype": "fp32",
            "quantize": "none",
            "log_every": 1,
            "save_every": 2,
        }
        return TrainSettings(**(run | changes), recipe=Recipe(**(QUICK | of_recipe)))

    return settings
