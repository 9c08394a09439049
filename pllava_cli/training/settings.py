"""What one training run does: the settings that change the weights apart from those that do not.

The first kind is written into the run's folder and must be the same when the run is resumed; the
second may differ from one start to the next.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pllava_cli.model.pooling import PoolingShape
from pllava_cli.prompts import SYSTEM


@dataclass(frozen=True)
class Recipe:
    """How the weights are trained. The defaults are the reference's own.

    Source: magic-research/PLLaVA at 6f49fd2, tasks/train/config_pllava_nframe.py.
    """

    epochs: float = 3.0
    """Passes over the data; of no account where `steps` is set."""
    steps: int | None = None
    """Updates of the weights; None: as many as the epochs have."""
    batch_size: int = 1
    """Clips of a forward pass on one device."""
    gradient_accumulation: int = 16
    """Forward passes of an update."""
    learning_rate: float = 2e-5
    """At the end of the warm-up; falls to nothing along a cosine."""
    warmup: float = 0.2
    """Share of the steps over which the learning rate rises from nothing."""
    optimizer: str = "adamw"
    """"adamw"; or "muon": Muon for LoRA's matrices, AdamW for the projector."""
    weight_decay: float = 0.02
    """Not applied to biases."""
    max_grad_norm: float = 0.0
    """Gradients are scaled down to this norm; 0: never."""
    rank: int = 128
    alpha: float = 32.0
    """The update is scaled by alpha / rank."""
    dropout: float = 0.05
    """On the input of LoRA."""
    targets: tuple[str, ...] = ("q_proj", "v_proj")
    """Linear layers of the language model that get LoRA, by the last part of their names."""
    seed: int = 0
    gradient_checkpointing: bool = False
    """Recompute the language model's activations instead of keeping them."""


@dataclass(frozen=True)
class TrainSettings:
    """One run of `pllava train`."""

    data: tuple[Path, ...]
    out: Path
    model: str
    """The base: a name of weights.toml or a folder."""
    recipe: Recipe = Recipe()
    validation: Path | None = None
    num_frames: int | None = None
    """None: the base's."""
    pooling_shape: PoolingShape | None = None
    """None: the base's."""
    system: str = SYSTEM
    """System text of conversations that give none."""
    device: str = "auto"
    dtype: str = "auto"
    quantize: str = "auto"
    save_every: int = 200
    """Steps between checkpoints."""
    log_every: int = 10
    """Steps between lines of the log."""
    eval_every: int = 200
    """Steps between looks at the validation data."""
    keep_checkpoints: int = 2
    workers: int | None = None
    """Processes that prepare batches; None: none where all clips are kept decoded, else two."""
    skip_bad: bool = False
    """Leave bad lines out instead of refusing them."""
    cache_gb: float = 16.0
    """10^9 bytes of disk that decoded clips may take."""
    decode_timeout_s: float = 60.0
    offline: bool = False
    resume: bool = True


class Reporter(Protocol):
    """Where a run tells how it goes."""

    def progress(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Show how far a stage is; a total of 0 is unknown."""

    def say(self, text: str) -> None:
        """Say something that stays."""

    def warn(self, text: str) -> None:
        """Warn of something."""
