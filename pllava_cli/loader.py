"""From the name of a checkpoint to a network and its processor: the registry meets the model."""

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pllava_cli import registry, saves
from pllava_cli.errors import CheckpointError, DeviceError
from pllava_cli.model.adapter import AdapterConfig, read_adapter_config
from pllava_cli.model.device import precisions
from pllava_cli.model.footprint import footprint_of
from pllava_cli.model.identity import weights_revision
from pllava_cli.model.jsonfile import read_json
from pllava_cli.model.layout import is_adapter
from pllava_cli.model.loading import Prepared, prepare
from pllava_cli.model.modeling import PllavaForConditionalGeneration
from pllava_cli.model.offers import NAMED, Offer
from pllava_cli.model.options import Lighter, LoadOptions, runtime_of
from pllava_cli.model.plan import RuntimePlan
from pllava_cli.model.pooling import PoolingShape
from pllava_cli.model.processing import Processor
from pllava_cli.model.record import is_save
from pllava_cli.model.saving import prepare_save, read_record
from pllava_cli.model.tensors import list_tensors
from pllava_cli.model.tokenizer import Tokenizer
from pllava_cli.prompts import TEMPLATES, VIDEO_PLACEHOLDER, Template

PROMPT_TEMPLATE = "prompt_template"
"""Key of config.json under which training and merging note the template that a checkpoint was given."""
_BY_SIZE = "bf16"
"""The precision in which the registry's checkpoints are compared."""


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
    merge_again: Callable[[float], bool]
    """`Prepared.merge_again` of what was read."""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Checked:
    """A checkpoint that can be loaded; of its weights nothing but samples has been read."""

    checkpoint: registry.Checkpoint
    folder: Path
    prepared: Prepared
    processor: Processor
    alpha: float | None
    """Strength at which LoRA is merged; `None` where the checkpoint has none."""
    base: Path | None
    """Folder of the checkpoint that an adapter lies over."""

    @property
    def plan(self) -> RuntimePlan:
        """How it will run."""
        return self.prepared.plan

    @property
    def num_frames(self) -> int:
        """Frames of a clip."""
        return int(self.prepared.model.config.num_frames)

    @property
    def pooling_shape(self) -> tuple[int, int, int]:
        """Frames, rows and columns of visual tokens after pooling."""
        slots, rows, columns = self.prepared.model.config.pooling_shape
        return slots, rows, columns

    @property
    def keep_tokens(self) -> float:
        """The share of these that is left."""
        return float(self.prepared.model.config.keep_tokens)

    def load(self, on_bytes: Callable[[int, int], None] | None = None) -> Opened:
        """Read the weights, packed ones from their save if there is one; once only."""
        saved, warning = saves.found(self.origin)
        read = saved or self.prepared
        loaded = read.load(on_bytes)
        return Opened(
            self.checkpoint,
            loaded.model,
            self.processor,
            loaded.plan,
            self.alpha,
            self.base,
            read.merge_again,
            (*loaded.plan.warnings, *([warning] if warning else [])),
        )

    @property
    def origin(self) -> saves.Origin:
        """What a packed save of it is made from."""
        return saves.Origin(self.checkpoint.name, self.folder, self.base, self.prepared, self.alpha)


