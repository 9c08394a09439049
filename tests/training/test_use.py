"""What the other commands make of a training's folder, whole, unfinished or without its base."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pllava_cli import Captioner, registry
from pllava_cli.errors import CheckpointError
from pllava_cli.loader import PROMPT_TEMPLATE, Checked, check_checkpoint
from pllava_cli.prompts import TEMPLATES
from pllava_cli.source import Source
from pllava_cli.training import run
from pllava_cli.training.merge import merge
from pllava_cli.training.rundir import RunFolder
from pllava_cli.training.settings import TrainSettings
from tests.checkpoints import adapter_tensors, copied, edit_json, write_adapter
from tests.commands.results import Run
from tests.training.conftest import Heard

EXACT = {"dtype": "fp32", "quantize": "none", "device": "cpu"}


@pytest.fixture
def moved(base: Path, tmp_path: Path) -> Path:
    """A base of this test's own."""
    return copied(base, tmp_path / "moved")


@pytest.fixture
def adapter(moved: Path, tmp_path: Path) -> Path:
    """An adapter that names its base, as training writes it."""
    folder = write_adapter(tmp_path / "adapter", moved, adapter_tensors(seed=1))
    (folder / "model.safetensors").rename(folder / "adapter_model.safetensors")
    said = {"peft_type": "LORA", "r": 8, "lora_alpha": 8.0, "base_model_name_or_path": str(moved)}
    (folder / "adapter_config.json").write_text(json.dumps(said))
    return folder


def checked(folder: Path | str, **options: object) -> Checked:
    found = {"alpha": None, "base": None, "num_frames": None, "pooling_shape": None}
    return check_checkpoint(folder, **(found | options), device="cpu")  # type: ignore[arg-type]


def register(name: str, folder: Path, template: str) -> None:
    registry.user_file().parent.mkdir(parents=True, exist_ok=True)
    registry.user_file().write_text(f'[checkpoints.{name}]\npath = "{folder}"\ntemplate = "{template}"\n')


@pytest.mark.parametrize("template", ["vicuna-inline", "chatml"])
def test_the_template_of_the_base_goes_with_the_output(
    isolated: Path, moved: Path, quick: Callable[..., TrainSettings], heard: Heard, template: str
) -> None:
    register("mine", moved, template)
    settings = quick(model="mine", steps=1)
    run.train(settings, heard)
    registry.user_file().unlink()
    assert Captioner(moved, **EXACT).template == TEMPLATES["vicuna"]
    edit_json(settings.out / "adapter_config.json", base_model_name_or_path=str(moved))
    assert Captioner(settings.out, **EXACT).template == TEMPLATES[template]
    merge(Source(str(settings.out)), settings.out.with_name("merged"))
    assert Captioner(settings.out.with_name("merged"), **EXACT).template == TEMPLATES[template]
    register("mine", settings.out, "vicuna")
    assert checked("mine").checkpoint.template == "vicuna", "the registry has the last word"


@pytest.mark.parametrize("name", ["alpaca", 7, ["vicuna"], {}])
def test_a_template_that_there_is_not_is_told(moved: Path, name: object) -> None:
    edit_json(moved / "config.json", **{PROMPT_TEMPLATE: name})
    with pytest.raises(CheckpointError, match="names a prompt template"):
        checked(moved)


@pytest.mark.parametrize("configured", [False, True], ids=["training", "writing the output"])
def test_an_unfinished_training_is_told(
    command: Run, base: Path, tmp_path: Path, clips: Path, configured: bool
) -> None:
    out = tmp_path / "out"
    folder = RunFolder(out)
    folder.open({}, resume=True)
    folder.record({}, resume=True)
    if configured:
        shutil.copy(base / "config.json", out)
    for words in (["caption", str(clips / "0.mp4"), "--model", str(out)], ["models", "show", str(out)]):
        told = command(*words)
        assert told.status == 5
        assert f"error: the training in {out} is not finished\n" in told.err
        assert "hint: run the same `pllava train` again to go on with it\n" in told.err
    folder.release()


def test_a_whole_checkpoint_with_a_run_json_of_another_tool_is_used(moved: Path) -> None:
    for content in ('{"schema": "another/1"}', "[]", "{", '{"schema": {}}'):
        (moved / "run.json").write_text(content)
        assert checked(moved).folder == moved


def test_an_adapter_without_its_base_is_not_here(command: Run, adapter: Path, moved: Path) -> None:
    assert json.loads(command("models", "show", str(adapter), "--json").out)["here"] == "yes"
    shutil.rmtree(moved)
    shown = json.loads(command("models", "show", str(adapter), "--json").out)
    assert shown["here"] == "incomplete"
    assert f"is an adapter over {moved}: there is no directory {moved}" in shown["where"]
    assert "--base" in shown["where"]
    register("mine", adapter, "vicuna")
    (row,) = [line for line in command("models", "list").out.splitlines() if line.startswith("mine")]
    assert "incomplete" in row
    edit_json(adapter / "adapter_config.json", base_model_name_or_path=None)
    assert "names no base" in command("models", "show", str(adapter)).out


def test_an_alpha_that_is_no_number_is_told_by_its_file(command: Run, adapter: Path) -> None:
    edit_json(adapter / "adapter_config.json", lora_alpha=float("nan"))
    with pytest.raises(CheckpointError, match=r"adapter_config.json has no usable lora_alpha \(nan\)"):
        checked(adapter)


def test_an_alpha_for_a_checkpoint_without_lora_is_warned_of(base: Path, adapter: Path) -> None:
    (warning,) = Captioner(base, alpha=8.0, **EXACT).warnings
    assert warning == f"an alpha of 8 changes nothing: {base} has no LoRA weights"
    assert Captioner(base, **EXACT).warnings == Captioner(adapter, alpha=2.0, **EXACT).warnings == ()
