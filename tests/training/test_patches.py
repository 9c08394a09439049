"""What the vision tower sees is kept, and training on it is training on the clips."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from pllava_cli import load_model
from pllava_cli.commands.making import TrainFlags
from pllava_cli.errors import DeviceError
from pllava_cli.model import cpu, many_rows
from pllava_cli.model.modeling import PllavaModel, VisionTower
from pllava_cli.training import run
from pllava_cli.training.lora import FRAMES_AT_ONCE
from pllava_cli.training.patches import HEAD_FILE, PATCHES_FILE
from pllava_cli.training.settings import TrainSettings
from tests.training.conftest import CLIPS, Heard

Quick = Callable[..., TrainSettings]
PICTURES_GB = CLIPS * 4 * 28 * 28 * 3 / 1e9
"""Room for the pictures of all clips, and for nothing else."""


class Interrupted(Heard):
    """Interrupts a run after its fifth step."""

    def progress(self, stage: str, done: int, total: int, note: str = "") -> None:
        if stage == "training" and done == 5:
            raise KeyboardInterrupt


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many frames the vision tower saw in each of its passes."""
    passes: list[int] = []
    forward = VisionTower.forward

    def count(self: VisionTower, pixel_values: torch.Tensor, **more: Any) -> Any:
        passes.append(len(pixel_values))
        return forward(self, pixel_values, **more)

    monkeypatch.setattr(VisionTower, "forward", count)
    return passes


def trained(settings: TrainSettings, heard: Heard) -> dict[str, torch.Tensor]:
    run.train(settings, heard)
    return load_file(settings.out / "adapter_model.safetensors")


def test_each_clip_is_seen_once_however_often_it_is_met(quick: Quick, heard: Heard, seen: list[int]) -> None:
    settings = quick(steps=12, batch_size=4)
    run.train(settings, heard)
    assert len(seen) == CLIPS
    assert ("seeing the clips", CLIPS, CLIPS, "") in heard.steps


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_the_weights_are_those_of_training_without(
    quick: Quick, heard: Heard, seen: list[int], tmp_path: Path, dtype: str
) -> None:
    settings = quick(steps=8, batch_size=1, gradient_accumulation=2, dtype=dtype, out=tmp_path / "kept")
    kept = trained(settings, heard)
    passes = len(seen)
    assert passes == CLIPS
    without = trained(replace(settings, out=tmp_path / "without", cache_gb=PICTURES_GB), heard)
    assert len(seen) - passes == 16  # at every clip of every step
    assert all(torch.equal(without[name], weight) for name, weight in kept.items())


def test_the_frozen_tower_sees_as_it_does_afterwards(
    quick: Quick, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kept or not, in the precision that inference has on this CPU: here bf16, multiplied in fp32."""
    monkeypatch.setattr(cpu, "times_of_fp32", lambda dtype, product: 2.0)
    monkeypatch.setattr(many_rows, "MANY_ROWS", 8)  # a small tower's pictures have few
    seen: list[tuple[torch.Tensor, torch.Tensor, int]] = []
    wide: list[torch.dtype] = []
    see, multiply = PllavaModel.see, many_rows.multiply

    def count(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        wide.append(weight.dtype)
        return multiply(x, weight, bias)

    def watch(self: PllavaModel, pixels: torch.Tensor, *more: Any) -> torch.Tensor:
        before = len(wide)
        patches = see(self, pixels, *more)
        if pixels.ndim == 4:
            seen.append((pixels, patches.clone(), len(wide) - before))
        return patches

    monkeypatch.setattr(many_rows, "multiply", count)
    monkeypatch.setattr(PllavaModel, "see", watch)
    settings = quick(steps=8, batch_size=2, gradient_accumulation=1, dtype="bf16")
    run.train(settings, heard)
    assert len(seen) == CLIPS
    run.train(replace(settings, out=settings.out.with_name("again"), cache_gb=PICTURES_GB), heard)
    assert len(seen) == CLIPS + 8
    assert set(wide) == {torch.float32} and not any(patches.requires_grad for _, patches, _ in seen)
    model, _ = load_model(settings.model, dtype="bf16", quantize="none", device="cpu")
    model.model.frames_at_once = FRAMES_AT_ONCE
    layers = sum(isinstance(each, many_rows.WideLinear) for each in model.model.vision_tower.modules())
    with torch.inference_mode():
        for pixels, patches, products in (seen[0], seen[-1]):
            assert products == layers > 0
            assert torch.equal(see(model.model, pixels), patches)


def test_a_resumed_run_does_not_see_again(quick: Quick, heard: Heard, seen: list[int]) -> None:
    settings = quick(steps=12, batch_size=4)

    with pytest.raises(KeyboardInterrupt):
        run.train(settings, Interrupted())
    cache = settings.out / "cache"
    assert {HEAD_FILE, PATCHES_FILE} <= {each.name for each in cache.iterdir()}
    del seen[:]
    run.train(settings, heard)
    assert not seen and "going on from step 4" in heard.said


def test_a_base_changed_meanwhile_is_seen_again(quick: Quick, heard: Heard, seen: list[int]) -> None:
    settings = quick(steps=12, batch_size=4)

    with pytest.raises(KeyboardInterrupt):
        run.train(settings, Interrupted())
    head = settings.out / "cache" / HEAD_FILE
    head.write_text(head.read_text().replace('"tower": ', '"tower": 1'))
    del seen[:]
    run.train(settings, heard)
    assert len(seen) == CLIPS


def test_memory_that_does_not_suffice_for_seeing_is_told(
    quick: Quick, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError

    monkeypatch.setattr(VisionTower, "forward", full)
    with pytest.raises(DeviceError, match="memory"):
        run.train(quick(steps=12, batch_size=4), heard)


def test_memory_of_the_cpu_that_does_not_suffice_is_told(
    quick: Quick, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")

    monkeypatch.setattr(VisionTower, "forward", full)
    with pytest.raises(DeviceError, match="the memory of cpu does not suffice for training") as caught:
        run.train(quick(steps=2), heard)
    for flag in re.findall(r"--([a-z-]+)", caught.value.hint):
        assert flag.replace("-", "_") in TrainFlags.__dataclass_fields__


def test_clips_met_once_are_not_kept(quick: Quick, heard: Heard, seen: list[int]) -> None:
    run.train(quick(steps=2, batch_size=4), heard)
    assert not any(stage == "seeing the clips" for stage, *_ in heard.steps)


def test_muon_trains_lora_and_resumes_exactly(quick: Quick, heard: Heard, tmp_path: Path) -> None:
    settings = quick(steps=8, batch_size=4, optimizer="muon", save_every=2)
    whole = trained(replace(settings, out=tmp_path / "whole"), heard)

    with pytest.raises(KeyboardInterrupt):
        run.train(settings, Interrupted())
    resumed = trained(settings, heard)
    assert all(torch.equal(resumed[name], weight) for name, weight in whole.items())
    recipe = replace(settings.recipe, optimizer="adamw")
    adamw = trained(replace(settings, out=tmp_path / "adamw", recipe=recipe), heard)
    name = next(name for name in whole if "lora_B" in name)
    assert not torch.equal(adamw[name], whole[name])
