"""The settings that are compared: precisions, and the paper's study in miniature.

The study asks what the paper asks (https://arxiv.org/abs/2404.16994): how much pooling loses over time
and over space (figure 7), what prompts that the model was not trained on do to one that sees frames
unpooled and to one that pools (figure 4), and how strong LoRA is best at inference (figure 9). And how
much is lost when what stays the same over time is merged (`--keep-tokens`).
"""

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from benchmarks.tiny_run import Clip, Loaded, Setting, Workers
from benchmarks.tiny_scores import Figures, Said, figures_of
from pllava_cli.errors import PllavaError
from pllava_cli.model.pooling import PoolingShape

PRECISIONS = {
    "fp32": ("fp32", "none", "exact"),
    "fp32, clips in 8 bits": ("fp32", "none", "int8"),
    "bf16": ("bf16", "none", "exact"),
    "fp16": ("fp16", "none", "exact"),
    "8-bit": ("auto", "8bit", "exact"),
    "8-bit, clips too": ("auto", "8bit", "int8"),
    "4-bit": ("auto", "4bit", "exact"),
    "4-bit, clips in 8 bits": ("auto", "4bit", "int8"),
}
"""Precision, quantisation and how clips are encoded, by name; quantised weights are computed with in the
precision that suits."""
TEMPORAL: tuple[PoolingShape, ...] = ((8, 4, 4), (4, 4, 4), (2, 4, 4), (1, 4, 4))
SPATIAL: tuple[PoolingShape, ...] = ("none", (8, 6, 6), (8, 4, 4), (8, 2, 2), (8, 1, 1))
KEPT = (1.0, 0.5, 0.25, 0.16)
"""Shares of the visual tokens; the last is that of PruneVid (https://arxiv.org/abs/2412.16117)."""
ALPHAS = 9
"""How many, evenly from 0 to twice the one that was trained with."""
PROMPTS: Mapping[str, Mapping[str, str]] = {
    "as trained": {},
    "`Human:` for `USER:`": {"user": "Human: "},
    "another system text": {
        "system": "You are a friendly helper. Be brief and polite, and keep to the point."
    },
}
"""What the prompts change."""


@dataclass(frozen=True)
class Row:
    """What one setting came to."""

    table: str
    name: str
    loaded: Loaded
    figures: Figures


@dataclass
class Study:
    """Settings measured on the same clips; what is equal to another is not measured again."""

    workers: Workers
    clips: Sequence[Clip]
    rows: list[Row] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    """Why a setting could not be measured, by its name."""
    said: dict[str, list[Said]] = field(default_factory=dict)
    """By table and name."""
    _known: dict[tuple[object, ...], list[Said]] = field(default_factory=dict)

    def measure(self, table: str, name: str, setting: Setting) -> Loaded | None:
        """Add a row, or say why there is none."""
        try:
            loaded = self.workers.probe(setting, self.clips[0])
        except PllavaError as error:
            print(f"{table}, {name}: not measured: {error}", file=sys.stderr)
            self.failed[f"{table}, {name}"] = str(error)
            return None
        key = (setting.model, setting.user, setting.system, loaded)
        if key not in self._known:
            self._known[key] = self.workers.ask(setting, self.clips, f"{table}, {name}")
        self.said[f"{table}, {name}"] = said = self._known[key]
        self.rows.append(Row(table, name, loaded, figures_of(said)))
        return loaded


def compare_precisions(study: Study, base: Setting) -> None:
    """Measure each precision that this device has."""
    for name, (dtype, quantize, encode) in PRECISIONS.items():
        study.measure("precision", name, replace(base, dtype=dtype, quantize=quantize, encode=encode))


def repeat_the_paper(study: Study, base: Setting, also: Mapping[str, str]) -> None:
    """Measure pooling shapes, shares of the visual tokens, prompts and strengths of LoRA.

    Args:
        study: Takes the rows.
        base: The checkpoint as it is, at the alpha that it was trained with.
        also: Further checkpoints by name, asked with the same prompts at the same alpha.
    """
    own = study.workers.probe(base, study.clips[0]).alpha
    for table, shapes in (("temporal pooling", TEMPORAL), ("spatial pooling", SPATIAL)):
        for shape in shapes:
            study.measure(table, spell(shape), replace(base, pooling_shape=shape))
    for share in KEPT:
        study.measure("kept tokens", f"{share:g}", replace(base, keep_tokens=share))
    for name, setting in _asked_with_prompts(base, also, own):
        for prompt, changes in PROMPTS.items():
            study.measure("prompts", f"{name} | {prompt}", replace(setting, **changes))
    if own is None:
        study.failed["alpha"] = "the checkpoint has no LoRA weights of its own"
        return
    for number in range(ALPHAS):
        strength = 2 * own * number / (ALPHAS - 1)
        study.measure("alpha", f"{strength:g}", replace(base, alpha=strength))


def spell(shape: PoolingShape) -> str:
    """A pooling shape as the tables name it."""
    return shape if isinstance(shape, str) else " × ".join(map(str, shape))


def _asked_with_prompts(
    base: Setting, also: Mapping[str, str], alpha: float | None
) -> Iterable[tuple[str, Setting]]:
    yield "pooled", base
    yield "the same, not pooled", replace(base, pooling_shape="none")
    for name, model in also.items():
        yield name, replace(base, model=model, alpha=alpha)
