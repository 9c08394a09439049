"""From the name of a checkpoint to a network and its processor: the registry meets the model."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pllava_cli import registry
from pllava_cli.model.device import RuntimePlan
from pllava_cli.model.layout import is_adapter
from pllava_cli.model.loading import LoadOptions, prepare
from pllava_cli.model.modeling import PllavaForConditionalGeneration
from pllava_cli.model.processing import Processor
from pllava_cli.model.tensors import list_tensors
from pllava_cli.prompts import VIDEO_PLACEHOLDER


@dataclass(frozen=True)
class Opened:
    """A checkpoint ready for use."""

    checkpoint: registry.Checkpoint
    model: PllavaForConditionalGeneration
    processor: Processor
    plan: RuntimePlan
    alpha: float | None
    """Strength at which LoRA was merged; `None` where the checkpoint has none."""
    base: Path | None
    """Folder of the checkpoint that an adapter lies over."""


def load_model(
    path_or_name: str | Path,
    *,
    alpha: float | None = None,
    dtype: str = "auto",
    quantize: str = "auto",
    device: str = "auto",
    base: str | Path | None = None,
    num_frames: int | None = None,
    pooling_shape: tuple[int, int, int] | None = None,
) -> tuple[PllavaForConditionalGeneration, Processor]:
    """Load a checkpoint as a network and its processor.

    Args:
        path_or_name: A folder, or a name of weights.toml.
        alpha: Strength of the LoRA weights, merged scaled by alpha / rank; `None` takes the registry's.
        dtype: "auto", "fp32", "bf16" or "fp16".
        quantize: "auto", "none", "4bit" or "8bit".
        device: "auto", "cpu", "cuda" or "cuda:N".
        base: For a folder that holds only an adapter: the checkpoint it was trained from.
        num_frames: Frames a clip is sampled to; `None` takes the checkpoint's.
        pooling_shape: (T, H, W) after pooling; `None` takes the checkpoint's.

    Returns:
        The model, in evaluation mode, and a processor: `processor(frames, prompt)` makes its inputs.

    Raises:
        PllavaError: The checkpoint is missing or unusable, an option does not apply, or it does not fit.
    """
    opened = open_checkpoint(
        path_or_name,
        alpha=alpha,
        dtype=dtype,
        quantize=quantize,
        device=device,
        base=base,
        num_frames=num_frames,
        pooling_shape=pooling_shape,
    )
    return opened.model, opened.processor


def open_checkpoint(
    path_or_name: str | Path,
    *,
    alpha: float | None,
    base: str | Path | None,
    num_frames: int | None,
    pooling_shape: tuple[int, int, int] | None,
    offline: bool = False,
    on_bytes: Callable[[int, int], None] | None = None,
    **runtime: Any,
) -> Opened:
    """Find, check and load a checkpoint; what is not said stands in the registry or in its own files.

    Arguments and errors are those of `load_model`, and:
        offline: Say in errors that nothing may be fetched (nothing ever is).
        on_bytes: Told the bytes read so far and in all.
    """
    checkpoint = registry.find(path_or_name)
    folder = registry.locate(checkpoint, offline=offline)
    base_folder = _base_folder(checkpoint, folder, base, offline)
    if alpha is None:
        alpha = checkpoint.lora.alpha if checkpoint.lora is not None else registry.defaults().alpha
    options = LoadOptions(
        alpha=alpha,
        base=base_folder,
        num_frames=num_frames if num_frames is not None else checkpoint.num_frames,
        pooling_shape=pooling_shape if pooling_shape is not None else checkpoint.pooling_shape,
        **runtime,
    )
    prepared = prepare(folder, options)
    # Training writes an adapter without its tokenizer and preprocessing: those are the base's.
    files = folder if base_folder is None or (folder / "tokenizer.json").exists() else base_folder
    pad = prepared.model.generation_config.pad_token_id
    processor = Processor(files, prepared.model.config, pad, VIDEO_PLACEHOLDER)
    loaded = prepared.load(on_bytes)
    merged = alpha if loaded.has_lora else None
    return Opened(checkpoint, loaded.model, processor, loaded.plan, merged, base_folder)


def _base_folder(
    checkpoint: registry.Checkpoint, folder: Path, base: str | Path | None, offline: bool
) -> Path | None:
    # The registry names the base of whole checkpoints too, for the reader; only an adapter needs it.
    if base is None and checkpoint.base is not None and is_adapter(list_tensors(folder)):
        base = checkpoint.base
    return registry.locate(registry.find(base), offline=offline) if base is not None else None
