"""What `caption` and `ask` have in common: load, encode, let the model speak, keep the record.

The engine arrives here and nowhere else among the commands; it is imported only once the request
has been found sound, as it brings torch with it.
"""

import math
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pllava_cli import records, registry
from pllava_cli.errors import PllavaError
from pllava_cli.inputs import Clip
from pllava_cli.prompts import check_text
from pllava_cli.settings import Settings, described
from pllava_cli.terminal import Terminal

if TYPE_CHECKING:
    from pllava_cli.engine import Answer, AnswerStream, Captioner, EncodedClip

STAGES = {"loading": "loading the checkpoint", "decoding": "decoding", "encoding": "encoding"}
"""The engine's stages in words."""


@dataclass(frozen=True)
class Run:
    """One loaded checkpoint, and what is asked of every clip."""

    terminal: Terminal
    settings: Settings
    captioner: "Captioner"
    task: Literal["caption", "ask"]
    start_s: float | None
    end_s: float | None

    def encode(self, clip: Clip) -> "EncodedClip":
        """Encode a clip, showing progress, and pass on what is odd about it.

        Raises:
            PllavaError: If it cannot be decoded.
        """
        self.terminal.progress.update(STAGES["decoding"], 0, 0)
        try:
            encoded = self.captioner.encode(clip.path, start=self.start_s, end=self.end_s)
        finally:
            self.terminal.pause()
        for warning in encoded.report.warnings:
            self.terminal.warn(f"{clip.path}: {warning}")
        if self.terminal.verbose:
            instants = ", ".join(f"{each:.2f}" for each in encoded.report.timestamps_s)
            self.terminal.detail(
                f"{clip.path}: frames at {instants} s; {encoded.visual_tokens} visual tokens"
            )
        return encoded

    def ask(self, encoded: "EncodedClip", question: str | None) -> "AnswerStream":
        """Put a question (None: the request for a caption) without answering it yet.

        Raises:
            UsageError: It cannot be asked: it is too long.
        """
        from pllava_cli.engine import Decoding

        chosen = self.settings
        decoding = Decoding(
            max_new_tokens=chosen.max_new_tokens,
            temperature=chosen.temperature,
            top_p=chosen.top_p,
            seed=chosen.seed,
        )
        return self.captioner.stream(encoded, question, decoding=decoding)

    def say(self, encoded: "EncodedClip", stream: "AnswerStream", *, show: bool) -> "Answer":
        """Let the model answer. Shown, the text appears as it comes."""
        self.terminal.progress.update("answering", 0, 0)
        for piece in stream:
            if show:
                self.terminal.piece(piece)
        answer = stream.answer
        if show:
            self.terminal.line()
        self.terminal.pause()
        if not answer.text.strip():
            self.terminal.warn(f"{encoded.path}: the model said nothing")
        elif answer.stopped == "length":
            self.terminal.warn(
                f"{encoded.path}: cut off after {answer.new_tokens} tokens; see --max-new-tokens"
            )
        elif answer.stopped == "repetition":
            self.terminal.warn(f"{encoded.path}: cut off where the model began to repeat itself")
        spent = {**encoded.elapsed_s, **answer.elapsed_s}
        self.terminal.detail(", ".join(f"{name} {value:.2f} s" for name, value in spent.items()))
        return answer

    def write_record(
        self,
        clip: Clip,
        question: str | None,
        encoded: "EncodedClip | None" = None,
        answer: "Answer | None" = None,
        error: PllavaError | None = None,
    ) -> None:
        """Write the record of one answer, or of the error in its place, as a line of JSON."""
        report = encoded.report if encoded else None
        record = records.Record(
            id=clip.id,
            path=records.path_text(clip.path),
            task=self.task,
            question=self.captioner.caption_prompt if question is None else question,
            system=self.captioner.system,
            segment=records.Segment(0, self.start_s, self.end_s),
            model=self._model(),
            decoding=self._decoding(answer),
            file=records.File.of(clip.path),
            text=answer.text if answer else None,
            frames=_frames(report) if report else None,
            media=_media(report) if report else None,
            elapsed_s=_elapsed(encoded, answer),
            error=records.Error.of(error) if error else None,
        )
        self.terminal.json_line(records.to_json_line(record))

    def _model(self) -> records.Model:
        captioner = self.captioner
        return records.Model(
            name=captioner.checkpoint.name,
            revision=captioner.checkpoint.revision,
            base=str(captioner.base) if captioner.base else None,
            alpha=captioner.alpha,
            dtype=captioner.plan.dtype,
            quantize=captioner.plan.quantize,
            num_frames=captioner.num_frames,
            pooling_shape=captioner.pooling_shape,
        )

    def _decoding(self, answer: "Answer | None") -> records.Decoding:
        return records.Decoding(
            max_new_tokens=self.settings.max_new_tokens,
            temperature=self.settings.temperature,
            top_p=self.settings.top_p,
            seed=self.settings.seed,
            stopped=answer.stopped if answer else None,
            new_tokens=answer.new_tokens if answer else None,
        )


