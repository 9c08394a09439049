"""How a checkpoint is to be loaded, and what that comes to on this machine."""

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from pllava_cli.model import quantization
from pllava_cli.model.config import PllavaConfig
from pllava_cli.model.empty import shapes_of
from pllava_cli.model.footprint import footprint
from pllava_cli.model.modeling import PllavaForConditionalGeneration
from pllava_cli.model.offers import NAMED, Offer, may_pack, relief
from pllava_cli.model.placing import choose
from pllava_cli.model.plan import RuntimePlan
from pllava_cli.model.pooling import PoolingShape


@dataclass(frozen=True)
class Lighter:
    """A preset with which a clip takes less memory and time. None: as the checkpoint has it."""

    preset: str
    num_frames: int | None
    pooling_shape: tuple[int, int, int] | None


@dataclass(frozen=True)
class LoadOptions:
    """How a checkpoint is to be loaded; `None` and "auto" leave the choice to it and to the machine."""

    alpha: float | None = None
    """Strength of the LoRA weights; they are merged scaled by alpha / rank."""
    dtype: str = "auto"
    quantize: str = "auto"
    device: str = "auto"
    encode: str = "auto"
    """How a CPU multiplies the many rows of a clip: one of `precisions.ENCODINGS`."""
    base: Path | None = None
    """Folder of the checkpoint that an adapter lies over."""
    num_frames: int | None = None
    pooling_shape: PoolingShape | None = None
    keep_tokens: float = 1.0
    """The share of the visual tokens to leave."""
    lighter: tuple[Lighter, ...] = ()
    """Presets that an error may offer where the memory does not suffice."""
    smaller: tuple[Offer, ...] = ()
    """Other checkpoints that it may offer, after those."""
    is_smallest: bool = False
    """Whether no other checkpoint is smaller than this."""
    named: Collection[str] = NAMED
    """The options that the user has: no error or warning names another."""
    must_fit: bool = True
    """Whether it is an error that the model does not fit, because it is to run here."""


def runtime_of(model: PllavaForConditionalGeneration, options: LoadOptions) -> RuntimePlan:
    """Decide where and how a network will run; raises as `placing.choose` does."""
    shapes = shapes_of(model)
    packable = quantization.packable(model)
    need = footprint(model.config, shapes, packable)
    lighter = tuple(_lighter(model.config, shapes, packable, options))
    smaller = options.smaller if "model" in options.named else ()
    plan = choose(
        need,
        options.device,
        options.dtype,
        options.quantize,
        encode=options.encode,
        offers=(*lighter, *smaller),
        named=options.named,
        is_smallest=options.is_smallest,
        must_fit=options.must_fit,
    )
    found = relief(need, (plan.dtype, plan.quantize), lighter, smaller, may_pack=may_pack(options.named))
    clip = (*found.clip, *_less(model.config, options.named, found.clip))
    may_leave = plan.device != "cpu" and "device" in options.named
    return replace(plan, relief=replace(found, clip=clip, may_leave_gpu=may_leave))


def _less(config: PllavaConfig, named: Collection[str], lighter: Collection[str]) -> Iterator[str]:
    """Options of which a clip could have less, beside those that are named as `lighter` already."""
    if "frames" in named and not lighter and config.num_frames > 1:
        yield "fewer --frames"
    tokens = config.visual_tokens
    if "pooling_shape" in named and not any("--pooling-shape" in each for each in lighter) and tokens > 1:
        yield "a smaller --pooling-shape"


def _lighter(
    config: PllavaConfig, shapes: dict[str, tuple[int, ...]], packable: set[str], options: LoadOptions
) -> Iterator[Offer]:
    """What presets would take, by the options with which the user can have them; never more than now."""
    for each in options.lighter:
        frames = min(each.num_frames or config.num_frames, config.num_frames)
        shape = tuple(map(min, each.pooling_shape or config.pooling_shape, config.pooling_shape))
        if "preset" in options.named:
            option = f"--preset {each.preset}"
        elif {"frames", "pooling_shape"} <= set(options.named):
            option = f"--frames {frames} --pooling-shape {','.join(map(str, shape))}"
        else:
            continue
        tokens = round(config.keep_tokens * math.prod(shape))
        if tokens < math.prod(shape[1:]):  # which such a --keep-tokens cannot be of
            continue
        need = footprint(config, shapes, packable, num_frames=frames, visual_tokens=tokens)
        yield Offer(option, need, need.products)