def load_model(
    path_or_name: str | Path,
    *,
    alpha: float | None = None,
    dtype: str = "auto",
    quantize: str = "auto",
    encode: str = "auto",
    device: str = "auto",
    base: str | Path | None = None,
    num_frames: int | None = None,
    pooling_shape: PoolingShape | None = None,
) -> tuple[PllavaForConditionalGeneration, Processor]:
    """Load a checkpoint as a network and its processor.

    Args:
        path_or_name: A folder, or a name of weights.toml.
        alpha: Strength of the LoRA weights, merged scaled by alpha / rank; `None` takes that of the
            registry's entry, else that of the adapter_config.json, else the registry's default.
        dtype: "auto", "fp32", "bf16" or "fp16".
        quantize: "auto", "none", "4bit" or "8bit".
        encode: How a CPU puts clips into the model: "int8", nearly exact, with AVX512 twice as fast; "exact";
            or "auto": "int8" where weights are quantised and the CPU has units for it.
        device: "auto", "cpu", "cuda" or "cuda:N".
        base: For a folder that holds only an adapter: the checkpoint it was trained from; `None` takes
            the one that its adapter_config.json names.
        num_frames: Frames a clip is sampled to; `None` takes the checkpoint's.
        pooling_shape: (T, H, W) after pooling, or "none" to pool nothing; `None` takes the checkpoint's.

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
        encode=encode,
        device=device,
        base=base,
        num_frames=num_frames,
        pooling_shape=pooling_shape,
    )
    return opened.model, opened.processor


def open_checkpoint(
    path_or_name: str | Path, *, on_bytes: Callable[[int, int], None] | None = None, **options: Any
) -> Opened:
    """Find, check and load a checkpoint.

    Arguments and errors are those of `check_checkpoint`, and:
        on_bytes: Told the bytes read so far and in all.
    """
    return check_checkpoint(path_or_name, **options).load(on_bytes)


def check_checkpoint(
    path_or_name: str | Path,
    *,
    alpha: float | None = None,
    base: str | Path | None = None,
    num_frames: int | None = None,
    pooling_shape: PoolingShape | None = None,
    keep_tokens: float = 1.0,
    offline: bool = False,
    named: Collection[str] = NAMED,
    **runtime: Any,
) -> Checked:
    """Find and check a checkpoint; what is not said stands in the registry or in its own files.

    Arguments and errors are those of `load_model`, and:
        keep_tokens: Share of the visual tokens to leave, above 0 and at most 1; for `Captioner`, as the
            library's own `generate` does not know where they stand.
        offline: Say in errors that nothing may be fetched (nothing ever is).
        named: The options that the user has, by the names of settings: errors and warnings name no other.
    """
    checkpoint = registry.find(path_or_name)
    folder = registry.locate(checkpoint, offline=offline)
    if checkpoint.repo is not None:  # the cache names a snapshot by its commit: records say which one it was
        checkpoint = replace(checkpoint, revision=folder.name)
    checkpoint = _with_template(checkpoint, folder)
    is_packed = is_save(folder)
    adapter = read_adapter_config(folder)
    base_folder = base_of(checkpoint, folder, adapter, base, offline)
    if base_folder is not None and is_save(base_folder):
        raise CheckpointError(
            f"{base_folder} is packed, and no adapter can be laid over it",
            "name what it was made from with --base",
        )
    if alpha is None:
        alpha = read_record(folder).alpha if is_packed else None
    if alpha is None:
        alpha = _own_alpha(checkpoint, adapter)
    smaller = _smaller(checkpoint)
    options = LoadOptions(
        alpha=alpha,
        base=base_folder,
        num_frames=num_frames if num_frames is not None else checkpoint.num_frames,
        pooling_shape=pooling_shape if pooling_shape is not None else checkpoint.pooling_shape,
        keep_tokens=keep_tokens,
        lighter=_lighter(),
        smaller=smaller,
        is_smallest=not smaller and _BY_SIZE in checkpoint.memory_gb,
        named=named,
        **runtime,
    )
    prepared = (prepare_save if is_packed else prepare)(folder, options)
    if adapter is not None:
        pairs = (recipe.lora_A for recipe in prepared.recipes.values() if recipe.lora_A)
        adapter.check_rank(part for part in pairs if part.file.parent == folder)
    if checkpoint.repo is None:  # a folder that another checkpoint may be written into
        read_from = [each for each in (folder, base_folder) if each is not None]
        revision = weights_revision(prepared.recipes, read_from, checkpoint.template)
        checkpoint = replace(checkpoint, revision=revision)
    # Training writes an adapter without its tokenizer and preprocessing: those are the base's.
    files = folder if base_folder is None or (folder / "tokenizer.json").exists() else base_folder
    pad = prepared.model.generation_config.pad_token_id
    processor = Processor(files, prepared.model.config, pad, VIDEO_PLACEHOLDER)
    # Records tell of it: 8, as an adapter's file has it, must be the 8.0 of --alpha.
    merged_at = float(alpha) if prepared.has_lora else None
    checked = Checked(checkpoint, folder, prepared, processor, merged_at, base_folder)
    return checked if is_packed else _as_packed_before(checked, options)


def _as_packed_before(checked: Checked, options: LoadOptions) -> Checked:
    """The checkpoint in the precision of a packed save of it, where the precision is left to us.

    Free memory and a measurement decide on it, so that they may decide otherwise than when it was packed.
    """
    prepared = checked.prepared
    dtype = saves.other_precision(checked.origin) if options.dtype == "auto" else None
    if dtype is None:
        return checked
    if any(dtype not in precisions(device) for device in {prepared.plan.device, *prepared.plan.layers}):
        return checked
    try:
        plan = runtime_of(
            prepared.model,
            replace(options, dtype=dtype, quantize=prepared.plan.quantize, must_fit=True),
        )
    except DeviceError:  # it does not fit in that precision
        return checked
    if (plan.device, plan.layers) != (prepared.plan.device, prepared.plan.layers):
        return checked
    plan = replace(plan, reasons=(*plan.reasons, f"{dtype} because it was packed in that"))
    return replace(checked, prepared=replace(prepared, plan=plan))


def base_of(
    checkpoint: registry.Checkpoint,
    folder: Path,
    adapter: AdapterConfig | None,
    base: str | Path | None,
    offline: bool,
) -> Path | None:
    """The folder of the checkpoint that an adapter lies over; `None` for a whole checkpoint.

    Raises:
        CheckpointError: It is not on this machine.
    """
    if base is not None:
        return registry.locate(registry.find(base), offline=offline)
    # The registry names the base of whole checkpoints too, for the reader; only an adapter needs it.
    if is_save(folder):
        return None
    named = checkpoint.base or (adapter.base if adapter is not None else None)
    if named is None or not is_adapter(list_tensors(folder)):
        return None
    try:
        return registry.locate(registry.find(named), offline=offline)
    except CheckpointError as error:
        raise registry.without_base(folder, named, error) from error


def _lighter() -> tuple[Lighter, ...]:
    return tuple(
        Lighter(preset.name, preset.num_frames, preset.pooling_shape)
        for preset in registry.defaults().presets.values()
        if preset.num_frames or preset.pooling_shape
    )


def _smaller(checkpoint: registry.Checkpoint) -> tuple[Offer, ...]:
    """The checkpoints of the registry that caption anything and may be smaller, the largest first."""
    others = [
        each
        for each in registry.all_checkpoints()
        if each.lora and not each.notice and each.name != checkpoint.name
        if {_BY_SIZE, "nf4"} <= each.memory_gb.keys()
        if each.memory_gb[_BY_SIZE] < checkpoint.memory_gb.get(_BY_SIZE, math.inf)
    ]
    others.sort(key=lambda each: -each.memory_gb[_BY_SIZE])
    return tuple(Offer(f"--model {each.name}", footprint_of(each.memory_gb)) for each in others)


def _own_alpha(checkpoint: registry.Checkpoint, adapter: AdapterConfig | None) -> float:
    """The strength that the registry gives its checkpoint, else the one that the adapter was trained at."""
    if checkpoint.lora is not None and checkpoint.lora.alpha is not None:
        return checkpoint.lora.alpha
    if adapter is not None and adapter.alpha is not None:
        return adapter.alpha
    return registry.defaults().alpha


def _with_template(checkpoint: registry.Checkpoint, folder: Path) -> registry.Checkpoint:
    """The checkpoint with the template that its config.json names, where the registry names none.

    Raises:
        CheckpointError: There is none of that name.
    """
    name = read_json(folder / "config.json").get(PROMPT_TEMPLATE)
    if checkpoint.template is not None or name is None:
        return checkpoint
    if not (isinstance(name, str) and name in TEMPLATES):
        raise CheckpointError(
            f"{folder / 'config.json'} names a prompt template {name!r:.40}, which there is not",
            f"the templates are {', '.join(TEMPLATES)}",
        )
    return replace(checkpoint, template=name)


def template_of(checkpoint: registry.Checkpoint, tokenizer: Tokenizer) -> Template:
    """The prompt template: the one that is named, else the one whose turn marks the tokenizer knows."""
    name = checkpoint.template
    if name is None:
        name = "chatml" if tokenizer.id_of("<|im_start|>") is not None else "vicuna"
    return TEMPLATES[name]
