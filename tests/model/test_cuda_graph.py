"""Whether decoding through a graph is found out to be right, and to be wrong; on a GPU, that it is right."""

import math
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.random_checkpoint import write
from pllava_cli import Captioner
from pllava_cli.engine import Decoding
from pllava_cli.model import cuda_graph
from pllava_cli.model.cache import PrefixCache
from pllava_cli.model.config import read_config
from pllava_cli.model.cuda_graph import TOLERANCE, difference_when_recorded, recorder, use_graph
from pllava_cli.model.empty import empty_model
from pllava_cli.model.jsonfile import read_json
from pllava_cli.model.modeling import PllavaForConditionalGeneration
from pllava_cli.model.plan import RuntimePlan
from pllava_cli.model.processing import Processor
from pllava_cli.model.recorded import Recording, Step, rows_recorded
from tests.checkpoints import TINY
from tests.clips import write_clip
from tests.model.tracing import Tracer

Model = tuple[PllavaForConditionalGeneration, Processor]


def test_a_faithful_recording_differs_by_rounding(tiny: Model) -> None:
    tracer = Tracer()
    assert difference_when_recorded(tiny[0], tracer) < 1e-5
    assert (tracer.recorded, tracer.replayed) == (1, 3)


def test_a_recording_that_reads_no_new_token_is_found_out(tiny: Model) -> None:
    def deaf(step: Step) -> tuple[Callable[[], object], Tensor]:
        return (lambda: None), step().clone()

    assert difference_when_recorded(tiny[0], deaf) > TOLERANCE


def test_the_trial_records_what_steps_do(tiny: Model) -> None:
    """Without the attention that steps do not use either, whatever else the program allows."""
    found = list[bool]()
    seen = tiny[0].lm_head.register_forward_hook(
        lambda *_: found.append(torch.backends.cuda.cudnn_sdp_enabled())
    )
    before = torch.backends.cuda.cudnn_sdp_enabled()
    try:
        torch.backends.cuda.enable_cudnn_sdp(True)
        difference_when_recorded(tiny[0], Tracer())
    finally:
        torch.backends.cuda.enable_cudnn_sdp(before)
        seen.remove()
    assert len(found) > 3 and not any(found)


def test_nan_is_found_out(tiny: Model) -> None:
    def broken(step: Step) -> tuple[Callable[[], object], Tensor]:
        return (lambda: None), step() * torch.nan

    assert not difference_when_recorded(tiny[0], broken) <= TOLERANCE


def test_a_step_reads_nothing_back_from_the_device(plain: Path) -> None:
    """As a graph could not record it: on the device "meta" there is nothing to read."""
    model = empty_model(read_config(read_json(plain / "config.json"), None, None)).to("meta").eval()
    cache = PrefixCache(model.config.text_config.num_hidden_layers)
    cache.reserve(8)
    one = torch.zeros((1, 1), dtype=torch.int64, device="meta")
    with torch.inference_mode():
        model(input_ids=one, cache=cache, use_cache=True)
        recording = Recording(model, cache, 1, lambda step: (list, step()))
        logits = recording.play(cache, one)
    assert logits.shape == (1, model.config.text_config.vocab_size)
    with pytest.raises(RuntimeError, match="meta"):
        logits[0, 0].item()


