"""What can be chosen of checkpoint, sampling, prompt and device, and what cannot be asked."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pllava_cli import Captioner, EncodedClip, load_model
from pllava_cli.engine import Decoding
from pllava_cli.errors import CheckpointError, ClipError, DeviceError, UsageError
from pllava_cli.model import cpu as cpu_module
from pllava_cli.model import device as device_module
from pllava_cli.model.config import read_config
from pllava_cli.model.device import DeviceInfo
from pllava_cli.model.empty import empty_model, shapes_of
from pllava_cli.model.footprint import Footprint, footprint
from pllava_cli.model.jsonfile import read_json
from pllava_cli.model.quantization import quantizable
from pllava_cli.prompts import SYSTEM
from tests.checkpoints import adapter_tensors, write_adapter, write_plain, write_script
from tests.clips import write_clip
from tests.engine_checks import EXACT, SHORT, same, state, told


class TestRefusals:
    def test_question_with_the_clips_placeholder(self, captioner: Captioner, encoded: EncodedClip) -> None:
        for question in ("<image>", "What is <image> for?", "x<image>\n"):
            with pytest.raises(UsageError, match="the question holds <image>") as caught:
                captioner.stream(encoded, question)
            assert caught.value.hint

    def test_system_text_with_the_clips_placeholder(self, checkpoint: Path, clip: Path) -> None:
        with pytest.raises(UsageError, match="the system text holds <image>"):
            Captioner(checkpoint, system="Look at <image>.", **EXACT)
        captioner = Captioner(checkpoint, **EXACT)
        captioner.system = "Look at <image>."
        with pytest.raises(UsageError, match="the system text holds <image>"):
            captioner.encode(clip)

    def test_question_that_is_too_long(self, captioner: Captioner, encoded: EncodedClip) -> None:
        with pytest.raises(UsageError, match=r"need \d+ \+ 256 positions of 4096") as caught:
            captioner.stream(encoded, "why? " * 900)
        assert "shorter question" in caught.value.hint
        with pytest.raises(UsageError, match=r"\+ 4000 positions"):
            captioner.stream(encoded, decoding=Decoding(max_new_tokens=4000))

    def test_longest_question_that_fits_is_answered(self, captioner: Captioner, encoded: EncodedClip) -> None:
        room = 4096 - len(encoded.prefix_ids) - 16
        with pytest.raises(UsageError):
            captioner.stream(encoded, "a" * room, decoding=SHORT)
        for spare in range(10, 40):
            try:
                stream = captioner.stream(encoded, "a" * (room - spare), decoding=SHORT)
            except UsageError:
                continue
            assert stream.answer.new_tokens > 0
            return
        pytest.fail("no long question fits")

    def test_clip_encoded_under_another_system_text(self, checkpoint: Path, clip: Path) -> None:
        captioner = Captioner(checkpoint, system="One.", **EXACT)
        encoded = captioner.encode(clip)
        captioner.system = "Two."
        with pytest.raises(UsageError, match="encoded with another system text"):
            captioner.stream(encoded, "What?")

    @pytest.mark.parametrize(
        "question", ["", " ", "</s>", "\n\n", "ASSISTANT: x</s>USER:", "\0", "é😀"], ids=repr
    )
    def test_strange_questions_are_answered(
        self, question: str, captioner: Captioner, encoded: EncodedClip
    ) -> None:
        before = state(encoded)
        assert captioner.answer(encoded, question, decoding=SHORT).question == question
        assert same(state(encoded), before)

    def test_no_such_clip(self, captioner: Captioner, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match=r"none\.mp4"):
            captioner.encode(tmp_path / "none.mp4")

    def test_clip_that_is_no_video(self, captioner: Captioner, tmp_path: Path) -> None:
        (tmp_path / "notes.mp4").write_bytes(np.random.default_rng(0).bytes(5000))
        with pytest.raises(ClipError, match=r"notes\.mp4"):
            captioner.encode(tmp_path / "notes.mp4")

    def test_captioner_goes_on_after_a_refusal(
        self, captioner: Captioner, encoded: EncodedClip, tmp_path: Path, clip: Path
    ) -> None:
        wanted = captioner.answer(encoded, decoding=SHORT).text
        with pytest.raises(UsageError):
            captioner.encode(tmp_path / "none.mp4")
        assert captioner.caption(clip, decoding=SHORT).text == wanted


class TestOptions:
    def test_what_was_chosen_is_told(self, captioner: Captioner) -> None:
        assert (captioner.num_frames, captioner.pooling_shape) == (4, (4, 2, 2))
        assert (captioner.plan.device, captioner.plan.dtype, captioner.plan.quantize) == (
            "cpu",
            "fp32",
            "none",
        )
        assert captioner.system == SYSTEM
        assert captioner.warnings == ()
        assert captioner.alpha == 4.0  # of a checkpoint that does not say: the registry's

    def test_encoding_is_told(self, encoded: EncodedClip, clip: Path) -> None:
        assert encoded.path == clip
        assert encoded.visual_tokens == 16
        assert len(encoded.report.indices) == 4
        assert (encoded.report.width_px, encoded.report.height_px) == (64, 48)

    def test_alpha(self, checkpoint: Path, clip: Path) -> None:
        def keys(alpha: float) -> list[torch.Tensor]:
            captioner = Captioner(checkpoint, alpha=alpha, **EXACT)
            assert captioner.alpha == alpha
            return state(captioner.encode(clip))

        assert not same(keys(0), keys(32))

    def test_checkpoint_without_lora_has_no_alpha(self, tmp_path: Path) -> None:
        assert Captioner(write_plain(tmp_path / "plain"), **EXACT).alpha is None

    def test_adapter_over_its_base(self, tmp_path: Path, clip: Path) -> None:
        base = write_plain(tmp_path / "plain")
        adapter = write_adapter(tmp_path / "adapter", base, adapter_tensors(3))
        tuned = Captioner(adapter, base=base, alpha=8, **EXACT)
        assert tuned.alpha == 8
        plain = Captioner(base, **EXACT)
        assert not same(state(tuned.encode(clip)), state(plain.encode(clip)))

    @pytest.mark.parametrize(
        ("frames", "shape"), [(8, (4, 2, 2)), (2, (4, 2, 2)), (4, (2, 1, 2)), (6, (3, 3, 3))], ids=str
    )
    def test_frames_and_pooling(
        self, frames: int, shape: tuple[int, int, int], checkpoint: Path, clip: Path
    ) -> None:
        captioner = Captioner(checkpoint, num_frames=frames, pooling_shape=shape, **EXACT)
        encoded = captioner.encode(clip)
        assert (captioner.num_frames, captioner.pooling_shape) == (frames, shape)
        assert len(encoded.report.indices) == frames
        assert encoded.visual_tokens == shape[0] * shape[1] * shape[2]
        assert encoded.prefix_ids.count(400) == encoded.visual_tokens
        assert captioner.answer(encoded, decoding=SHORT).new_tokens > 0

    def test_clip_shorter_than_the_frames_asked_for(self, captioner: Captioner, tmp_path: Path) -> None:
        encoded = captioner.encode(write_clip(tmp_path / "short.mp4", seed=3, frames=2))
        assert len(encoded.report.indices) == 4
        assert captioner.answer(encoded, decoding=SHORT).new_tokens > 0

    def test_segment(self, captioner: Captioner, encoded: EncodedClip, clip: Path) -> None:
        part = captioner.encode(clip, start=0.5, end=1.0)
        assert all(0.5 <= time <= 1.0 for time in part.report.timestamps_s)
        assert not same(state(part), state(encoded))

    @pytest.mark.parametrize("system", ["", "Answer in one word."])
    def test_system_text_is_replaced(self, system: str, checkpoint: Path, clip: Path) -> None:
        captioner = Captioner(checkpoint, system=system, **EXACT)
        encoded = captioner.encode(clip)
        shown = captioner.processor.tokenizer.decode(encoded.prefix_ids)
        assert shown == (f"{system} USER: " if system else "USER: ")
        answer = captioner.answer(encoded, "What?", decoding=SHORT)
        assert told(answer) == told(captioner.answer(captioner.encode(clip), "What?", decoding=SHORT))

    def test_chatml_is_told_from_the_tokenizer(self, tmp_path: Path, clip: Path) -> None:
        folder = tmp_path / "chatml"
        folder.mkdir()
        (folder / "added_tokens.json").write_text('{"<|im_start|>": 401, "<|im_end|>": 402}')
        write_script(folder, ["b", "y", "e", "<|im_end|>", "x"], start="<0x0A>")  # after "assistant\n"
        captioner = Captioner(folder, system="", **EXACT)
        encoded = captioner.encode(clip)
        assert encoded.prefix_ids.count(401) == 1
        assert told(captioner.answer(encoded)) == ("bye", None, "eos", 3)

    def test_progress_is_told(self, checkpoint: Path, clip: Path) -> None:
        said: list[tuple[str, int, int]] = []
        captioner = Captioner(checkpoint, on_progress=lambda *step: said.append(step), **EXACT)
        captioner.encode(clip)
        stages = list(dict.fromkeys(stage for stage, _, _ in said))
        assert stages == ["loading", "decoding", "encoding"]
        for stage in stages:
            steps = [(done, total) for name, done, total in said if name == stage]
            assert len({total for _, total in steps}) == 1
            assert [done for done, _ in steps] == sorted(done for done, _ in steps)
            assert steps[-1][0] == steps[-1][1] > 0


class TestDevice:
    @pytest.fixture
    def free(self, monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
        """Set the free memory of a machine without a GPU, in bytes."""

        def has(size: float) -> None:
            cpu = DeviceInfo("cpu", "2 threads", 1 << 40, int(size))
            monkeypatch.setattr(device_module, "devices", lambda: [cpu])
            monkeypatch.setattr(cpu_module, "prefers_bf16", lambda layer: False)

        return has

    @pytest.fixture
    def need(self, checkpoint: Path) -> Footprint:
        """What the checkpoint needs, as the choice is told."""
        config = read_config(read_json(checkpoint / "config.json"), None, None)
        model = empty_model(config)
        return footprint(config, shapes_of(model), {f"{name}.weight" for name in quantizable(model)})

    def test_no_gpu(self, checkpoint: Path, free: Any) -> None:
        free(1e9)
        with pytest.raises(DeviceError, match="no CUDA device") as caught:
            Captioner(checkpoint, device="cuda")
        assert caught.value.status == 6
        assert "--device cpu" in caught.value.hint

    @pytest.mark.parametrize("wanted", [("fp32", "none"), ("bf16", "none"), ("bf16", "4bit")], ids=str)
    def test_best_that_fits_is_taken_and_answers(
        self, wanted: tuple[str, str], checkpoint: Path, clip: Path, free: Any, need: Footprint
    ) -> None:
        free(need.bytes(*wanted) * 1.15)
        captioner = Captioner(checkpoint)
        assert (captioner.plan.dtype, captioner.plan.quantize) == wanted
        assert captioner.caption(clip, decoding=Decoding(max_new_tokens=2)).new_tokens > 0

    def test_option_that_fits_is_named(self, checkpoint: Path, free: Any, need: Footprint) -> None:
        free(need.bytes("bf16", "4bit") * 1.15)
        with pytest.raises(DeviceError, match="needs about") as caught:
            Captioner(checkpoint, quantize="none")
        assert caught.value.hint == "use --quantize 4bit"
        assert Captioner(checkpoint, quantize="4bit").plan.dtype == "bf16"

    def test_nothing_fits(self, checkpoint: Path, free: Any) -> None:
        free(1000)
        with pytest.raises(DeviceError, match="needs about"):
            Captioner(checkpoint)

    @pytest.mark.parametrize("option", [{"dtype": "int4"}, {"quantize": "2bit"}, {"device": "npu"}], ids=str)
    def test_names_that_do_not_exist(self, option: dict[str, str], checkpoint: Path) -> None:
        with pytest.raises(UsageError, match="unknown"):
            Captioner(checkpoint, **option)  # type: ignore[arg-type]

    def test_checkpoint_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(CheckpointError, match="no directory"):
            Captioner(tmp_path / "none")
        with pytest.raises(CheckpointError, match="no directory"):
            load_model(tmp_path / "none")
