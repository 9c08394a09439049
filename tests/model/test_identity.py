"""What tells one folder's weights from others that have lain, or will lie, in the same place."""

from pathlib import Path

import pytest
import torch

from pllava_cli.loader import check_checkpoint
from tests.checkpoints import Tensors, adapter_tensors, copied, edit_weights, write_adapter

EXACT = {"dtype": "fp32", "quantize": "none", "encode": "auto", "device": "cpu"}


def revision(folder: Path, base: Path | None = None) -> str | None:
    found = check_checkpoint(folder, alpha=None, base=base, num_frames=None, pooling_shape=None, **EXACT)
    return found.checkpoint.revision


def test_a_copy_is_the_same_checkpoint(plain: Path, tmp_path: Path) -> None:
    found = revision(plain)
    assert found is not None and found.startswith("weights-") and len(found) == 24
    copy = copied(plain, tmp_path / "copy")
    (copy / "model.safetensors").touch()
    assert revision(copy) == found


@pytest.mark.parametrize("part", ["vision_tower", "multi_modal_projector", "language_model"])
def test_other_weights_in_its_place_are_another(plain: Path, tmp_path: Path, part: str) -> None:
    def step(tensors: Tensors) -> None:
        name = next(name for name in tensors if part in name and name.endswith("weight"))
        tensors[name] += torch.full_like(tensors[name], 2.0**-10)

    assert revision(edit_weights(copied(plain, tmp_path / "other"), step)) != revision(plain)


def test_of_an_adapter_the_base_counts_too(plain: Path, tmp_path: Path) -> None:
    other = edit_weights(copied(plain, tmp_path / "base"), lambda tensors: {**tensors, **_doubled(tensors)})
    adapters = [write_adapter(tmp_path / f"adapter{seed}", plain, adapter_tensors(seed)) for seed in (0, 1)]
    found = [revision(adapter, base) for adapter in adapters for base in (plain, other)]
    assert len(set(found)) == 4


def _doubled(tensors: Tensors) -> Tensors:
    return {name: 2 * value for name, value in tensors.items() if "lm_head" in name}