@pytest.mark.parametrize("positions", [16, 21])
def test_masks_are_where_attention_takes_them_from(
    positions: int, plain: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise torch copies the mask in every layer (`aligned_tensor` of its attention.cpp)."""
    model = empty_model(read_config(read_json(plain / "config.json"), None, None)).to("meta").eval()
    cache = PrefixCache(model.config.text_config.num_hidden_layers)
    cache.reserve(positions)
    one = torch.zeros((1, 1), dtype=torch.int64, device="meta")
    masks, attend = list[Tensor](), functional.scaled_dot_product_attention

    def attend_with(*args: Any, attn_mask: Tensor, **kwargs: Any) -> Tensor:
        masks.append(attn_mask)
        return attend(*args, attn_mask=attn_mask, **kwargs)

    with torch.inference_mode():
        model(input_ids=one, cache=cache, use_cache=True)
        monkeypatch.setattr(functional, "scaled_dot_product_attention", attend_with)
        Recording(model, cache, 1, lambda step: (list, step()))
    assert {mask.shape for mask in masks} == {(1, 1, 1, positions)}
    assert [stride % 8 for mask in masks for stride in mask.stride()] == [0, 0, 0, 1] * len(masks)


class Device:
    """What torch.cuda does where a step is recorded, as far as it concerns gpu."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.current, self.seen = "default", list[str]()
        self.may_record = True
        main = SimpleNamespace(wait_stream=lambda _: self.note("wait"))
        side = SimpleNamespace(wait_stream=lambda _: None)
        for name, stands_in in {
            "device": lambda _: nullcontext(),
            "Stream": lambda _: side,
            "current_stream": lambda: main,
            "stream": lambda _: OnSide(self),
            "CUDAGraph": lambda: self,
            "synchronize": lambda: None,
        }.items():
            monkeypatch.setattr(torch.cuda, name, stands_in)
        monkeypatch.setattr(torch._C, "_host_emptyCache", lambda: None, raising=False)
        monkeypatch.setattr(
            torch._C, "_cuda_clearCublasWorkspaces", lambda: self.note("forget"), raising=False
        )

    def note(self, what: str) -> None:
        self.seen.append(f"{what} on {self.current}")

    def capture_begin(self, **_: object) -> None:
        self.note("begin")

    def capture_end(self) -> None:
        self.note("end")
        if not self.may_record:
            raise torch.AcceleratorError("CUDA error: failed due to a previous error during capture")

    def replay(self) -> None:
        self.note("replay")


class OnSide:
    """As `torch.cuda.StreamContext`: whoever enters it must leave it."""

    def __init__(self, device: Device) -> None:
        self._device, self._before = device, ""

    def __enter__(self) -> None:
        self._before, self._device.current = self._device.current, "side"

    def __exit__(self, *_: object) -> None:
        self._device.current = self._before


def test_a_graph_has_working_memory_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """That of the stream goes with whichever graph was recorded on it: pytorch issue 193402."""
    gpu = Device(monkeypatch)

    def step() -> Tensor:
        gpu.note("step")
        return torch.zeros(1)

    replay, _ = recorder(torch.device("cuda:0"))(step)
    replay()
    of_side = ["step", "forget", "begin", "step", "end", "forget"]
    assert gpu.seen == [*(f"{what} on side" for what in of_side), "wait on default", "replay on default"]


def test_a_recording_that_fails_gives_the_stream_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """`torch.cuda.graph` itself does not, where it cannot end the recording."""
    gpu = Device(monkeypatch)
    gpu.may_record = False
    with pytest.raises(RuntimeError, match="previous error"):
        recorder(torch.device("cuda:0"))(lambda: torch.zeros(1))
    assert gpu.current == "default"
    assert gpu.seen[-1] == "wait on default"


def test_a_model_on_a_cpu_is_left_alone(tiny: Model) -> None:
    plan = RuntimePlan("cpu", "fp32", "none", ("as asked",))
    assert use_graph(tiny[0], plan) is plan
    assert tiny[0].recorder is None


@pytest.mark.parametrize(
    ("plan", "reason"),
    [
        (RuntimePlan("cuda:0", "bf16", "none", layers=("cuda:0", "cuda:1")), "several GPUs"),
        (RuntimePlan("cuda:0", "bf16", "8bit"), "outliers"),
    ],
)
def test_what_cannot_be_recorded_is_not_tried(plan: RuntimePlan, reason: str, tiny: Model) -> None:
    assert reason in use_graph(tiny[0], plan).reasons[-1]
    assert tiny[0].recorder is None


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (
            RuntimeError("not permitted\nwhen capturing"),
            "recording one failed (not permitted when capturing)",
        ),
        (0.4, "its logits differ by 40%"),
        (math.nan, "its logits differ by nan%"),
    ],
)
def test_what_turns_out_wrong_is_not_used(
    found: float | Exception, told: str, tiny: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tried(*_: object) -> float:
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(cuda_graph, "difference_when_recorded", tried)
    assert use_graph(tiny[0], RuntimePlan("cuda:0", "fp32", "none")).reasons == (f"no CUDA graph: {told}",)
    assert tiny[0].recorder is None


def test_few_kinds_of_batches_are_recorded() -> None:
    assert [rows_recorded(rows, 20) for rows in (1, 2, 3, 8, 9, 17, 20)] == [1, 2, 4, 8, 16, 20, 20]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize(("dtype", "quantize"), [("fp32", "none"), ("bf16", "none"), ("bf16", "4bit")])
def test_a_gpu_decodes_through_a_graph(dtype: str, quantize: str, tmp_path: Path) -> None:
    folder = write(tmp_path / "checkpoint", TINY, seed=1)
    captioner = Captioner(folder, alpha=4, device="cuda", dtype=dtype, quantize=quantize)
    assert "CUDA graph" in captioner.plan.reasons[-1] and captioner.model.recorder is not None
    clips = [captioner.encode(write_clip(tmp_path / f"{seed}.mp4", seed)) for seed in range(2)]
    recorded = [captioner.answer(clip, decoding=Decoding(max_new_tokens=40)) for clip in clips]
    assert [each.new_tokens > 0 for each in recorded] == [True, True]
    captioner.model.recorder = None
    if dtype == "fp32":
        wanted = [captioner.answer(clip, decoding=Decoding(max_new_tokens=40)) for clip in clips]
        assert [each.text for each in recorded] == [each.text for each in wanted]
