"""The registry: its entries and their figures, its names, and directories in their place."""

import json
import tomllib
from pathlib import Path

import pytest

from pllava_cli import registry
from pllava_cli.errors import CheckpointError, ExitStatus


def test_every_entry_is_complete_and_says_where_its_figures_come_from() -> None:
    for checkpoint in registry.all_checkpoints():
        assert checkpoint.description and checkpoint.license and checkpoint.template and checkpoint.aliases
        assert checkpoint.parameters and checkpoint.size_gb
        assert set(checkpoint.memory_gb) == set(registry.PRECISIONS)
        said = {"license", "template", "parameters", "num_frames", "pooling_shape", "size_gb", "memory_gb"}
        said |= {"lora"} if checkpoint.lora else set()
        said |= {"base"} if checkpoint.base else set()
        assert set(checkpoint.source) == said, checkpoint.name
        if checkpoint.name == "tiny":
            continue
        assert checkpoint.repo and checkpoint.path is None and checkpoint.revision == "main"
        assert checkpoint.num_frames == 16 and checkpoint.pooling_shape == (16, 12, 12)
        is_pllava = checkpoint.name.startswith("pllava")
        assert bool(checkpoint.lora) is bool(checkpoint.base) is is_pllava


def test_the_built_in_checkpoint_lies_in_the_package_and_says_what_it_knows() -> None:
    tiny = registry.find("tiny")
    assert tiny.repo is None and tiny.license and tiny.description and "shapes" in tiny.notice
    folder = registry.locate(tiny, offline=True)
    assert folder.resolve().is_relative_to(Path(registry.__file__).parent.resolve())
    assert sum(file.stat().st_size for file in folder.iterdir()) <= 12_000_000


def test_released_checkpoints_have_the_published_lora() -> None:
    for name in ("pllava-7b", "pllava-13b", "pllava-34b"):
        assert registry.find(name).lora == registry.Lora(128, 4.0, ("q_proj", "v_proj"))
        base = registry.find(registry.find(name).base or "")
        assert base.lora is None and base.parameters == registry.find(name).parameters
    assert registry.find("pllava-34b").template == "chatml"
    assert registry.find("pllava-7b").template == "vicuna"


def decoder_parameters(width: int, inner: int, layers: int, heads: int, kv_heads: int, rows: int) -> int:
    attention = 2 * width * width + 2 * width * kv_heads * width // heads
    return layers * (attention + 3 * width * inner + 2 * width) + width + 2 * rows * width


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("pllava-7b", (4096, 11008, 32, 32, 32, 32064)),
        ("pllava-13b", (5120, 13824, 40, 40, 40, 32064)),
        ("pllava-34b", (7168, 20480, 60, 56, 8, 64064)),
    ],
)
def test_figures_follow_from_the_shapes(name: str, shape: tuple[int, int, int, int, int, int]) -> None:
    width, _, layers, heads, kv_heads, _ = shape
    vision, inner = 1024, 4096
    layer = 4 * (vision * vision + vision) + 2 * vision * inner + inner + vision + 4 * vision
    tower = vision * 3 * 14 * 14 + vision + 577 * vision + 4 * vision + 24 * layer
    projector = vision * width + width + width * width + width
    parameters = decoder_parameters(*shape) + tower + projector
    lora = layers * 128 * (3 * width + kv_heads * width // heads)
    checkpoint = registry.find(name)
    assert checkpoint.parameters == parameters
    assert checkpoint.size_gb == round(2 * (parameters + lora) / 1e9, 1)
    assert checkpoint.memory_gb["bf16"] > 2 * parameters / 1e9


def test_defaults_and_presets() -> None:
    defaults = registry.defaults()
    assert registry.find(defaults.model).name == "pllava-7b"
    assert (defaults.alpha, defaults.temperature) == (4.0, 0.0)
    assert defaults.presets["fast"].num_frames == 4
    assert defaults.presets["fast"].pooling_shape == (4, 12, 12)
    assert defaults.presets["standard"].num_frames is None


@pytest.mark.parametrize("name", ["pllava-13b", "PLLaVA-13B", "13b", "ermu2001/pllava-13b"])
def test_find_by_name_alias_or_repository(name: str) -> None:
    assert registry.find(name).name == "pllava-13b"


def test_find_a_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path)
    for name in ("mine", "./mine", str(tmp_path / "mine"), Path("mine")):
        checkpoint = registry.find(name)
        assert checkpoint.path == tmp_path / "mine" and checkpoint.repo is None
        assert checkpoint.num_frames is None and checkpoint.template is None
        assert checkpoint.lora == registry.Lora(None, None, ())


def test_a_name_comes_before_a_directory_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pllava-7b").mkdir()
    monkeypatch.chdir(tmp_path)
    assert registry.find("pllava-7b").path is None
    assert registry.find("./pllava-7b").path == tmp_path / "pllava-7b"
    assert registry.find(Path("pllava-7b")).path == tmp_path / "pllava-7b"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("pllava-7", "did you mean pllava-7b?"),
        ("lava-v1.6-34", "did you mean llava-v1.6-34b?"),
        ("zzz", "pllava-7b, 7b"),
        ("./zzz", "models list"),
        ("~no-such-user/zzz", "models list"),
        ("", "models list"),
        ("a\0b", "pllava-7b"),
        ("x" * 5000, "pllava-7b"),
    ],
)
def test_unknown_names(name: str, hint: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        registry.find(name)
    assert caught.value.status == ExitStatus.CHECKPOINT
    assert hint in caught.value.hint


def test_a_file_is_no_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(CheckpointError, match="is a file"):
        registry.find(str(tmp_path / "model.safetensors"))


def test_entry_as_plain_data_is_json() -> None:
    for checkpoint in registry.all_checkpoints():
        assert json.loads(json.dumps(registry.as_dict(checkpoint)))["name"] == checkpoint.name


def test_the_manual_page_names_every_key() -> None:
    page = (Path(__file__).parents[1] / "man" / "man5" / "pllava-weights.5").read_text()
    entries = tomllib.loads(registry.builtin_file().read_text())
    keys = set(entries["defaults"]) | {key for preset in entries["presets"].values() for key in preset}
    keys |= {key for entry in entries["checkpoints"].values() for key in entry}
    for key in keys | {"path", "revision", "rank", "targets", *registry.PRECISIONS}:
        assert any(word in page for word in (f".B {key}\n", f".BR {key} ", f".B {key} ")), key
