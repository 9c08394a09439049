"""What errors and warnings name where memory or time does not suffice: only what the user can ask for."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from pllava_cli import quantizing
from pllava_cli.commands.making import TrainFlags
from pllava_cli.commands.options import RunFlags, settings_of
from pllava_cli.engine import Captioner
from pllava_cli.errors import DeviceError, MemoryFullError
from pllava_cli.loader import Checked, check_checkpoint
from pllava_cli.model import cpu
from pllava_cli.model import device as device_module
from pllava_cli.model.device import SPARE, DeviceInfo
from pllava_cli.model.empty import shapes_of
from pllava_cli.model.footprint import footprint
from pllava_cli.model.memory import memory_full
from pllava_cli.model.modeling import VisionTower
from pllava_cli.model.offers import NAMED
from pllava_cli.model.quantization import quantizable
from pllava_cli.source import Source
from pllava_cli.training import base, run
from pllava_cli.training.settings import TrainSettings
from tests.checkpoints import write_plain
from tests.training.conftest import Heard, conversation, write_lines

GB = 10**9
MANY: dict[str, Any] = {"num_frames": 64, "pooling_shape": (16, 2, 2)}
"""Of the tiny shape, whose own are 4 frames and (4, 2, 2)."""


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory, one_thread: None) -> Path:
    return write_plain(tmp_path_factory.mktemp("hints") / "plain")


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Set the memory that may be planned for on a machine without a GPU, in bytes."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(device_module, "DRIVER", Path("no driver"))

    def has(room: float) -> None:
        info = DeviceInfo("cpu", "2 threads", 1 << 40, int(room / SPARE) + 1)
        monkeypatch.setattr(device_module, "devices", lambda: [info])

    return has


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A CPU on which any clip takes minutes."""
    monkeypatch.setattr(cpu, "expected_seconds", lambda products, dtype, product: 600.0)


def checked(folder: Path, **options: Any) -> Checked:
    found: dict[str, Any] = {"alpha": None, "base": None, "num_frames": None, "pooling_shape": None}
    return check_checkpoint(folder, **(found | options))


def need(folder: Path, dtype: str, quantize: str, **options: Any) -> int:
    model = checked(folder, must_fit=False, **options).prepared.model
    packable = {f"{name}.weight" for name in quantizable(model)}
    return footprint(model.config, shapes_of(model), packable).bytes(dtype, quantize)


def flags(text: str) -> set[str]:
    """The options that a text names, by the names of settings."""
    return {name.replace("-", "_") for name in re.findall(r"--([a-z-]+)", text)}


def test_names_are_those_of_settings_that_commands_have() -> None:
    assert set(settings_of(RunFlags)) >= NAMED
    assert set(settings_of(TrainFlags)) >= base.NAMED


def test_captioning_names_the_preset(plain: Path, free: Any) -> None:
    free(need(plain, "bf16", "none"))
    with pytest.raises(DeviceError) as caught:
        checked(plain, quantize="none", dtype="bf16", **MANY, named=NAMED - {"quantize"})
    assert caught.value.hint == "use --preset fast"


@pytest.mark.usefixtures("free")
@pytest.mark.parametrize(("dtype", "fits"), [("bf16", True), ("fp32", False)])
def test_other_checkpoints_are_reckoned_in_the_precision_asked_for(
    dtype: str, fits: bool, plain: Path, free: Any
) -> None:
    """pllava-7b in 4 bits takes 6.1 GB beside bf16 and 8.8 GB beside fp32."""
    free(8 * GB)
    frames = {"num_frames": 100_000_000, "pooling_shape": None}
    with pytest.raises(DeviceError) as caught:
        checked(plain, quantize="4bit", dtype=dtype, **frames, named={"model"})
    assert (caught.value.hint == "use --model pllava-7b") is fits
    assert flags(caught.value.hint) == ({"model"} if fits else set())


