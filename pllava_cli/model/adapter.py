"""What PEFT's adapter_config.json says about a folder of LoRA weights: its base, and its strength.

Only plain LoRA is merged here, so whatever would make the update anything but alpha / rank * B @ A is
refused rather than overlooked.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pllava_cli.errors import CheckpointError
from pllava_cli.model.jsonfile import read_json
from pllava_cli.model.tensors import ADAPTER_FILE, StoredTensor

CONFIG_FILE, WEIGHTS_FILE = "adapter_config.json", ADAPTER_FILE

MOST_ALPHA = 1e6
"""As for --alpha; JSON as Python reads it knows NaN, Infinity and whole numbers of any length."""
_OTHER_KINDS = (
    *("use_rslora", "use_dora", "alpha_pattern", "rank_pattern", "fan_in_fan_out", "lora_bias"),
    *("use_qalora", "use_bdlora", "alora_invocation_tokens", "arrow_config", "kasa_config"),
    "layer_replication",
)
"""Fields of PEFT's LoraConfig that, when set, change what the weights mean."""
_OTHER_BASES = ("pissa", "corda", "olora", "loftq", "lora_ga")
"""Starts of what its `init_lora_weights` names where laying the adapter over the base changes that
(peft/tuners/lora/layer.py, `update_layer`); what PEFT has converted to fit the unchanged base says true."""


@dataclass(frozen=True)
class AdapterConfig:
    """The part of adapter_config.json that loading needs. None: not said."""

    base: str | None
    alpha: float | None
    rank: int | None = None
    """Of the LoRA pairs; the strength counts by it."""

    def check_rank(self, pairs: Iterable[StoredTensor]) -> None:
        """See that the A halves of the folder's LoRA pairs have the rank that the strength is told for.

        Raises:
            CheckpointError: One has another: alpha / rank would not be what was meant.
        """
        for each in pairs:
            if self.rank is not None and each.shape[0] != self.rank:
                raise CheckpointError(
                    f"{each.file.name}: {each.key:.200} is of rank {each.shape[0]},"
                    f" {CONFIG_FILE} says {self.rank}",
                    f"{CONFIG_FILE} belongs to another adapter; get the adapter again",
                )


def read_adapter_config(folder: Path) -> AdapterConfig | None:
    """The adapter_config.json of a folder, or `None` where there is none.

    Raises:
        CheckpointError: It is damaged, or describes another kind of adapter.
    """
    file = folder / CONFIG_FILE
    if not file.exists():
        return None
    raw = read_json(file)
    kind = raw.get("peft_type", "LORA")
    other = [name for name in _OTHER_KINDS if raw.get(name)]
    other += [start for start in _OTHER_BASES if str(raw.get("init_lora_weights")).lower().startswith(start)]
    if kind != "LORA" or other:
        raise CheckpointError(
            f"{file} describes {kind!r:.40} with {', '.join(other) or 'another method'}, not plain LoRA",
            "only plain LoRA adapters can be loaded",
        )
    base, alpha = raw.get("base_model_name_or_path"), raw.get("lora_alpha")
    if not _is_alpha(alpha) or not (base is None or isinstance(base, str)):
        raise CheckpointError(
            f"{file} has no usable lora_alpha ({alpha!r:.40}) or base", "the file is damaged; get it again"
        )
    rank = raw.get("r")
    if rank is not None and not (isinstance(rank, int) and rank > 0):
        raise CheckpointError(f"{file} has no usable r ({rank!r:.40})", "the file is damaged; get it again")
    return AdapterConfig(base or None, alpha, rank)


def _is_alpha(value: Any) -> bool:
    if value is None:
        return True
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= MOST_ALPHA
