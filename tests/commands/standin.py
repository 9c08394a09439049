"""A stand-in for the model of an evaluation: real clips, decoders, pipeline and journals, and set answers."""

import gc
import json
import weakref
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pllava_cli.batch.pipeline import Pipeline, Runner
from pllava_cli.commands import fitting, places
from pllava_cli.commands.staffing import Needs
from pllava_cli.errors import UsageError
from pllava_cli.recording import Recording
from pllava_cli.records import Decoding, Model
from pllava_cli.settings import Settings
from pllava_cli.terminal import Terminal
from tests.batch.running import LOOK, Engine
from tests.clips import write_clip
from tests.commands.results import Run

CLIPS = 2
RIGHT = "B)"
"""What the stand-in says; of multiple-choice questions, the second option."""


@dataclass
class Stage:
    """What the stand-in for a checkpoint did."""

    engine: Engine = field(default_factory=lambda: Engine(says=RIGHT))
    opened: list[Recording] = field(default_factory=list)
    alive: list[int] = field(default_factory=list)
    """Checkpoints that were still held when one was opened."""
    held: "weakref.WeakSet[Pipeline]" = field(default_factory=weakref.WeakSet)
    most_frames: int = 64


@dataclass(frozen=True)
class Place:
    """Where the stand-in runs."""

    stage: Stage
    needs: Needs
    fitted: Settings

    def foresee(self) -> Recording:
        return recording(self.fitted, self.needs)

    def open(self) -> tuple[Recording, Runner]:
        made = recording(self.fitted, self.needs)
        gc.collect()
        self.stage.alive.append(len(self.stage.held))
        self.stage.opened.append(made)
        pipeline = Pipeline(self.stage.engine, made, LOOK, made.decoding, workers=1, batch_size=2)  # type: ignore[arg-type]
        self.stage.held.add(pipeline)
        return made, pipeline


def recording(fitted: Settings, needs: Needs) -> Recording:
    alpha = 4.0 if fitted.alpha is None else fitted.alpha
    shape = fitted.pooling_shape if isinstance(fitted.pooling_shape, tuple) else (2, 2, 2)
    model = Model("stand-in", None, None, alpha, "fp32", "none", fitted.num_frames or 2, shape)
    decoding = Decoding(fitted.max_new_tokens, fitted.temperature, fitted.top_p, fitted.seed)
    return Recording(model, decoding, fitted.system or "", "Describe it.", needs.turn)


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    """The stand-in, in the place of every checkpoint."""
    stage = Stage()

    def find(stack: ExitStack, terminal: Terminal, needs: Needs, fitted: Settings) -> Place:
        return Place(stage, needs, fitted)

    def foresee(fitted: Settings) -> None:
        if (fitted.num_frames or 0) > stage.most_frames:
            raise UsageError(f"{fitted.num_frames} frames are too many", "choose fewer")

    monkeypatch.setattr(places, "find", find)
    monkeypatch.setattr(fitting, "foresee", foresee)
    return stage


@pytest.fixture(scope="session")
def short_clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of clips: clip0.mp4, clip1.mp4."""
    folder = tmp_path_factory.mktemp("short")
    for number in range(CLIPS):
        write_clip(folder / f"clip{number}.mp4", seed=number)
    return folder


@pytest.fixture
def evaluate(command: Run, stage: Stage) -> Run:
    """Run `pllava eval` in this process."""
    return partial(command, "eval")


def result(folder: str = "out") -> dict[str, Any]:
    read: dict[str, Any] = json.loads(Path(folder, "result.json").read_text())
    return read


def rows(out: str) -> dict[str, list[str]]:
    """The table's rows by their first word."""
    return {line.split()[0]: line.split()[1:] for line in out.splitlines() if line}
