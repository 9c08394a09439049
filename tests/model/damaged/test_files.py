"""Files that are missing, too many, in each other's place, or no files; and an index that leads elsewhere."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from pllava_cli.model.loading import load
from pllava_cli.model.options import LoadOptions
from tests.checkpoints import adapter_tensors
from tests.engine_checks import EXACT
from tests.model.damaged.conftest import INDEX, refused_checkpoint


class TestFiles:
    def test_empty_folder(self, tmp_path: Path) -> None:
        assert "has no config.json" in refused_checkpoint(tmp_path)

    def test_no_weights(self, whole: Path) -> None:
        (whole / "model.safetensors").unlink()
        assert "no model.safetensors" in refused_checkpoint(whole)

    @pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "model.pth"])
    def test_pickle_only_is_not_read(self, name: str, whole: Path) -> None:
        (whole / "model.safetensors").unlink()
        (whole / name).write_bytes(b"\x80\x04cos\nsystem\n(S'touch executed'\ntR.")
        assert "pickle" in refused_checkpoint(whole)
        assert not Path("executed").exists()

    def test_pickle_beside_safetensors_is_not_looked_at(self, whole: Path) -> None:
        (whole / "pytorch_model.bin").write_bytes(b"\x80\x04cos\nsystem\n(S'touch executed'\ntR.")
        load(whole, LoadOptions(**EXACT))

    def test_two_checkpoints_in_one_folder(self, sharded: Path, plain: Path) -> None:
        shutil.copy(plain / "model.safetensors", sharded)
        assert "holds both" in refused_checkpoint(sharded)

    @pytest.mark.parametrize("layout", ["whole", "sharded"])
    def test_an_adapter_beside_whole_weights(self, layout: str, request: pytest.FixtureRequest) -> None:
        """Whether it is merged into them nobody can tell, and left out it would be without a word."""
        folder = request.getfixturevalue(layout)
        save_file(adapter_tensors(1), folder / "adapter_model.safetensors")
        assert "and adapter_model.safetensors" in refused_checkpoint(folder)

    @pytest.mark.parametrize("number", [0, 1])
    def test_missing_shard(self, number: int, sharded: Path) -> None:
        shards = sorted(sharded.glob("model-*.safetensors"))
        shards[number].unlink()
        message = refused_checkpoint(sharded)
        assert shards[number].name in message

    def test_shard_that_the_index_forgets(self, sharded: Path) -> None:
        index = sharded / "model.safetensors.index.json"
        content = json.loads(index.read_text())
        gone = max(content["weight_map"].values())
        content["weight_map"] = {k: v for k, v in content["weight_map"].items() if v != gone}
        index.write_text(json.dumps(content))
        assert "lacks" in refused_checkpoint(sharded)

    def test_index_that_names_the_wrong_shard(self, sharded: Path) -> None:
        index = sharded / INDEX
        content = json.loads(index.read_text())
        key, there = next(iter(content["weight_map"].items()))
        other = max(content["weight_map"].values())
        assert other != there
        content["weight_map"][key] = other
        index.write_text(json.dumps(content))
        assert f"{sharded / other} lacks {key}, which {INDEX} says is in it" in refused_checkpoint(sharded)

    def test_tensor_that_a_shard_lost_is_named_with_it(self, sharded: Path) -> None:
        file = sorted(sharded.glob("model-*.safetensors"))[1]
        weights = load_file(file)
        key = sorted(weights)[0]
        del weights[key]
        save_file(weights, file)
        assert f"{file} lacks {key}" in refused_checkpoint(sharded)

    @pytest.fixture
    def naming(self, sharded: Path, plain: Path) -> Callable[[Any], Path]:
        """Have the index name a file for one tensor; whole checkpoints lie beside and below the folder."""
        shutil.copytree(plain, sharded.parent / "other")
        shutil.copytree(plain, sharded / "sub")

        def named(name: Any) -> Path:
            index = sharded / "model.safetensors.index.json"
            content = json.loads(index.read_text())
            content["weight_map"]["language_model.lm_head.weight"] = name
            index.write_text(json.dumps(content))
            return sharded

        return named

    @pytest.mark.parametrize(
        "name",
        [
            "../other/model.safetensors",
            "sub/model.safetensors",
            "./sub/../../other/model.safetensors",
            "/etc/passwd",
            "..",
            ".",
            "",
            "a\0.safetensors",
            "x" * 300,
        ],
        ids=lambda name: repr(name)[:30],
    )
    def test_index_that_leads_elsewhere(self, name: str, naming: Callable[[Any], Path]) -> None:
        assert f"no weight file of its folder: {name!r:.200}" in refused_checkpoint(naming(name))

    @pytest.mark.parametrize("name", [3, None, ["x"]], ids=repr)
    def test_index_that_names_no_file(self, name: Any, naming: Callable[[Any], Path]) -> None:
        refused_checkpoint(naming(name))

    @pytest.mark.parametrize(
        "text", ["", "{", "[]", "null", '{"weight_map": 3}', '{"weight_map": {}}', "{}", "\ufffe"], ids=repr
    )
    def test_damaged_index(self, text: str, sharded: Path) -> None:
        (sharded / "model.safetensors.index.json").write_text(text, encoding="utf-8")
        refused_checkpoint(sharded)

    @pytest.mark.parametrize(
        "name",
        [
            "model.safetensors",
            "tokenizer.json",
            "added_tokens.json",
            "preprocessor_config.json",
            "generation_config.json",
            "adapter_config.json",
            "quantized.json",
        ],
    )
    def test_pipe_where_a_file_should_be(self, name: str, whole: Path) -> None:
        """Whoever opened it would wait for ever."""
        (whole / name).unlink(missing_ok=True)
        os.mkfifo(whole / name)
        assert f"{name} is not a regular file" in refused_checkpoint(whole)

    def test_pipe_in_the_place_of_the_index(self, sharded: Path) -> None:
        (sharded / INDEX).unlink()
        os.mkfifo(sharded / INDEX)
        assert f"{INDEX} is not a regular file" in refused_checkpoint(sharded)

    def test_folder_where_a_file_should_be(self, whole: Path) -> None:
        (whole / "model.safetensors").unlink()
        (whole / "model.safetensors").mkdir()
        assert "model.safetensors" in refused_checkpoint(whole)
