"""Decoding on a GPU through a CUDA graph.

A step of a 7B is about a thousand kernels, which a GPU finishes sooner than Python starts the next ones; a
graph starts all of them at once. Whether it does what the steps do is tried out once, after loading: a
driver, a quantisation or a library may not let itself be recorded.
"""

from collections.abc import Callable
from dataclasses import replace
from threading import Lock

import torch
from torch import Tensor
from torch.nn.attention import sdpa_kernel

from pllava_cli.model.cache import PrefixCache
from pllava_cli.model.generation import STEP_KERNELS, prefill, step
from pllava_cli.model.modeling import PllavaForConditionalGeneration
from pllava_cli.model.plan import RuntimePlan
from pllava_cli.model.recorded import Record, Recording, Step, StepRecorder

TOLERANCE = 0.05
"""Largest difference between the logits of a recorded step and of the same as it comes, as a share of their
norm. Well above rounding, as masked attention is another kernel: bf16 has 0.4 % of it in each operation."""
_one_at_a_time = Lock()
"""Held while a graph is recorded: torch allows for one at a time in a process (`torch.cuda.graph`)."""


def use_graph(model: PllavaForConditionalGeneration, plan: RuntimePlan) -> RuntimePlan:
    """Let a model that lies on one GPU decode through a graph, if that turns out the same.

    Returns:
        The plan, with what was found among its reasons.
    """
    if not plan.device.startswith("cuda"):
        return plan
    why_not = _why_not(model, plan)
    if why_not is None:
        model.recorder = StepRecorder(recorder(model.device))
    told = f"no CUDA graph: {why_not}" if why_not else "tokens come from a CUDA graph"
    return replace(plan, reasons=(*plan.reasons, told))


def recorder(device: torch.device) -> Record:
    """What records a step on a GPU."""

    def record(step: Step) -> tuple[Callable[[], object], Tensor]:
        with _one_at_a_time, torch.cuda.device(device):
            side, graph = torch.cuda.Stream(device), torch.cuda.CUDAGraph()  # type: ignore[no-untyped-call]
            main = torch.cuda.current_stream()
            side.wait_stream(main)
            try:
                with torch.cuda.stream(side):  # a recording that fails does not give back the stream itself
                    step()  # what libraries set up at their first call cannot be recorded
                    _forget_workspaces()
                    # Other threads may go on using the GPU meanwhile.
                    with torch.cuda.graph(graph, stream=side, capture_error_mode="thread_local"):
                        logits = step()
                    _forget_workspaces()
            finally:
                main.wait_stream(side)  # a step that is then taken as it comes writes to the same place

        def replay() -> None:
            with torch.cuda.device(device):
                graph.replay()

        return replay, logits

    return record


def _forget_workspaces() -> None:
    """Let matrix products take new working memory from now on, as torch's own recording of graphs does.

    torch keeps it for each stream, of which there are 32, and frees it with any graph that was recorded on
    the stream, though others may go on writing to it (https://github.com/pytorch/pytorch/issues/193402).
    What a graph's own recording takes stays the graph's.
    """
    forget: Callable[[], None] | None = getattr(torch._C, "_cuda_clearCublasWorkspaces", None)
    if forget is not None:
        forget()


def _why_not(model: PllavaForConditionalGeneration, plan: RuntimePlan) -> str | None:
    if plan.layers:
        return "the model lies on several GPUs"
    if plan.quantize == "8bit":
        return "bitsandbytes looks for outliers on the CPU at each step"
    try:
        difference = difference_when_recorded(model, recorder(model.device))
    except RuntimeError as error:
        return f"recording one failed ({' '.join(str(error).split()):.200})"
    return None if difference <= TOLERANCE else f"its logits differ by {difference:.0%}"


@torch.inference_mode()
@sdpa_kernel(STEP_KERNELS)  # a step sets them itself, but what is tried here is recorded outside of one
def difference_when_recorded(model: PllavaForConditionalGeneration, record: Record) -> float:
    """How far the logits of recorded steps are from those of the same as they come, as a share of their norm.

    That of the worst of three steps; NaN where there are NaN.
    """
    ids = [number % model.config.text_config.vocab_size for number in range(1, 6)]
    cache = PrefixCache(model.config.text_config.num_hidden_layers)
    cache.reserve(len(ids) + 3)  # room that is masked
    prefill(model, cache, model.embed(torch.tensor([ids[:2]], device=model.device)))
    length, further = cache.length, ids[2:]
    as_they_come = [step(model, cache, [[each]]).float() for each in further]
    cache.rewind(length)
    recording = Recording(model, cache, 1, record)
    differences = []
    for each, wanted in zip(further, as_they_come, strict=True):
        found = recording.play(cache, torch.tensor([[each]], device=model.device)).float()
        differences.append((found - wanted).norm() / wanted.norm())
    return float(torch.stack(differences).max())
