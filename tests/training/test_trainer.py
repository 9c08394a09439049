"""The loop's own promises: what is logged, how the validation loss is reckoned, and fp16."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional
from transformers import set_seed

from pllava_cli.errors import DeviceError
from pllava_cli.loader import check_checkpoint
from pllava_cli.model.plan import RuntimePlan
from pllava_cli.training import run
from pllava_cli.training.lora import add_lora
from pllava_cli.training.settings import Recipe, TrainSettings
from pllava_cli.training.trainer import arguments
from tests.training.conftest import Heard, conversation, write_lines

Quick = Callable[..., TrainSettings]


def log(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_the_first_step_and_the_last_are_logged(quick: Quick, heard: Heard) -> None:
    outcome = run.train(quick(steps=3, log_every=100, save_every=100), heard)
    lines = log(quick().out)
    assert [line["step"] for line in lines if "loss" in line] == [1, 3]
    assert outcome.loss == lines[-1]["loss"]


class _KilledError(BaseException):
    pass


def test_a_run_killed_before_its_output_is_written_trains_no_further(
    quick: Quick, tmp_path: Path, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the last step ends in the midst of an epoch, as the sixth of four an epoch does."""
    whole, killed = (quick(out=tmp_path / name, steps=6) for name in ("whole", "killed"))
    expected = run.train(whole, heard)

    def fall(*_: object) -> None:
        raise _KilledError

    with monkeypatch.context() as patch, pytest.raises(_KilledError):
        patch.setattr(run, "write_description", fall)
        run.train(killed, heard)
    heard.steps.clear()
    outcome = run.train(killed, heard)
    assert "going on from step 6" in heard.said
    assert not [step for step in heard.steps if step[0] == "training"]
    assert (outcome.steps, outcome.loss) == (6, expected.loss)
    assert [line["step"] for line in log(killed.out)] == [1, 2, 3, 4, 5, 6]
    found, wanted = (load_file(each.out / "adapter_model.safetensors") for each in (killed, whole))
    assert all(torch.equal(found[name], value) for name, value in wanted.items())


def test_the_validation_loss_is_the_mean_of_all_tokens_however_they_are_batched(
    quick: Quick, clips: Path, tmp_path: Path, heard: Heard
) -> None:
    """Answers of one word and of many, in batches of one and of three."""
    mixed = write_lines(
        tmp_path / "mixed.jsonl",
        (
            conversation(clips / f"{n}.mp4", answer=" A" + " bird" * (1 + 9 * (n == 0)) + ".")
            for n in range(3)
        ),
    )
    found = []
    for batch in (1, 3):
        # With no learning rate at its first step, what is looked at is the base.
        settings = quick(out=tmp_path / str(batch), steps=1, batch_size=batch, validation=mixed, eval_every=1)
        found.append(run.train(settings, heard).eval_loss)
    assert found[0] == pytest.approx(found[1], rel=1e-5)


def test_fp16_on_a_cpu_is_refused_before_the_data_are_looked_at(
    quick: Quick, heard: Heard, tmp_path: Path
) -> None:
    with pytest.raises(DeviceError, match="fp16 needs a CUDA device") as caught:
        run.train(quick(dtype="fp16"), heard)
    assert "bf16" in caught.value.hint and "fp32" in caught.value.hint
    assert not heard.steps and not (tmp_path / "out").exists()


def gradients(
    base: Path, dtype: str, quantize: str = "none", *, is_evaluated: bool = False
) -> dict[str, torch.Tensor]:
    """Gradients of what is trained over a base in a precision, the loss scaled as for fp16."""
    checked = check_checkpoint(
        base,
        alpha=None,
        base=None,
        num_frames=None,
        pooling_shape=None,
        device="cpu",
        dtype=dtype,
        quantize=quantize,
    )
    set_seed(0)
    model = add_lora(checked.load().model, Recipe(rank=4, alpha=8.0, dropout=0.0), "base", quantize)
    ids = torch.tensor([[1, *[model.config.image_token_id] * 16, 260, 270, 280]])
    pixels = torch.randn(4, 3, 28, 28, generator=torch.Generator().manual_seed(0))
    if is_evaluated:
        with torch.no_grad():
            model.eval()(input_ids=ids, pixel_values=pixels)
        model.train()
    with torch.autocast("cpu", torch.float16, enabled=dtype == "fp16"):
        logits = model(input_ids=ids, pixel_values=pixels).logits
    scale = 1024.0
    (functional.cross_entropy(logits[0, -4:-1].float(), ids[0, -3:]) * scale).backward()
    trained = {name: each for name, each in model.named_parameters() if each.requires_grad}
    assert all(each.dtype == torch.float32 for each in trained.values())
    return {name: each.grad / scale for name, each in trained.items() if each.grad is not None}


def test_an_evaluation_stops_no_gradient_of_a_packed_base(base: Path) -> None:
    before = gradients(base, "fp32", quantize="4bit")
    after = gradients(base, "fp32", quantize="4bit", is_evaluated=True)
    assert before.keys() == after.keys() and any("lora_B" in name for name in before)
    for name, wanted in before.items():
        torch.testing.assert_close(after[name], wanted)


def test_over_a_base_in_fp16_float32_is_trained(base: Path) -> None:
    """What a GPU does, on a CPU: autocast to fp16 over a base in fp16, with the loss scaled."""
    half, single = gradients(base, "fp16"), gradients(base, "fp32")
    assert half.keys() == single.keys() and any("lora_B" in name for name in half)
    for name, wanted in single.items():
        assert half[name].dtype == torch.float32
        torch.testing.assert_close(
            half[name], wanted, rtol=0.05, atol=0.05 * float(wanted.abs().max()) + 1e-7
        )


@pytest.mark.parametrize(("device", "dtype"), [("cuda:0", "fp32"), ("cuda:0", "fp16"), ("cpu", "bf16")])
def test_the_library_is_told_the_precision(quick: Quick, device: str, dtype: str) -> None:
    made = arguments(quick(), RuntimePlan(device, dtype, "none"), "folder", 0, evaluates=False)
    assert (made.fp16, made.bf16) == (dtype == "fp16", dtype == "bf16")
