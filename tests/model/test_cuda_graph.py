"""Whether decoding through a graph is found out to be right, and to be wrong; on a GPU, that it is right."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from benchmarks.random_checkpoint import write
from pllava_cli import Captioner
from pllava_cli.engine import Decoding
from pllava_cli.model import cuda_graph
from pllava_cli.model.cache import PrefixCache
from pllava_cli.model.config import read_config
from pllava_cli.model.cuda_graph import TOLERANCE, difference_when_recorded, use_graph
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
