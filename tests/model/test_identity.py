"""What tells one folder's checkpoint from others that have lain, or will lie, in the same place."""

import ast
import os
import re
import shutil
from pathlib import Path

import pytest
import torch

from pllava_cli import model
from pllava_cli.loader import check_checkpoint
from pllava_cli.model.identity import FILES
from pllava_cli.model.record import RECORD_FILE
from pllava_cli.model.tensors import INDEX
from tests.checkpoints import Tensors, adapter_tensors, copied, edit_weights, write_adapter

EXACT = {"dtype": "fp32", "quantize": "none", "encode": "auto", "device": "cpu"}


def revision(folder: Path | str, base: Path | None = None) -> str | None:
    found = check_checkpoint(folder, alpha=None, base=base, num_frames=None, pooling_shape=None, **EXACT)
    return found.checkpoint.revision


def test_a_copy_is_the_same_checkpoint(plain: Path, tmp_path: Path) -> None:
    found = revision(plain)
    assert found is not None and found.startswith("weights-") and len(found) == 24
    copy = copied(plain, tmp_path / "copy")
    (copy / "notes.txt").write_text("Of no matter to any answer.")
    for file in copy.iterdir():
        file.touch()
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


@pytest.mark.parametrize("name", FILES)
def test_another_file_that_is_read_makes_another(plain: Path, tmp_path: Path, name: str) -> None:
    copy = copied(plain, tmp_path / "other")
    before = revision(copy)
    file = copy / name
    file.write_bytes(file.read_bytes() + b"\n" if file.exists() else b"{}")
    assert revision(copy) not in (None, before)


def test_of_the_base_such_files_count_too(plain: Path, tmp_path: Path) -> None:
    base = copied(plain, tmp_path / "base")
    adapter = write_adapter(tmp_path / "adapter", plain, adapter_tensors(0))
    found = {revision(adapter, base)}
    for name in ("tokenizer.json", "preprocessor_config.json"):
        with (base / name).open("ab") as file:
            file.write(b"\n")
        found.add(revision(adapter, base))
    shutil.copy(plain / "tokenizer.json", adapter)
    shutil.copy(plain / "preprocessor_config.json", adapter)
    assert len(found | {revision(adapter, base)}) == 4


def test_another_template_of_the_users_makes_another(plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = {revision(plain)}
    for number, template in enumerate(("vicuna", "chatml")):
        file = Path(os.environ["XDG_CONFIG_HOME"], "pllava", "weights.toml")
        file.parent.mkdir(parents=True, exist_ok=True)
        # Of another size each, as file systems may take two moments for one.
        file.write_text(f'[checkpoints.mine]\npath = "{plain}"\ntemplate = "{template}"\n' + "\n" * number)
        found.add(revision("mine"))
    assert len(found) == 3


def test_all_that_is_read_besides_the_weights_counts() -> None:
    """What a packed save says of itself is told in records one by one: precision, alpha, quantisation."""
    trees = (ast.parse(file.read_text()) for path in model.__path__ for file in Path(path).glob("*.py"))
    texts = (each.value for tree in trees for each in ast.walk(tree) if isinstance(each, ast.Constant))
    names = {each for each in texts if isinstance(each, str) and re.fullmatch(r"\w+(\.\w+)*\.json", each)}
    assert names - {INDEX, RECORD_FILE} == set(FILES)


def _doubled(tensors: Tensors) -> Tensors:
    return {name: 2 * value for name, value in tensors.items() if "lm_head" in name}
