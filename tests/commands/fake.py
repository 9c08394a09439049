"""A stand-in for the engine that says what a test has queued, without torch.

`install` puts it in the place of `pllava_cli.engine`; `test_fake.py` holds it against the real one.
"""

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from pllava_cli import registry
from pllava_cli.errors import ClipError


@dataclass(frozen=True)
class Decoding:
    max_new_tokens: int = 256
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None


@dataclass(frozen=True)
class Answer:
    text: str
    question: str | None
    stopped: str
    new_tokens: int
    elapsed_s: dict[str, float]


@dataclass
class Script:
    """What the fake does and what it was asked for."""

    answers: list[Any] = field(default_factory=list)
    """Texts, pieces of a text, or errors to raise, in order; the last one repeats."""
    broken: dict[str, Exception] = field(default_factory=dict)
    """Errors to raise on encoding, by name of the file."""
    load_error: BaseException | None = None
    stopped: str = "eos"
    pause_s: float = 0.0
    """Seconds between pieces."""
    warnings: tuple[str, ...] = ()
    clip_warnings: tuple[str, ...] = ()
    loaded: list[dict[str, Any]] = field(default_factory=list)
    encoded: list[tuple[str, float | None, float | None]] = field(default_factory=list)
    asked: list[tuple[str | None, Any]] = field(default_factory=list)


class AnswerStream(Iterator[str]):
    def __init__(self, script: Script, said: Any, question: str | None) -> None:
        self._pieces = [said] if isinstance(said, str) else list(said)
        self._script, self._question, self._said = script, question, ""

    def __next__(self) -> str:
        if not self._pieces:
            raise StopIteration
        if self._said:
            time.sleep(self._script.pause_s)
        piece = self._pieces.pop(0)
        if isinstance(piece, BaseException):
            raise piece
        self._said += piece
        return piece

    @property
    def answer(self) -> Answer:
        for _ in self:
            pass
        elapsed = {"first_token": 0.1, "generate": 0.5}
        return Answer(self._said, self._question, self._script.stopped, len(self._said.split()), elapsed)


def make_captioner(script: Script) -> type:
    class Captioner:
        def __init__(
            self,
            model: str | Path | None = None,
            *,
            alpha: float | None = None,
            dtype: str = "auto",
            quantize: str = "auto",
            encode: str = "auto",
            device: str = "auto",
            base: str | Path | None = None,
            num_frames: int | None = None,
            pooling_shape: tuple[int, int, int] | None = None,
            keep_tokens: float = 1.0,
            system: str | None = None,
            offline: bool = False,
            decode_timeout_s: float = 60.0,
            on_progress: Callable[[str, int, int], None] | None = None,
            visual_store: object | None = None,
        ) -> None:
            script.loaded.append(
                {
                    key: value
                    for key, value in locals().items()
                    if key not in ("self", "script", "visual_store")
                }
            )
            if script.load_error is not None:
                raise script.load_error
            self.checkpoint = registry.find(model if model is not None else registry.defaults().model)
            self.plan = SimpleNamespace(
                device="cpu", dtype="fp32", quantize="none", encode="exact", reasons=("it fits",)
            )
            self.alpha = 4.0 if alpha is None else alpha
            self.num_frames = num_frames or 16
            self.pooling_shape = pooling_shape or (16, 12, 12)
            self.keep_tokens = keep_tokens
            self.base = base
            self.warnings = script.warnings
            self.system = "a system text" if system is None else system
            self.caption_prompt = "the default instruction"
            self._tell = on_progress or (lambda stage, done, total: None)
            self._tell("loading", 3, 3)

        def encode(self, path: str | Path, *, start: float | None = None, end: float | None = None) -> Any:
            path = Path(path)
            script.encoded.append((str(path), start, end))
            self._tell("decoding", 0, self.num_frames)
            if path.name in script.broken:
                raise script.broken[path.name]
            self._tell("encoding", self.num_frames, self.num_frames)
            report = SimpleNamespace(
                indices=list(range(self.num_frames)),
                timestamps_s=[each / 8 for each in range(self.num_frames)],
                duration_s=2.0,
                fps=float("inf"),
                width_px=64,
                height_px=48,
                rotation_deg=90,
                codec="h264",
                frames_header=20,
                frames_decoded=None,
                warnings=script.clip_warnings,
                method="scan",
            )
            elapsed = {"decode": 0.2, "encode": 0.3}
            return SimpleNamespace(path=path, report=report, visual_tokens=2304, elapsed_s=elapsed)

        def stream(
            self,
            encoded: Any,
            question: str | None = None,
            *,
            decoding: Any = None,
            answer_start: str = "",
        ) -> AnswerStream:
            script.asked.append((question, decoding))
            said = script.answers.pop(0) if len(script.answers) > 1 else script.answers[0]
            if isinstance(said, BaseException):
                raise said
            return AnswerStream(script, said, question)

    return Captioner


def install(script: Script) -> ModuleType:
    """Put the fake into the place of the engine and return the module."""
    module = ModuleType("pllava_cli.engine")
    vars(module).update(Captioner=make_captioner(script), Decoding=Decoding, Answer=Answer)
    sys.modules["pllava_cli.engine"] = module
    return module


def broken_clip(name: str) -> ClipError:
    return ClipError(f"{name} cannot be decoded", "convert it")
