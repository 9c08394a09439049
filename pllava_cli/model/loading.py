"""A checkpoint folder becomes a model.

The network is built without memory, the checkpoint's tensors are accounted for by name and shape,
device and precision are chosen by what fits; only then are weights read.
"""

import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pllava_cli.errors import CheckpointError, UsageError
from pllava_cli.model import layout, quantization
from pllava_cli.model.config import read_config
from pllava_cli.model.empty import empty_model, set_generation, shapes_of
from pllava_cli.model.filling import BytesLoaded, fill
from pllava_cli.model.jsonfile import read_json
from pllava_cli.model.many_rows import WideLinear, put_layers
from pllava_cli.model.memory import within_memory
from pllava_cli.model.modeling import FRAMES_AT_ONCE_ON_CPU, PllavaForConditionalGeneration
from pllava_cli.model.options import LoadOptions, runtime_of
from pllava_cli.model.plan import RuntimePlan
from pllava_cli.model.spreading import connect
from pllava_cli.model.tensors import list_tensors
from pllava_cli.precisions import INT8


@dataclass(frozen=True)
class Loaded:
    """A model ready for inference, and what was decided on the way."""

    model: PllavaForConditionalGeneration
    plan: RuntimePlan


@dataclass(frozen=True)
class Prepared:
    """A checkpoint that has passed every check; not a weight of it has been read."""

    model: PllavaForConditionalGeneration
    """The network, its parameters still without memory."""
    plan: RuntimePlan
    recipes: dict[str, layout.Recipe]
    alpha: float | None
    is_merged: bool = False
    """Whether LoRA weights have been merged into what is read."""

    @property
    def has_lora(self) -> bool:
        """Whether there are LoRA weights, to be merged or merged already."""
        return self.is_merged or any(recipe.lora_A for recipe in self.recipes.values())

    def load(self, on_bytes: BytesLoaded | None = None) -> Loaded:
        """Read the weights; once only.

        Raises:
            CheckpointError: A file cannot be read after all.
            MemoryFullError: They do not fit after all; the model is of no use then.
        """
        within_memory(self.plan, 0, partial(self._fill, on_bytes))
        return Loaded(self.model.eval(), self.plan)

    def _fill(self, on_bytes: BytesLoaded | None) -> None:
        if self.plan.quantize != "none":
            quantization.replace_linears(
                self.model, self.plan.quantize, self.plan.torch_dtype, self.plan.torch_many_rows
            )
        if self.plan.many_rows == INT8:
            from pllava_cli.model.eight_bits import EightBitLinear

            # The projector is small, and all that the language model sees of a clip comes through it.
            put_layers(self.model, EightBitLinear, but={"multi_modal_projector"})
        elif self.plan.many_rows not in (None, self.plan.dtype):
            put_layers(self.model, WideLinear)
        if self.plan.device == "cpu":
            self.model.model.frames_at_once = FRAMES_AT_ONCE_ON_CPU
        fill(self.model, self.recipes, self.plan, self.alpha, on_bytes)
        language_model = self.model.model.language_model
        connect(self.model, language_model.layers, language_model.norm)

    def merge_again(self, alpha: float) -> bool:
        """Merge LoRA at another alpha into the model once it is loaded; only what that changes is read again.

        Returns:
            Whether it could be: not where there is no LoRA, or the weights are stored with it merged.

        Raises:
            CheckpointError: A file cannot be read after all; the model is of no use then.
            MemoryFullError: The memory does not suffice; nor is it then.
            UsageError: Such an alpha does not exist.
        """
        _check_alpha(alpha)
        changed = {name: recipe for name, recipe in self.recipes.items() if recipe.lora_A}
        within_memory(self.plan, 0, partial(fill, self.model, changed, self.plan, alpha, None))
        return bool(changed)


def prepare(folder: Path, options: LoadOptions) -> Prepared:
    """Check the checkpoint in `folder`, and decide where and how it will run.

    Raises:
        CheckpointError: The folder is no complete PLLaVA checkpoint.
        DeviceError: The device is not there, or the model does not fit.
        UsageError: An option that does not apply to this checkpoint.
    """
    raw = read_json(folder / "config.json")
    config = read_config(raw, options.num_frames, options.pooling_shape, options.keep_tokens)
    model = empty_model(config)
    recipes = _recipes(folder, options, model)
    set_generation(model, folder)
    return Prepared(model, runtime_of(model, options), recipes, options.alpha)


def load(folder: Path, options: LoadOptions, on_bytes: BytesLoaded | None = None) -> Loaded:
    """Load the checkpoint in `folder`; raises as `prepare` and `Prepared.load` do."""
    return prepare(folder, options).load(on_bytes)


def _recipes(
    folder: Path, options: LoadOptions, model: PllavaForConditionalGeneration
) -> dict[str, layout.Recipe]:
    tensors = list_tensors(folder)
    shapes, depth = shapes_of(model), model.config.vision_depth
    under: dict[str, layout.Recipe] | None = None
    if layout.is_adapter(tensors):
        if options.base is None:
            raise CheckpointError(
                f"{folder} holds only an adapter: LoRA and projector weights",
                "name the checkpoint it was trained from with --base",
            )
        under = layout.plan(shapes, list_tensors(options.base), depth)
    elif options.base is not None:
        raise UsageError(f"--base was given, but {folder} is a whole checkpoint", "leave --base out")
    recipes = layout.plan(shapes, tensors, depth, under)
    _check_alpha(options.alpha)
    if options.alpha is None and any(recipe.lora_A for recipe in recipes.values()):
        raise UsageError(
            f"{folder} has LoRA weights, but no alpha says how strongly they count",
            "give --alpha, for example --alpha 4",
        )
    return recipes


def _check_alpha(alpha: float | None) -> None:
    if alpha is not None and not math.isfinite(alpha):
        raise UsageError(f"an alpha of {alpha} does not exist", "give --alpha a number, such as 4")
