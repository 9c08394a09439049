"""adapter_config.json: what of it is used, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from pllava_cli.engine import load_model
from pllava_cli.errors import CheckpointError
from pllava_cli.loader import open_checkpoint
from pllava_cli.model.adapter import AdapterConfig, read_adapter_config
from tests.checkpoints import adapter_tensors, write_adapter
from tests.hub.conftest import write_registry

EXACT = {"dtype": "fp32", "quantize": "none", "device": "cpu"}


def write(folder: Path, **content: Any) -> Path:
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "lora_alpha": 8} | content))
    return folder


def test_base_and_alpha_are_read(tmp_path: Path) -> None:
    assert read_adapter_config(tmp_path) is None
    found = read_adapter_config(write(tmp_path, base_model_name_or_path="/a/base", rank_pattern={}))
    assert found == AdapterConfig("/a/base", 8)
    assert read_adapter_config(write(tmp_path, base_model_name_or_path=None)) == AdapterConfig(None, 8)
    for plain in (True, False, "gaussian", "eva", "orthogonal"):  # none of them changes the base
        assert read_adapter_config(write(tmp_path, init_lora_weights=plain)) == AdapterConfig(None, 8)


@pytest.mark.parametrize(
    "content",
    [
        {"peft_type": "IA3"},
        {"use_rslora": True},
        {"use_dora": True},
        {"alpha_pattern": {"q_proj": 3}},
        {"rank_pattern": {"q_proj": 3}},
        {"use_qalora": True},
        {"alora_invocation_tokens": [1, 2]},
        {"layer_replication": [[0, 2], [1, 3]]},
        {"init_lora_weights": "pissa_niter_4"},
        {"init_lora_weights": "OLoRA"},
        {"lora_alpha": "8"},
        {"lora_alpha": True},
        {"lora_alpha": float("nan")},
        {"lora_alpha": float("inf")},
        {"lora_alpha": -1},
        {"lora_alpha": 10**400},
        {"base_model_name_or_path": 3},
        {"r": "8"},
        {"r": 0},
    ],
    ids=str,
)
def test_what_would_be_merged_wrongly_is_refused(tmp_path: Path, content: dict[str, Any]) -> None:
    with pytest.raises(CheckpointError, match="adapter_config"):
        read_adapter_config(write(tmp_path, **content))


def test_alpha_is_that_of_the_registry_s_entry_else_the_adapter_s_own(plain: Path, tmp_path: Path) -> None:
    write(write_adapter(tmp_path / "adapter", plain, adapter_tensors(1)), base_model_name_or_path=str(plain))
    entry = f'[checkpoints.mine]\npath = "{tmp_path / "adapter"}"\n'
    write_registry(entry)
    assert open_checkpoint("mine", **EXACT).alpha == 8
    assert open_checkpoint(tmp_path / "adapter", **EXACT).alpha == 8
    assert json.dumps(open_checkpoint("mine", **EXACT).alpha) == "8.0", "a fingerprint is as of --alpha 8"
    write_registry(f"{entry}lora = {{ rank = 8 }}\n")
    assert open_checkpoint("mine", **EXACT).alpha == 8
    write_registry(f"{entry}lora = {{ alpha = 3 }}\n")
    assert open_checkpoint("mine", **EXACT).alpha == 3
    assert open_checkpoint(tmp_path / "adapter", **EXACT).alpha == 8


def test_rank_that_is_not_the_weights(plain: Path, tmp_path: Path) -> None:
    """Alpha counts by the rank: alpha / rank would be another strength than was meant."""
    folder = write(write_adapter(tmp_path / "adapter", plain, adapter_tensors(1, rank=4)), r=8)
    with pytest.raises(CheckpointError, match=r"is of rank 4, adapter_config\.json says 8"):
        load_model(folder, base=plain, dtype="fp32", quantize="none", device="cpu")
    load_model(write(folder, r=4), base=plain, dtype="fp32", quantize="none", device="cpu")
