"""What `caption` and `ask` have in common: load, encode, let the model speak, keep the record.

The engine arrives here and nowhere else among the commands; it is imported only once the request
has been found sound, as it brings torch with it.
"""

import gc
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pllava_cli import records
from pllava_cli.commands.fitting import checkpoint_options, fit, record_decoding
from pllava_cli.errors import PllavaError
from pllava_cli.inputs import Clip
from pllava_cli.phrases import counted
from pllava_cli.recording import Recording, model_of
from pllava_cli.settings import Settings
from pllava_cli.terminal import Terminal

if TYPE_CHECKING:
    from pllava_cli.engine import Answer, AnswerStream, Captioner, Decoding, EncodedClip
    from pllava_cli.visualstore.store import VisualStore

STAGES = {"loading": "loading the checkpoint", "decoding": "decoding", "encoding": "encoding"}
"""The engine's stages in words."""


@dataclass(frozen=True)
class Run:
    """One loaded checkpoint, and what is asked of every clip."""

    terminal: Terminal
    settings: Settings
    captioner: "Captioner"
    segment: records.Segment
    """The window of each clip."""

    def encode(self, clip: Clip) -> "EncodedClip":
        """Encode a clip, showing progress, and pass on what is odd about it.

        Raises:
            PllavaError: If it cannot be decoded.
        """
        self.terminal.progress.update(STAGES["decoding"], 0, 0)
        try:
            encoded = self.captioner.encode(clip.path, start=self.segment.start_s, end=self.segment.end_s)
        finally:
            self.terminal.pause()
        for warning in encoded.report.warnings:
            self.terminal.warn(f"{clip.path}: {warning}")
        if self.terminal.verbose:
            instants = ", ".join(f"{each:.2f}" for each in encoded.report.timestamps_s)
            self.terminal.detail(
                f"{clip.path}: frames at {instants} s; {counted(encoded.visual_tokens, 'visual token')}"
            )
        return encoded

    def ask(self, encoded: "EncodedClip", question: str | None) -> "AnswerStream":
        """Put a question (None: the request for a caption) without answering it yet.

        Raises:
            UsageError: It cannot be asked: it is too long.
        """
        return self.captioner.stream(encoded, question, decoding=decoding_of(self.settings))

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
                f"{encoded.path}: cut off after {counted(answer.new_tokens, 'token')}; see --max-new-tokens"
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
        record = recording_of(self.settings, self.captioner).record(
            clip,
            self.segment,
            question,
            file=records.File.of(clip.path),
            report=encoded.report if encoded else None,
            answer=answer,
            elapsed_s=(encoded.elapsed_s if encoded else {}) | (answer.elapsed_s if answer else {}),
            error=error,
        )
        self.terminal.json_line(records.to_json_line(record))


def decoding_of(settings: Settings) -> "Decoding":
    """Return how the settings have tokens chosen."""
    from pllava_cli.engine import Decoding

    return Decoding(settings.max_new_tokens, settings.temperature, settings.top_p, settings.seed)


def recording_of(settings: Settings, captioner: "Captioner") -> Recording:
    """Return what all records of a loaded checkpoint have in common."""
    return Recording(
        model=model_of(captioner),
        decoding=record_decoding(settings),
        system=captioner.system,
        prompt=captioner.caption_prompt if settings.prompt is None else settings.prompt,
    )


def load(
    terminal: Terminal, settings: Settings, window: tuple[float | None, float | None] = (None, None)
) -> Run:
    """Load the checkpoint, showing progress.

    Raises:
        PllavaError: If it is not on this machine, cannot be read or does not fit, or if a text of the
            user's holds what stands for the clip.
    """
    fitted = fit(terminal, settings)
    return Run(terminal, fitted, load_captioner(terminal, fitted), records.Segment(0, *window))


def load_captioner(
    terminal: Terminal, fitted: Settings, visual_store: "VisualStore | None" = None
) -> "Captioner":
    """Load the checkpoint with settings from `fit`, and say what is to be known of it; raises as `load`."""
    captioner = _captioner(terminal, fitted, visual_store)
    _tell(terminal, captioner)
    return captioner


def _captioner(terminal: Terminal, settings: Settings, visual_store: "VisualStore | None") -> "Captioner":
    terminal.progress.update(STAGES["loading"], 0, 0)
    try:
        from pllava_cli.engine import Captioner
        from pllava_cli.model import heap

        captioner = Captioner(
            **captioner_arguments(settings, visual_store),
            on_progress=lambda stage, done, total: terminal.progress.update(
                STAGES.get(stage, stage), done, total
            ),
        )
        if captioner.plan.device == "cpu":
            heap.keep_freed()
        return captioner
    finally:
        terminal.pause()


def captioner_arguments(settings: Settings, visual_store: "VisualStore | None") -> dict[str, Any]:
    """Return the arguments of `Captioner`, all but `on_progress`."""
    return {
        "model": settings.model,
        **checkpoint_options(settings),
        "system": settings.system,
        "decode_timeout_s": settings.decode_timeout_s,
        "visual_store": visual_store,
    }


def _tell(terminal: Terminal, captioner: "Captioner") -> None:
    """Pass on what the user should know of a loaded checkpoint."""
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


def release() -> None:
    """Give back the memory of a checkpoint that nothing refers to any more, before another is loaded."""
    gc.collect()  # modules and their hooks refer to each other
    if "torch" in sys.modules:
        from pllava_cli.model.memory import give_back

        give_back()