def load(
    terminal: Terminal,
    settings: Settings,
    task: Literal["caption", "ask"],
    window: tuple[float | None, float | None],
) -> Run:
    """Load the checkpoint, showing progress.

    Raises:
        PllavaError: If it is not on this machine, cannot be read or does not fit, or if a text of the
            user's holds what stands for the clip.
    """
    check_text(settings.system or "", "the system text")
    check_text(settings.prompt or "", "the prompt")
    for name, value, origin in described(settings):
        terminal.detail(f"{name} = {value}  ({origin})")
    prepare_libraries(settings.offline, quietly=terminal.verbose < 2)
    for name in filter(None, (settings.model, settings.base)):  # in a moment, before torch is imported
        registry.locate(registry.find(name), offline=settings.offline)
    terminal.progress.update(STAGES["loading"], 0, 0)
    try:
        from pllava_cli.engine import Captioner

        captioner = Captioner(
            settings.model,
            alpha=settings.alpha,
            dtype=settings.dtype,
            quantize=settings.quantize,
            device=settings.device,
            base=settings.base,
            num_frames=settings.num_frames,
            pooling_shape=settings.pooling_shape,
            system=settings.system,
            offline=settings.offline,
            decode_timeout_s=settings.decode_timeout_s,
            on_progress=lambda stage, done, total: terminal.progress.update(
                STAGES.get(stage, stage), done, total
            ),
        )
    finally:
        terminal.pause()
    for warning in captioner.warnings:
        terminal.warn(warning)
    if captioner.checkpoint.notice:
        terminal.note(f"{captioner.checkpoint.name}: {captioner.checkpoint.notice}")
    plan = captioner.plan
    how = f"{plan.device}, {plan.dtype}, quantisation {plan.quantize}"
    if captioner.alpha is not None:
        how += f", LoRA merged at alpha {captioner.alpha:g}"
    terminal.detail(f"{captioner.checkpoint.name} on {how}")
    for reason in plan.reasons:
        terminal.detail(f"  {reason}")
    return Run(terminal, settings, captioner, task, *window)


def prepare_libraries(offline: bool, *, quietly: bool) -> None:
    """Set what the libraries read when they are first imported."""
    if quietly:
        warnings.simplefilter("ignore")  # meant for developers; what the user should know, the engine says
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")  # ours is the one progress display
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # warns about forks otherwise
    if offline:
        os.environ["HF_HUB_OFFLINE"] = os.environ["TRANSFORMERS_OFFLINE"] = "1"


def _frames(report: Any) -> records.Frames:
    return records.Frames(
        indices=[int(each) for each in report.indices],
        timestamps_s=[round(float(each), 6) for each in report.timestamps_s],
    )


def _media(report: Any) -> records.Media:
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


def _elapsed(encoded: "EncodedClip | None", answer: "Answer | None") -> Mapping[str, float]:
    spent = (encoded.elapsed_s if encoded else {}) | (answer.elapsed_s if answer else {})
    return {name: round(value, 4) for name, value in spent.items()}
