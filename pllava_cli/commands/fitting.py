"""What is settled before a checkpoint is loaded: that it is here, and that what is asked fits it.

All that can be refused is refused here in a moment, where loading takes minutes; `foresee` alone brings torch
with it.
"""

import os
import warnings
from dataclasses import replace
from typing import Any

from pllava_cli import records, registry
from pllava_cli.errors import CheckpointError
from pllava_cli.prompts import CAPTION, SYSTEM, check_text
from pllava_cli.recording import Recording, model_of
from pllava_cli.settings import Settings, described
from pllava_cli.terminal import Terminal


def fit(terminal: Terminal, settings: Settings) -> Settings:
    """Return the settings as they fit the checkpoint; what can be refused without loading it is refused.

    Raises:
        PllavaError: It is not on this machine, or a text of the user's holds what stands for the clip.
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


def _within_checkpoint(settings: Settings) -> Settings:
    """Reduce what a preset gives to what the checkpoint has itself: a preset never makes it dearer."""
    if not settings.from_preset:
        return settings
    own = registry.surveyed(registry.find(settings.model))
    num_frames, pooling_shape = settings.num_frames, settings.pooling_shape
    if "frames" in settings.from_preset and num_frames and own.num_frames:
        num_frames = min(num_frames, own.num_frames)
    if "pooling_shape" in settings.from_preset and isinstance(pooling_shape, tuple) and own.pooling_shape:
        slots, rows, columns = map(min, pooling_shape, own.pooling_shape)
        pooling_shape = slots, rows, columns
    return replace(settings, num_frames=num_frames, pooling_shape=pooling_shape)


def prepare_libraries(offline: bool, *, quietly: bool) -> None:
    """Set what the libraries read when they are first imported."""
    if quietly:
        warnings.simplefilter("ignore")  # meant for developers; what the user should know, the engine says
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")  # ours is the one progress display
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # warns about forks otherwise
    if offline:
        os.environ["HF_HUB_OFFLINE"] = os.environ["TRANSFORMERS_OFFLINE"] = "1"


def foresee(settings: Settings) -> Recording:
    """Return what records will have in common, from a look at the checkpoint without its weights.

    Raises:
        PllavaError: It cannot be loaded.
    """
    from pllava_cli.loader import check_checkpoint

    checked = check_checkpoint(settings.model, **checkpoint_options(settings))
    system = SYSTEM if settings.system is None else settings.system
    prompt = CAPTION if settings.prompt is None else settings.prompt
    return Recording(model_of(checked), record_decoding(settings), system, prompt)


def record_decoding(settings: Settings) -> records.Decoding:
    """Return what records say of how tokens are chosen."""
    return records.Decoding(settings.max_new_tokens, settings.temperature, settings.top_p, settings.seed)


def checkpoint_options(settings: Settings) -> dict[str, Any]:
    """Return what a checkpoint is looked at and loaded with."""
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
