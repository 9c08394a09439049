"""What visual tokens depend on, and what they do not."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from pllava_cli import Captioner
from pllava_cli.visualstore.seeing import way_of_seeing
from tests.checkpoints import adapter_tensors, copied, edit_json, edit_weights, write_adapter, write_plain
from tests.engine_checks import EXACT


def way(checkpoint: Path, **options: Any) -> str:
    captioner = Captioner(checkpoint, **EXACT | options)
    return way_of_seeing(captioner.model, captioner.processor, captioner.plan)


@pytest.fixture(scope="module")
def known(checkpoint: Path) -> str:
    return way(checkpoint)


def test_same_checkpoint_is_known_again(known: str, checkpoint: Path, tmp_path: Path) -> None:
    assert way(checkpoint) == known
    assert way(copied(checkpoint, tmp_path / "moved")) == known


@pytest.mark.parametrize(
    "options", [{"alpha": 0}, {"alpha": 32}, {"quantize": "8bit"}, {"system": "Be brief."}], ids=str
)
def test_language_model_does_not_count(options: dict[str, Any], known: str, checkpoint: Path) -> None:
    assert way(checkpoint, **options) == known


@pytest.mark.parametrize(
    "options",
    [
        {"dtype": "bf16"},
        {"dtype": "fp16"},
        {"num_frames": 2},
        {"pooling_shape": (2, 2, 2)},
        {"pooling_shape": (4, 2, 1)},
        {"keep_tokens": 0.5},
    ],
    ids=str,
)
def test_how_it_looks_counts(options: dict[str, Any], known: str, checkpoint: Path) -> None:
    assert way(checkpoint, **options) != known


def test_precision_of_many_rows_counts(known: str, checkpoint: Path) -> None:
    captioner = Captioner(checkpoint, **EXACT | {"dtype": "bf16"})
    ways = {
        way_of_seeing(captioner.model, captioner.processor, replace(captioner.plan, many_rows=dtype))
        for dtype in ("bf16", "fp32")
    }
    assert len(ways) == 2


@pytest.mark.parametrize("part", ["vision_tower", "multi_modal_projector"])
def test_each_weight_counts(part: str, tmp_path: Path) -> None:
    def change(weights: dict[str, torch.Tensor]) -> None:
        name = next(name for name in sorted(weights) if part in name)
        weights[name].view(-1)[-1] += 0.25

    plain = write_plain(tmp_path / "plain")
    assert way(edit_weights(copied(plain, tmp_path / "other"), change)) != way(plain)


def test_language_models_weights_do_not_count(tmp_path: Path) -> None:
    def change(weights: dict[str, torch.Tensor]) -> None:
        for name, weight in weights.items():
            if "language_model" in name:
                weight += 1

    plain = write_plain(tmp_path / "plain")
    assert way(edit_weights(copied(plain, tmp_path / "other"), change)) == way(plain)


def test_adapters_own_projector_counts(tmp_path: Path) -> None:
    base = write_plain(tmp_path / "plain")
    made = {
        name: write_adapter(tmp_path / name, base, adapter_tensors(seed, projector=has_projector))
        for name, seed, has_projector in (("lora", 1, False), ("other", 2, False), ("both", 1, True))
    }
    ways = {name: way(folder, base=base, alpha=4) for name, folder in made.items()}
    assert ways["lora"] == ways["other"] == way(base) != ways["both"]


@pytest.mark.parametrize(
    "changes", [{"image_mean": [0.5, 0.5, 0.5]}, {"image_std": [0.5, 0.5, 0.5]}, {"rescale_factor": 0.5}]
)
def test_preprocessing_counts(changes: dict[str, Any], known: str, checkpoint: Path, tmp_path: Path) -> None:
    folder = copied(checkpoint, tmp_path / "other")
    edit_json(folder / "preprocessor_config.json", **changes)
    assert way(folder) != known


@pytest.mark.parametrize(
    "changes",
    [
        {"vision_config__hidden_act": "gelu"},
        {"vision_config__layer_norm_eps": 0.1},
        {"projector_hidden_act": "relu"},
    ],
)
def test_what_weights_do_not_tell_counts(
    changes: dict[str, Any], known: str, checkpoint: Path, tmp_path: Path
) -> None:
    folder = copied(checkpoint, tmp_path / "other")
    edit_json(folder / "config.json", **changes)
    assert way(folder) != known
