"""What happens beside the training loop: the log, the progress display, whole checkpoints, a clean end."""

import json
import os
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

from transformers import TrainerCallback

from pllava_cli.signals import Signals
from pllava_cli.training import processes
from pllava_cli.training.output import write_whole
from pllava_cli.training.rundir import RunFolder
from pllava_cli.training.settings import Reporter

SPEED_STEPS = 20
"""Steps over which clips per second and the time left are reckoned."""
_LOGGED = ("loss", "learning_rate", "grad_norm", "eval_loss")


class Sealing(TrainerCallback):  # type: ignore[misc]
    """Declares each checkpoint whole once it is written."""

    def __init__(self, run: RunFolder, keep: int) -> None:
        self._run, self._keep = run, keep

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Seal it, once each process has written its part."""
        processes.wait_for_all()
        if state.is_world_process_zero:
            self._run.seal(state.global_step, self._keep)


class Log(TrainerCallback):  # type: ignore[misc]
    """Writes log.jsonl and tells the progress; of several processes, only the main one does.

    Args:
        file: Lines of steps that will be run again are cut away.
        reporter: Told of every step, and of looks at the validation data.
        clips_per_step: Of all devices together.
        resumed_at: The step after which the run goes on.
    """

    def __init__(self, file: Path, reporter: Reporter, clips_per_step: int, resumed_at: int) -> None:
        self._file, self._reporter = file, reporter
        self._clips = clips_per_step
        lines = [line for line in _lines(file) if line["step"] <= resumed_at] if resumed_at else []
        if processes.is_main():
            write_whole(file, "".join(json.dumps(line) + "\n" for line in lines))
        self._before_s = float(lines[-1].get("elapsed_s", 0.0)) if lines else 0.0
        self._began = time.monotonic()
        self._moments: deque[float] = deque(maxlen=SPEED_STEPS + 1)
        self.last = {name: line[name] for line in lines for name in _LOGGED if name in line}
        """The newest value of each thing logged."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Note when."""
        self._moments.append(time.monotonic())

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Tell the progress, and have the last step logged wherever it falls."""
        if state.global_step >= state.max_steps:
            control.should_log = True
        if state.is_world_process_zero:
            self._moments.append(time.monotonic())
            note = self._note(state.max_steps - state.global_step)
            self._reporter.progress("training", state.global_step, state.max_steps, note)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float], **_: Any) -> None:
        """Write a line."""
        if not state.is_world_process_zero or "train_runtime" in logs:
            return
        shown = {name: float(f"{logs[name]:.6g}") for name in _LOGGED if name in logs}
        self.last |= shown
        elapsed_s = round(self._before_s + time.monotonic() - self._began, 2)
        line = {"step": state.global_step, "epoch": round(state.epoch or 0.0, 4), **shown}
        if "loss" in shown:
            line["clips_per_s"] = round(self._steps_per_s() * self._clips, 3)
        with self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line | {"elapsed_s": elapsed_s}) + "\n")
        if "eval_loss" in shown:
            self._reporter.say(f"step {state.global_step}: validation loss {shown['eval_loss']:.4g}")
            self._moments.clear()  # the time of looking is not training's
            self._moments.append(time.monotonic())

    def _steps_per_s(self) -> float:
        if len(self._moments) < 2:
            return 0.0
        return (len(self._moments) - 1) / max(self._moments[-1] - self._moments[0], 1e-9)

    def _note(self, steps_left: int) -> str:
        parts = [f"loss {self.last['loss']:.3f}"] if "loss" in self.last else []
        parts += [f"lr {self.last['learning_rate']:.2g}"] if "learning_rate" in self.last else []
        if speed := self._steps_per_s():
            parts += [f"{speed * self._clips:.3g} clips/s", f"{_span(steps_left / speed)} left"]
        return ", ".join(parts)


class Stop(TrainerCallback):  # type: ignore[misc]
    """Ends a run after the step under way, with a checkpoint, when it is asked to end."""

    def __init__(self) -> None:
        self.signal: int | None = None
        """The signal that asked."""

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take the first SIGINT or SIGTERM for a request; the second has its usual effect."""

        def ask(number: int, frame: FrameType | None) -> None:
            self.signal = number
            taken.give_back()
            with suppress(OSError):  # past all buffers: this may come in the midst of any other writing
                os.write(2, b"\nending after this step, with a checkpoint; once more: at once\n")

        taken = Signals(ask)
        with taken:
            yield

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """End if asked to."""
        if self.signal is not None:
            control.should_save = control.should_training_stop = True


def _lines(file: Path) -> list[dict[str, Any]]:
    found = []
    for line in file.read_text(encoding="utf-8").splitlines() if file.exists() else []:
        try:
            found.append(json.loads(line))
        except ValueError:
            break  # torn by a kill
    return found


def _span(seconds: float) -> str:
    minutes = int(seconds // 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{minutes} min" if minutes else f"{int(seconds)} s"
