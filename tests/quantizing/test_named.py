"""A save as the checkpoint itself, whole or damaged."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from pllava_cli.errors import CheckpointError, PllavaError, UsageError
from pllava_cli.quantizing import quantize
from pllava_cli.source import Source
from pllava_cli.training.merge import merge
from tests.checkpoints import adapter_tensors, edit_json, write_adapter
from tests.quantizing.conftest import opened


class TestNamed:
    """A save as the checkpoint itself."""

    @pytest.fixture
    def save(self, source: Path, tmp_path: Path) -> Path:
        return quantize(
            Source(str(source), alpha=4), "4bit", tmp_path / "save", dtype="fp32", device="cpu"
        ).out

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"quantize": "8bit"}, "is a 4bit save in fp32, not 8bit"),
            ({"quantize": "none"}, "is a 4bit save in fp32, not none"),
            ({"dtype": "bf16"}, "is a 4bit save in fp32, not bf16"),
            ({"alpha": 5}, "is a 4bit save in fp32 at alpha 4, not 5"),
        ],
        ids=str,
    )
    def test_cannot_become_another(self, options: dict[str, Any], message: str, save: Path) -> None:
        with pytest.raises(UsageError, match=message) as caught:
            opened(save, **{"quantize": "auto", "dtype": "auto", "alpha": None} | options)
        assert "pllava models quantize" in caught.value.hint

    def test_the_command_that_makes_another_can_be_copied(self, save: Path) -> None:
        edit_json(save / "quantized.json", source="/my folder")
        with pytest.raises(UsageError) as caught:
            opened(save, quantize="8bit", dtype="auto", alpha=None)
        assert caught.value.hint.endswith("pllava models quantize '/my folder'")

    def test_is_no_base_and_is_not_packed_twice(self, save: Path, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="is a save already"):
            quantize(Source(str(save)), "4bit", tmp_path / "twice", device="cpu")
        with pytest.raises(UsageError, match="is packed"):
            merge(Source(str(save)), tmp_path / "merged")
        adapter = write_adapter(tmp_path / "adapter", save, adapter_tensors(3))
        with pytest.raises(CheckpointError, match="no adapter can be laid over it"):
            opened(adapter, base=save)

    def test_nothing_of_the_files_is_held(self, save: Path) -> None:
        """What is in memory is a copy, and the only one: no file stays mapped beside it."""
        loaded = opened(save, None, dtype="auto", quantize="auto")
        before = {name: value.clone() for name, value in loaded.model.state_dict().items()}
        assert str(save) not in Path("/proc/self/maps").read_text()
        for file in save.glob("*.safetensors"):
            with file.open("r+b") as stream:
                stream.truncate(10)
        for name, value in loaded.model.state_dict().items():
            assert torch.equal(value, before[name])


DAMAGES: dict[str, Any] = {
    "missing part": lambda kept, name: kept.pop(f"{name}.absmax") is None,
    "part of another shape": lambda kept, name: kept.update({f"{name}.absmax": kept[f"{name}.absmax"][:-1]}),
    "fewer weights": lambda kept, name: kept.update({name: kept[name][:-1]}),
    "another kind": lambda kept, name: kept.update({name: kept[name].to(torch.int8)}),
    "NaN in a scale": lambda kept, name: kept[f"{name}.nested_absmax"].fill_(torch.nan) is None,
    "another weight's description": lambda kept, name: kept.update(
        {f"{name}.quant_state.bitsandbytes__nf4": torch.tensor(list(b'{"blocksize": 1}'), dtype=torch.uint8)}
    ),
    "no description": lambda kept, name: kept.update(
        {f"{name}.quant_state.bitsandbytes__nf4": torch.tensor(list(b"[" * 1000), dtype=torch.uint8)}
    ),
    "endless description": lambda kept, name: kept.update(
        {f"{name}.quant_state.bitsandbytes__nf4": torch.zeros(2000, dtype=torch.uint8)}
    ),
    "one too many": lambda kept, name: kept.update({f"{name}.more": torch.zeros(1)}),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_save_names_file_and_tensor(damage: str, source: Path, tmp_path: Path) -> None:
    save = quantize(Source(str(source), alpha=4), "4bit", tmp_path / "save", dtype="fp32", device="cpu").out
    (file,) = save.glob("*.safetensors")
    file = file.rename(save / "model.safetensors")
    (save / "model.safetensors.index.json").unlink()
    name = "model.language_model.layers.0.mlp.up_proj.weight"
    weights = load_file(file)
    DAMAGES[damage](weights, name)
    save_file(weights, file)
    with pytest.raises(PllavaError) as caught:
        opened(save, None, dtype="auto", quantize="auto")
    assert caught.value.status == 5
    assert file.name in caught.value.message
    assert name in caught.value.message