class TestTime:
    def test_preset_is_named_to_whom_it_saves_something(self, plain: Path, free: Any, slow: None) -> None:
        free(64 * GB)
        (warning,) = checked(plain, **MANY).prepared.plan.warnings
        assert re.search(r"a clip takes at least 10 minutes; --preset fast takes \d\d? % of that$", warning)

    @pytest.mark.parametrize("frames", [{}, {"num_frames": 4}, {"num_frames": 2, "pooling_shape": (2, 2, 2)}])
    def test_not_to_whom_it_saves_nothing(
        self, frames: dict[str, Any], plain: Path, free: Any, slow: None
    ) -> None:
        free(64 * GB)
        (warning,) = checked(plain, **frames).prepared.plan.warnings
        assert warning.endswith("a clip takes at least 10 minutes")


def cure(folder: Path, clips: int, **options: Any) -> str:
    """What is told where the memory of a checkpoint, looked at with options, does not suffice after all."""
    return memory_full(checked(folder, dtype="bf16", **options).prepared.plan, clips).hint


class TestRunningOut:
    """Of what fits by its estimate and does not: no option is named that is in use already."""

    LOADING = ", or free memory; `pllava doctor` shows what fits"
    NOTHING = "close other programs, or take a machine with more memory; `pllava doctor` shows what fits"

    @pytest.fixture(autouse=True)
    def ample(self, free: Any) -> None:
        free(64 * GB)

    @pytest.mark.parametrize(
        ("clips", "quantize", "told"),
        [
            (0, "none", f"use --quantize 4bit{LOADING}"),
            (0, "8bit", f"use --quantize 4bit{LOADING}"),
            (0, "4bit", NOTHING),
            (1, "none", "use --quantize 4bit, --preset fast, or a smaller --pooling-shape"),
            (1, "4bit", "use --preset fast or a smaller --pooling-shape"),
            (5, "8bit", "use a smaller --batch-size or --quantize 4bit"),
            (5, "4bit", "use a smaller --batch-size"),
        ],
    )
    def test_what_is_packed_is_not_to_be_packed(
        self, clips: int, quantize: str, told: str, plain: Path
    ) -> None:
        assert cure(plain, clips, quantize=quantize, **MANY) == told

    @pytest.mark.parametrize(
        ("options", "told"),
        [
            ({}, "use fewer --frames or a smaller --pooling-shape"),
            ({"num_frames": 1, "pooling_shape": (4, 2, 2)}, "use a smaller --pooling-shape"),
            ({"num_frames": 2, "pooling_shape": (1, 1, 1)}, "use fewer --frames"),
            ({"num_frames": 1, "pooling_shape": (1, 1, 1)}, NOTHING),
            # Of whose pooled tokens the preset has too few to merge.
            ({**MANY, "keep_tokens": 1 / 16}, "use fewer --frames or a smaller --pooling-shape"),
        ],
        ids=str,
    )
    def test_what_a_clip_cannot_have_less_of_is_not_named(
        self, options: dict[str, Any], told: str, plain: Path
    ) -> None:
        assert cure(plain, 1, quantize="4bit", **options) == told

    @pytest.mark.parametrize(
        ("frames", "told"), [(8_000_000, f"use --model pllava-7b{LOADING}"), (5_000_000, NOTHING)]
    )
    def test_only_a_clearly_smaller_checkpoint_is_named(self, frames: int, told: str, plain: Path) -> None:
        """With so many frames the tiny shape takes 10.2 and 6.4 GB; pllava-7b takes 6.1 in 4 bits."""
        assert cure(plain, 0, quantize="4bit", num_frames=frames, pooling_shape=(4, 2, 2)) == told

    def test_a_save_is_packed_as_it_is(self, plain: Path, tmp_path: Path, free: Any) -> None:
        quantizing.quantize(Source(str(plain)), "8bit", tmp_path / "save", dtype="bf16")
        assert flags(cure(tmp_path / "save", 0)) == set()
        free(1000)
        with pytest.raises(DeviceError, match="the model needs about") as caught:
            checked(tmp_path / "save", **MANY)
        assert "quantize" not in flags(caught.value.hint)

    def test_on_a_gpu_there_is_another_memory(self, plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        both = [DeviceInfo(kind, "a device", 1 << 40, 64 * GB) for kind in ("cuda", "cpu")]
        monkeypatch.setattr(device_module, "devices", lambda: both)
        here: dict[str, Any] = {"device": "cuda", "quantize": "4bit"}
        assert cure(plain, 0, **here) == f"use --device cpu, which is slower, {self.NOTHING}"
        assert cure(plain, 0, **here, named=NAMED - {"device"}) == self.NOTHING

    def test_at_work(self, plain: Path, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        captioner = Captioner(plain, device="cpu", dtype="fp32", quantize="4bit", encode="exact")
        decoded = captioner.decode(clip)

        def full(*_: Any, **__: Any) -> None:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

        monkeypatch.setattr(captioner.model.model.language_model, "forward", full)
        with pytest.raises(MemoryFullError, match="for this clip") as caught:
            captioner.remember(decoded)
        assert caught.value.hint == "use fewer --frames or a smaller --pooling-shape"

    def test_the_smallest_has_no_smaller_one(self, free: Any) -> None:
        free(1000)
        with pytest.raises(DeviceError, match="the model needs about") as caught:
            checked("tiny")
        assert caught.value.hint == self.NOTHING


class TestTraining:
    @pytest.fixture
    def settings(self, plain: Path, clip: Path, tmp_path: Path) -> Callable[..., TrainSettings]:
        data = write_lines(tmp_path / "data.jsonl", [conversation(clip)])

        def made(**changes: Any) -> TrainSettings:
            return TrainSettings(**{"data": (data,), "out": tmp_path / "out", "model": str(plain)} | changes)

        return made

    def test_no_option_is_named_that_train_lacks(
        self, settings: Callable[..., TrainSettings], plain: Path, free: Any
    ) -> None:
        lighter = need(plain, "bf16", "4bit")
        for quantize, room, hint in (
            ("4bit", lighter, "use --frames 4 --pooling-shape 4,2,2"),
            ("none", lighter, "use --quantize 4bit --frames 4 --pooling-shape 4,2,2"),
            ("none", need(plain, "bf16", "4bit", **MANY), "use --quantize 4bit"),
            ("none", 1000, "use a smaller checkpoint, or free memory; `pllava doctor` shows what fits"),
        ):
            free(room)
            with pytest.raises(DeviceError, match="the model needs about") as caught:
                base.find_base(settings(dtype="bf16", quantize=quantize, **MANY))
            assert caught.value.hint == hint
            assert flags(caught.value.hint) <= set(settings_of(TrainFlags))
        free(lighter)
        fewer = {"num_frames": 4, "pooling_shape": (4, 2, 2)}
        base.find_base(settings(dtype="bf16", quantize="4bit", **fewer))

    @pytest.mark.parametrize(
        ("quantize", "recipe", "told"),
        [
            (
                "8bit",
                {"batch_size": 2},
                "a smaller --batch-size, --gradient-checkpointing, or --quantize 4bit",
            ),
            ("4bit", {"gradient_checkpointing": True}, "fewer --frames or a smaller --pooling-shape"),
        ],
        ids=str,
    )
    def test_what_is_in_use_is_not_named(
        self,
        quantize: str,
        recipe: dict[str, Any],
        told: str,
        settings: Callable[..., TrainSettings],
        free: Any,
        heard: Heard,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        def full(*_: Any, **__: Any) -> None:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

        free(64 * GB)
        monkeypatch.setattr(VisionTower, "forward", full)
        some = replace(settings().recipe, steps=1, rank=2, **recipe)
        with pytest.raises(DeviceError, match="the memory of cpu does not suffice for training") as caught:
            run.train(settings(dtype="fp32", quantize=quantize, recipe=some), heard)
        assert caught.value.hint == f"use {told}"

    def test_warnings_of_the_base_are_told(
        self, settings: Callable[..., TrainSettings], free: Any, slow: None, heard: Heard
    ) -> None:
        free(64 * GB)
        short = settings(quantize="none", dtype="fp32", **MANY)
        run.train(replace(short, recipe=replace(short.recipe, steps=1, rank=2)), heard)
        (warning,) = heard.warned
        assert warning.startswith("no CUDA device here: running on the CPU: a clip takes at least 10 minutes")
        assert flags(warning) == {"frames", "pooling_shape"}


@pytest.fixture
def heard() -> Heard:
    return Heard()
