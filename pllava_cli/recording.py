"""From an answer to its record: what all records of a run have in common, and what is each one's own.

What a record would say of checkpoint, texts and settings is known before a clip is looked at, so that
a run can tell which records are there already.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from pllava_cli import records
from pllava_cli.errors import PllavaError
from pllava_cli.inputs import Clip
from pllava_cli.records import File, Segment, Turn

if TYPE_CHECKING:
    from pathlib import Path

    from pllava_cli.answers import Answer
    from pllava_cli.model.plan import RuntimePlan
    from pllava_cli.registry import Checkpoint
    from pllava_cli.video.report import DecodeReport


class Opened(Protocol):
    """A checkpoint, loaded or about to be: what records say of it."""

    @property
    def checkpoint(self) -> "Checkpoint":
        """Its entry in the registry."""

    @property
    def base(self) -> "Path | None":
        """What an adapter lies over."""

    @property
    def alpha(self) -> float | None:
        """Strength of the LoRA."""

    @property
    def plan(self) -> "RuntimePlan":
        """How it runs."""

    @property
    def num_frames(self) -> int:
        """Frames of a clip."""

    @property
    def pooling_shape(self) -> tuple[int, int, int]:
        """Visual tokens that remain after pooling."""

    @property
    def keep_tokens(self) -> float:
        """The share of these that is left."""


def model_of(opened: Opened) -> records.Model:
    """Describe a checkpoint and how it runs."""
    return records.Model(
        name=opened.checkpoint.name,
        revision=opened.checkpoint.revision,
        base=str(opened.base) if opened.base else None,
        alpha=opened.alpha,
        dtype=opened.plan.dtype,
        quantize=opened.plan.quantize,
        num_frames=opened.num_frames,
        pooling_shape=opened.pooling_shape,
        keep_tokens=opened.keep_tokens,
        encode=opened.plan.encode,
    )


@dataclass(frozen=True)
class Recording:
    """What all records of a run have in common."""

    model: records.Model
    decoding: records.Decoding
    system: str
    prompt: str
    """The instruction that asks for a caption."""
    turn: Turn = field(default_factory=Turn)
    """How questions are written out."""

    def record(
        self,
        clip: Clip,
        segment: Segment,
        question: str | None,
        *,
        file: File | None,
        report: "DecodeReport | None" = None,
        answer: "Answer | None" = None,
        elapsed_s: Mapping[str, float] | None = None,
        error: PllavaError | None = None,
    ) -> records.Record:
        """Make the record of one answer, or of the error in its place, or of an answer to come.

        Args:
            clip: The clip.
            segment: The part of it that was looked at.
            question: None: a caption.
            file: What the file was when it was looked at.
            report: How it was decoded.
            answer: What the model said.
            elapsed_s: Seconds by step.
            error: Why there is no text.
        """
        decoding = self.decoding
        if answer is not None:
            decoding = replace(decoding, stopped=answer.stopped, new_tokens=answer.new_tokens)
        return records.Record(
            id=clip.id,
            path=records.path_text(clip.path),
            task="caption" if question is None else "ask",
            question=self.prompt if question is None else question,
            system=self.system,
            segment=segment,
            model=self.model,
            decoding=decoding,
            turn=self.turn,
            file=file,
            text=answer.text if answer else None,
            frames=_frames(report) if report else None,
            media=_media(report) if report else None,
            elapsed_s={name: round(value, 4) for name, value in (elapsed_s or {}).items()},
            error=records.Error.of(error) if error else None,
        )


def _frames(report: "DecodeReport") -> records.Frames:
    return records.Frames(
        indices=[int(each) for each in report.indices],
        timestamps_s=[round(float(each), 6) for each in report.timestamps_s],
    )


def _media(report: "DecodeReport") -> records.Media:
    return records.Media(
        duration_s=_finite(report.duration_s),
        fps=_finite(report.fps),
        width_px=report.width_px,
        height_px=report.height_px,
        rotation_deg=report.rotation_deg,
        codec=report.codec,
        frames_header=report.frames_header,
        frames_decoded=report.frames_decoded,
        warnings=list(report.warnings),
    )


def _finite(value: float | None) -> float | None:
    """Drop what JSON cannot hold: a broken header may give an infinite rate."""
    return round(float(value), 6) if value is not None and math.isfinite(value) else None
