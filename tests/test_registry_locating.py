"""Where a checkpoint's files are, in the hub's cache or a directory, and what they say of it."""

import json
from pathlib import Path

import pytest

from pllava_cli import registry
from pllava_cli.errors import CheckpointError, ExitStatus


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def cached(hub: Path, repo: str, files: dict[str, str]) -> Path:
    """Put a repository into the cache as the hub lays it out."""
    folder = hub / f"models--{repo.replace('/', '--')}"
    snapshot = folder / "snapshots" / "0123456789abcdef"
    snapshot.mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(snapshot.name)
    for name, text in files.items():
        (snapshot / name).write_text(text)
    return snapshot


def index(*names: str) -> str:
    return json.dumps({"weight_map": {f"tensor{number}": name for number, name in enumerate(names)}})


def test_locate_in_the_cache(hub: Path) -> None:
    checkpoint = registry.find("pllava-7b")
    files = {"config.json": "{}", "a.safetensors": "", "b.safetensors": ""}
    files["model.safetensors.index.json"] = index("a.safetensors", "b.safetensors")
    snapshot = cached(hub, "ermu2001/pllava-7b", files)
    assert registry.locate(checkpoint, offline=True) == snapshot
    (snapshot / "b.safetensors").unlink()
    (snapshot / "b.safetensors").symlink_to("gone")  # a blob that is not there, as after a broken download
    with pytest.raises(CheckpointError, match=r"incomplete: .* lacks b\.safetensors$") as caught:
        registry.locate(checkpoint, offline=False)
    assert caught.value.hint == "run: pllava models pull pllava-7b"


def test_shards_without_their_index_are_not_taken_for_whole(hub: Path) -> None:
    cached(hub, "ermu2001/pllava-7b", {"config.json": "{}", "model-00001-of-00003.safetensors": ""})
    with pytest.raises(registry.IncompleteError, match=r"lacks model\.safetensors\.index\.json$"):
        registry.locate(registry.find("pllava-7b"), offline=False)


@pytest.mark.parametrize("offline", [False, True])
def test_what_is_not_here_names_the_command(hub: Path, offline: bool) -> None:
    with pytest.raises(CheckpointError, match=r"pllava-34b \(69.9 GB\) is not on this machine") as caught:
        registry.locate(registry.find("34b"), offline=offline)
    assert caught.value.hint.endswith("run: pllava models pull pllava-34b")
    assert ("on a machine with a network" in caught.value.hint) is offline


@pytest.mark.parametrize(
    "text", ["", "[1]", "{}", '{"weight_map": 3}', '{"weight_map": {"a": 1}}', "[" * 100_000]
)
def test_hostile_index(hub: Path, text: str) -> None:
    cached(hub, "ermu2001/pllava-7b", {"config.json": "{}", "model.safetensors.index.json": text})
    with pytest.raises(CheckpointError, match="not an index"):
        registry.locate(registry.find("pllava-7b"), offline=False)


def test_locate_a_directory(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    checkpoint = registry.find(str(folder))
    with pytest.raises(registry.IncompleteError, match=r"checkpoint has no config\.json$") as caught:
        registry.locate(checkpoint, offline=False)
    assert caught.value.status == ExitStatus.CHECKPOINT and "whole checkpoint" in caught.value.hint
    (folder / "config.json").write_text("{}")
    assert registry.locate(checkpoint, offline=False) == folder
    (folder / "config.json").unlink()
    folder.rmdir()
    with pytest.raises(CheckpointError, match="there is no directory"):
        registry.locate(checkpoint, offline=False)


@pytest.mark.parametrize(
    ("config", "frames", "shape"),
    [
        ('{"num_frames": 4, "pooling_shape": [4, 2, 2]}', 4, (4, 2, 2)),
        ('{"num_frames": "four", "pooling_shape": [4, 2]}', None, None),
        ('{"num_frames": -1, "pooling_shape": null}', None, None),
        ("{}", None, None),
    ],
)
def test_survey_of_a_directory(
    tmp_path: Path, config: str, frames: int | None, shape: tuple[int, int, int] | None
) -> None:
    (tmp_path / "config.json").write_text(config)
    (tmp_path / "a.safetensors").write_bytes(bytes(3_000_000))
    (tmp_path / "b.safetensors").symlink_to("gone")
    found = registry.surveyed(registry.find(tmp_path))
    assert (found.num_frames, found.pooling_shape, found.size_gb) == (frames, shape, 0.003)


def test_adapter_of_another_tool_is_told_what_it_lacks(tmp_path: Path) -> None:
    (tmp_path / "adapter_model.safetensors").touch()
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(registry.IncompleteError, match=r"has no config\.json") as caught:
        registry.locate(registry.find(tmp_path), offline=False)
    assert caught.value.hint.startswith("copy into it the config.json")


def test_survey_of_a_directory_tells_the_alpha_that_it_will_be_loaded_at(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    found = registry.surveyed(registry.find(tmp_path))
    assert found.lora == registry.Lora(None, registry.defaults().alpha, ())


@pytest.mark.parametrize("text", ["", "[1]", "[" * 100_000])
def test_survey_of_a_broken_directory(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"config\.json holds no JSON object"):
        registry.surveyed(registry.find(tmp_path))
