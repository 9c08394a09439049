"""What `caption` and `ask` have in common: load, encode, let the model speak, keep the record.

The engine arrives here and nowhere else among the commands; it is imported only once the request
has been found sound, as it brings torch with it.
"""

import gc
import os
import sys
import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pllava_cli import records, registry
from pllava_cli.errors import CheckpointError, PllavaError
from pllava_cli.inputs import Clip
from pllava_cli.prompts import CAPTION, SYSTEM, check_text
from pllava_cli.recording import Recording, model_of
from pllava_cli.settings import Settings, described
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
                f"{clip.path}: frames at {instants} s; {encoded.visual_tokens} visual tokens"
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


def record_decoding(settings: Settings) -> records.Decoding:
    """Return what records say of how tokens are chosen."""
    return records.Decoding(settings.max_new_tokens, settings.temperature, settings.top_p, settings.seed)


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


def fit(terminal: Terminal, settings: Settings) -> Settings:
    """Return the settings as they fit the checkpoint, having refused in a moment what can be.

    Raises:
        PllavaError: As `load`, without a look at the weights.
    """
    check_text(settings.system or "", "the system text")
    check_text(settings.prompt or "", "the prompt")
    for name, value, origin in described(settings):
        terminal.detail(f"{name} = {value}  ({origin})")
    prepare_libraries(settings.offline, quietly=terminal.verbose < 2)
    for name in filter(None, (settings.model, settings.base)):  # in a moment, before torch is imported
        _locate(terminal, registry.find(name), settings)
    if settings.base is None:
        _locate_base(terminal, settings)
    fitted = _within_checkpoint(settings)
    for name, value, _ in sorted(set(described(fitted)) - set(described(settings))):
        terminal.detail(f"{name} = {value}  (the checkpoint's own is less than the preset's)")
    return fitted


def _locate(terminal: Terminal, checkpoint: registry.Checkpoint, settings: Settings) -> None:
    """Make sure that a checkpoint is on this machine; what is missing is fetched only if the user says so.

    Raises:
        CheckpointError: It is not there, or is no checkpoint.
    """
    try:
        registry.locate(checkpoint, offline=settings.offline)
    except CheckpointError as error:
        if checkpoint.repo is None or settings.offline:
            raise
        question = f"{error.message}. Fetch it now from {checkpoint.repo}?"
        if not settings.pull and not (terminal.can_ask() and terminal.agreed(question)):
            raise
        from pllava_cli.commands import pulling

        pulling.fetch(terminal, checkpoint)


def _locate_base(terminal: Terminal, settings: Settings) -> None:
    """Make sure that what an adapter lies over is on this machine too; as `_locate`."""
    checkpoint = registry.find(settings.model)
    folder = registry.locate(checkpoint, offline=settings.offline)
    base = registry.base_named(checkpoint, folder)
    if base is None:
        return
    try:
        _locate(terminal, registry.find(base), settings)
    except CheckpointError as error:
        raise registry.without_base(folder, base, error) from None


def foresee(settings: Settings) -> Recording:
    """Return what records will have in common, from a look at the checkpoint without its weights.

    Raises:
        PllavaError: It cannot be loaded.
    """
    from pllava_cli.loader import check_checkpoint

    checked = check_checkpoint(settings.model, **_checkpoint_options(settings))
    prepared = checked.prepared
    slots, rows, columns = prepared.model.config.pooling_shape
    model = records.Model(
        name=checked.checkpoint.name,
        revision=checked.checkpoint.revision,
        base=str(checked.base) if checked.base else None,
        alpha=checked.alpha if prepared.has_lora else None,
        dtype=prepared.plan.dtype,
        quantize=prepared.plan.quantize,
        num_frames=prepared.model.config.num_frames,
        pooling_shape=(slots, rows, columns),
        keep_tokens=settings.keep_tokens,
        encode=prepared.plan.encode,
    )
    system = SYSTEM if settings.system is None else settings.system
    prompt = CAPTION if settings.prompt is None else settings.prompt
    return Recording(model, record_decoding(settings), system, prompt)


def load_captioner(
    terminal: Terminal, fitted: Settings, visual_store: "VisualStore | None" = None
) -> "Captioner":
    """Load the checkpoint with settings from `fit`, and say what is to be known of it; raises as `load`."""
    captioner = _captioner(terminal, fitted, visual_store)
    _tell(terminal, captioner)
    return captioner


def _within_checkpoint(settings: Settings) -> Settings:
    """Reduce what a preset gives to what the checkpoint has itself: a preset never makes it dearer."""
    if not settings.from_preset:
        return settings
    named = registry.find(settings.model)
    written = registry.surveyed(named)  # what weights.toml leaves out, its files say
    num_frames, pooling_shape = settings.num_frames, settings.pooling_shape
    own_frames = named.num_frames or written.num_frames
    own_shape = named.pooling_shape or written.pooling_shape
    if "frames" in settings.from_preset and num_frames and own_frames:
        num_frames = min(num_frames, own_frames)
    if "pooling_shape" in settings.from_preset and isinstance(pooling_shape, tuple) and own_shape:
        slots, rows, columns = map(min, pooling_shape, own_shape)
        pooling_shape = slots, rows, columns
    return replace(settings, num_frames=num_frames, pooling_shape=pooling_shape)


def _captioner(
    terminal: Terminal, settings: Settings, visual_store: "VisualStore | None" = None
) -> "Captioner":
    terminal.progress.update(STAGES["loading"], 0, 0)
    try:
        from pllava_cli.engine import Captioner

        return Captioner(
            **captioner_arguments(settings, visual_store),
            on_progress=lambda stage, done, total: terminal.progress.update(
                STAGES.get(stage, stage), done, total
            ),
        )
    finally:
        terminal.pause()


def captioner_arguments(settings: Settings, visual_store: "VisualStore | None" = None) -> dict[str, Any]:
    """Return what `Captioner` is made with, but for who is told how far it is."""
    kept = {} if visual_store is None else {"visual_store": visual_store}
    return {
        "model": settings.model,
        **_checkpoint_options(settings),
        "system": settings.system,
        "decode_timeout_s": settings.decode_timeout_s,
        **kept,
    }


def _checkpoint_options(settings: Settings) -> dict[str, Any]:
    return {
        "alpha": settings.alpha,
        "dtype": settings.dtype,
        "quantize": settings.quantize,
        "encode": settings.encode,
        "device": settings.device,
        "base": settings.base,
        "num_frames": settings.num_frames,
        "pooling_shape": settings.pooling_shape,
        "keep_tokens": settings.keep_tokens,
        "offline": settings.offline,
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


def prepare_libraries(offline: bool, *, quietly: bool) -> None:
    """Set what the libraries read when they are first imported."""
    if quietly:
        warnings.simplefilter("ignore")  # meant for developers; what the user should know, the engine says
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")  # ours is the one progress display
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # warns about forks otherwise
    if offline:
        os.environ["HF_HUB_OFFLINE"] = os.environ["TRANSFORMERS_OFFLINE"] = "1"
