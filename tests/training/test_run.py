"""Whole runs: what is trained, what is written, and that an interruption changes nothing."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from pllava_cli import Captioner, load_model
from pllava_cli.errors import CheckpointError, UsageError
from pllava_cli.model import heap
from pllava_cli.training import run
from pllava_cli.training.callbacks import Log
from pllava_cli.training.rundir import RunFolder
from pllava_cli.training.settings import TrainSettings
from tests.processes import PATIENCE_S, until
from tests.training.conftest import Heard, conversation, write_lines

Quick = Callable[..., TrainSettings]
EXACT = {"dtype": "fp32", "quantize": "none", "device": "cpu"}


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "adapter_model.safetensors")


def log(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_the_loss_falls_and_the_output_captions(quick: Quick, clips: Path, heard: Heard) -> None:
    settings = quick(steps=40, batch_size=4, save_every=100, targets=("all",), learning_rate=2e-2)
    outcome = run.train(settings, heard)
    losses = [line["loss"] for line in log(settings.out)]
    assert len(losses) == 40 == outcome.steps
    assert sum(losses[-5:]) < 0.3 * sum(losses[:5])
    assert {"step", "epoch", "loss", "learning_rate", "grad_norm", "clips_per_s", "elapsed_s"} <= log(
        settings.out
    )[0].keys()
    assert heard.steps[-1][:3] == ("training", 40, 40) and "loss" in heard.steps[-1][3]
    captioner = Captioner(settings.out, **EXACT)
    assert captioner.alpha == 8.0
    answer = captioner.answer(captioner.encode(clips / "3.mp4"), "What is it?")
    assert answer.text.startswith("Bird") and answer.stopped == "eos"
    left = {each.name for each in settings.out.iterdir()}
    assert not left & {"cache", "checkpoints", "adapter.partial"}


def test_only_lora_and_the_projector_are_trained(
    quick: Quick, base: Path, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainers = []
    original = run.PllavaTrainer.train
    monkeypatch.setattr(
        run.PllavaTrainer, "train", lambda self, **more: (trainers.append(self), original(self, **more))
    )
    settings = quick()
    run.train(settings, heard)
    trained = weights(settings.out)
    assert {name for name in trained if "lora_" not in name} == {
        f"base_model.model.model.multi_modal_projector.linear_{number}.{part}"
        for number in (1, 2)
        for part in ("weight", "bias")
    }
    assert all(".language_model.layers." in name for name in trained if "lora_" in name)
    assert sum("lora_B" in name for name in trained) == 2 * 2  # q and v of two layers
    assert all(tensor.abs().sum() > 0 for name, tensor in trained.items() if "lora_B" in name)
    before = dict(load_model(base, **EXACT)[0].named_parameters())
    after = {
        name.replace("base_model.model.", "", 1)
        .replace(".base_layer", "")
        .replace(".original_module", ""): value
        for name, value in trainers[0].model.named_parameters()
        if "lora_" not in name and "modules_to_save" not in name
    }
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    projector = trained["base_model.model.model.multi_modal_projector.linear_1.weight"]
    assert not torch.equal(projector, before["model.multi_modal_projector.linear_1.weight"])


def test_the_process_keeps_what_it_frees(quick: Quick, heard: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[bool] = []
    monkeypatch.setattr(heap, "keep_freed", lambda: kept.append(True))
    run.train(quick(steps=1), heard)
    assert kept == [True]


def test_peft_reads_the_output_and_agrees(quick: Quick, base: Path, heard: Heard) -> None:
    from peft import PeftModel

    settings = quick()
    run.train(settings, heard)
    ours, _ = load_model(settings.out, **EXACT)
    theirs = PeftModel.from_pretrained(load_model(base, **EXACT)[0], str(settings.out)).eval()
    assert theirs.peft_config["default"].base_model_name_or_path == str(base)
    ids = torch.tensor([[1, *[ours.config.image_token_id] * 16, 260, 270, 280]])
    pixels = torch.randn(4, 3, 28, 28, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        wanted = theirs(input_ids=ids, pixel_values=pixels).logits
        torch.testing.assert_close(
            ours(input_ids=ids, pixel_values=pixels).logits, wanted, rtol=1e-4, atol=1e-4
        )
        plain = load_model(base, **EXACT)[0](input_ids=ids, pixel_values=pixels).logits
    assert (plain - wanted).abs().max() > 0.1


def start(settings: TrainSettings, *program: str) -> "subprocess.Popen[str]":
    """Start the command line of settings."""
    recipe = settings.recipe
    words = [sys.executable, *program, "train", *map(str, settings.data)]
    for name in ("model", "out", "device", "dtype", "quantize", "save_every", "log_every"):
        words += [f"--{name.replace('_', '-')}", str(getattr(settings, name))]
    for name in ("steps", "batch_size", "gradient_accumulation", "learning_rate", "warmup", "rank", "alpha"):
        words += [f"--{name.replace('_', '-')}", str(getattr(recipe, name))]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        words, env=environment, cwd=Path(__file__).parents[2], stderr=subprocess.PIPE, text=True
    )


_KILLED = """
import signal
from pllava_cli.training.callbacks import Log
step_ended = Log.on_step_end
def fall(self, args, state, control, **more):
    step_ended(self, args, state, control, **more)
    if state.global_step == 17:
        signal.raise_signal(signal.SIGKILL)
Log.on_step_end = fall
from pllava_cli.__main__ import main
main()
"""
"""The command, which is killed between two checkpoints."""


def test_a_killed_run_goes_on_to_the_same_weights(quick: Quick, tmp_path: Path, heard: Heard) -> None:
    """Killed in the midst of an epoch, with dropout, accumulated gradients and a rising and falling rate."""
    long = {"steps": 60, "gradient_accumulation": 2, "save_every": 7, "batch_size": 3}
    whole, killed = quick(out=tmp_path / "whole", **long), quick(out=tmp_path / "killed", **long)
    run.train(whole, heard)
    process = start(killed, "-c", _KILLED)
    _, err = process.communicate()
    assert process.returncode == -signal.SIGKILL, err
    assert (tmp_path / "killed" / "checkpoints" / "checkpoint-14" / "complete.json").exists()
    assert not (tmp_path / "killed" / "adapter_model.safetensors").exists()
    heard.said.clear()
    run.train(killed, heard)
    assert "going on from step 14" in heard.said
    expected, found = weights(whole.out), weights(killed.out)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], value) for name, value in expected.items())
    same = ("step", "loss", "learning_rate", "grad_norm")
    assert [[line[name] for name in same] for line in log(killed.out)] == [
        [line[name] for name in same] for line in log(whole.out)
    ]


class _KilledError(BaseException):
    pass


def interrupt(monkeypatch: pytest.MonkeyPatch, settings: TrainSettings, at_step: int, heard: Heard) -> None:
    """Run up to a step and fall dead there."""

    def fall(self: Log, args: object, state: object, control: object, **_: object) -> None:
        if state.global_step == at_step:  # type: ignore[attr-defined]
            raise _KilledError

    with monkeypatch.context() as patch, pytest.raises(_KilledError):
        patch.setattr(Log, "on_step_end", fall)
        run.train(settings, heard)


def test_a_torn_checkpoint_is_passed_over(
    quick: Quick, tmp_path: Path, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, torn = quick(out=tmp_path / "whole", steps=6), quick(out=tmp_path / "torn", steps=6)
    run.train(whole, heard)
    interrupt(monkeypatch, torn, 5, heard)
    newest = torn.out / "checkpoints" / "checkpoint-4"
    (newest / "optimizer.pt").write_bytes((newest / "optimizer.pt").read_bytes()[:-10])
    heard.said.clear()
    run.train(torn, heard)
    assert "going on from step 2" in heard.said
    assert all(torch.equal(weights(torn.out)[name], value) for name, value in weights(whole.out).items())


def test_a_run_asked_to_end_leaves_a_checkpoint_and_goes_on(
    quick: Quick, heard: Heard, tmp_path: Path
) -> None:
    settings = quick(steps=100_000, save_every=100_000)
    process = start(settings, "-m", "pllava_cli")
    until(lambda: settings.out.joinpath("log.jsonl").exists() and len(log_lines(settings)) > 3, process)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 143, err
    assert "Traceback" not in err
    (stopped,) = [line for line in err.splitlines() if line.startswith("stopped after step")]
    step = int(stopped.split()[3])
    assert (settings.out / "checkpoints" / f"checkpoint-{step}" / "complete.json").exists()


def log_lines(settings: TrainSettings) -> list[str]:
    return (settings.out / "log.jsonl").read_text().splitlines()


def test_other_settings_are_refused_by_name(
    quick: Quick, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt(monkeypatch, quick(), 3, heard)
    with pytest.raises(UsageError, match=r"learning_rate was 0.005, is 0.1; rank was 4, is 8"):
        run.train(quick(rank=8, learning_rate=0.1), heard)
    run.train(quick(rank=8, resume=False), heard)
    assert any("lora_A" in name and len(value) == 8 for name, value in weights(quick().out).items())


def test_changed_data_are_refused(
    quick: Quick, data: Path, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt(monkeypatch, quick(), 3, heard)
    data.write_text("".join(data.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(UsageError, match="data was"):
        run.train(quick(), heard)


def test_folders_that_are_not_ours_or_finished(quick: Quick, heard: Heard, tmp_path: Path) -> None:
    run.train(quick(), heard)
    with pytest.raises(UsageError, match="is finished"):
        run.train(quick(), heard)
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "letter.txt").write_text("dear")
    for folder in (foreign, foreign / "letter.txt"):
        with pytest.raises(UsageError):
            run.train(quick(out=folder), heard)
    assert (foreign / "letter.txt").read_text() == "dear"


def test_two_runs_do_not_share_a_folder(quick: Quick, heard: Heard, tmp_path: Path) -> None:
    other = RunFolder(tmp_path / "out")
    other.open({}, resume=True)
    with pytest.raises(UsageError, match="another process"):
        run.train(quick(), heard)
    other.release()


def test_bad_lines_are_told_before_anything_is_trained(
    quick: Quick, clips: Path, tmp_path: Path, heard: Heard
) -> None:
    lines = [
        conversation(clips / "0.mp4"),
        "{",
        conversation("missing.mp4"),
        conversation(clips / "1.mp4", answer=""),
    ]
    bad = write_lines(tmp_path / "bad.jsonl", lines)
    with pytest.raises(UsageError, match="3 of 4 lines"):
        run.train(quick(data=(bad,)), heard)
    assert [text.split(": ")[0] for text in heard.said] == [f"{bad}:{number}" for number in (2, 3, 4)]
    assert "no such file" in next(text for text in heard.said if text.startswith(f"{bad}:3"))
    assert not (tmp_path / "out" / "run.json").exists()
    run.train(quick(data=(bad,), skip_bad=True), heard)
    assert "3 of 4" in heard.warned[0]
    listed = [json.loads(line) for line in (tmp_path / "out" / "skipped.jsonl").read_text().splitlines()]
    assert [(each["file"], each["line"]) for each in listed] == [(str(bad), number) for number in (2, 3, 4)]


def test_many_bad_lines_are_told_in_part(quick: Quick, tmp_path: Path, heard: Heard) -> None:
    bad = write_lines(tmp_path / "bad.jsonl", ["{"] * 50)
    with pytest.raises(UsageError, match="50 of 50"):
        run.train(quick(data=(bad,)), heard)
    assert heard.said[-1].startswith("and 30 more") and len(heard.said) == 21
    with pytest.raises(UsageError, match="nothing to train on"):
        run.train(quick(data=(bad,), skip_bad=True), heard)


def test_pictures_and_clips_are_mixed_and_validated(
    quick: Quick, clips: Path, tmp_path: Path, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prepared by another process, where names of temporary files are too long for sockets."""
    long = tmp_path / ("x" * 100)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    still = {**conversation("x"), "image": str(clips / "still.png")}
    del still["video"]
    mixed = write_lines(
        tmp_path / "mixed.jsonl", [still, conversation(clips / "0.mp4"), conversation(clips / "1.mp4")]
    )
    settings = quick(data=(mixed,), validation=mixed, eval_every=2, cache_gb=0.0, workers=1)
    outcome = run.train(settings, heard)
    looks = [line for line in log(settings.out) if "eval_loss" in line]
    assert [line["step"] for line in looks] == [2, 4]
    assert outcome.eval_loss == looks[-1]["eval_loss"]
    assert any("validation loss" in text for text in heard.said)


@pytest.mark.parametrize(
    "changes",
    [
        {"quantize": "4bit"},
        {"quantize": "8bit"},
        {"pooling_shape": "none", "num_frames": 2},
        {"pooling_shape": (2, 1, 1)},
        {"dtype": "bf16"},
        {"gradient_checkpointing": True},
    ],
    ids=str,
)
def test_ways_to_train(quick: Quick, clips: Path, heard: Heard, changes: dict[str, object]) -> None:
    settings = quick(**changes)
    run.train(settings, heard)
    assert all(tensor.dtype == torch.float32 for tensor in weights(settings.out).values())
    captioner = Captioner(settings.out, **EXACT)
    wanted = {"none": (2, 2, 2), (2, 1, 1): (2, 1, 1)}.get(changes.get("pooling_shape"), (4, 2, 2))  # type: ignore[call-overload]
    assert captioner.pooling_shape == wanted
    assert captioner.encode(clips / "0.mp4").visual_tokens == wanted[0] * wanted[1] * wanted[2]


def test_gradient_checkpointing_changes_nothing_but_memory(
    quick: Quick, tmp_path: Path, heard: Heard
) -> None:
    folders = []
    for remembers in (False, True):
        settings = quick(out=tmp_path / str(remembers), gradient_checkpointing=remembers)
        run.train(settings, heard)
        folders.append(weights(settings.out))
    for name, value in folders[0].items():
        torch.testing.assert_close(folders[1][name], value)


def test_accumulated_passes_are_one_large_batch(quick: Quick, tmp_path: Path, heard: Heard) -> None:
    """The mean is over all answers' tokens of an update, however they are split into passes."""
    found = []
    for batch, passes in ((4, 1), (1, 4)):
        settings = quick(
            out=tmp_path / str(batch), batch_size=batch, gradient_accumulation=passes, dropout=0.0, steps=3
        )
        run.train(settings, heard)
        found.append([line["loss"] for line in log(settings.out)])
    assert found[0] == pytest.approx(found[1], rel=1e-4)


def test_a_base_with_lora_is_refused(quick: Quick, checkpoint: Path, heard: Heard) -> None:
    with pytest.raises(CheckpointError, match="LoRA weights of its own") as caught:
        run.train(quick(model=str(checkpoint)), heard)
    assert "models merge" in caught.value.hint


def test_unknown_targets_are_refused(quick: Quick, heard: Heard) -> None:
    with pytest.raises(UsageError, match="q_prj") as caught:
        run.train(quick(targets=("q_prj",)), heard)
    assert "q_proj" in caught.value.hint


def test_a_loss_that_is_no_number_ends_the_run(quick: Quick, heard: Heard) -> None:
    with pytest.raises(UsageError, match="no longer a number"):
        run.train(quick(learning_rate=1e30, steps=20), heard)


def test_a_clip_lost_meanwhile_is_told(
    quick: Quick, clips: Path, tmp_path: Path, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where clips are not kept decoded, a process that prepares batches meets it."""
    import shutil

    clip = Path(shutil.copy(clips / "0.mp4", tmp_path / "lost.mp4"))
    data = write_lines(tmp_path / "one.jsonl", [conversation(clip)])
    original = run.gather

    def gather(*arguments: object, **more: object) -> object:
        found = original(*arguments, **more)  # type: ignore[arg-type]
        clip.unlink()
        return found

    monkeypatch.setattr(run, "gather", gather)
    with pytest.raises(UsageError, match="no such file") as caught:
        run.train(quick(data=(data,), cache_gb=0.0, workers=1), heard)
    assert "\n" not in caught.value.message


def test_looking_only_writes_nothing(quick: Quick, tmp_path: Path, heard: Heard) -> None:
    gathered = run.check(quick(), heard)
    assert len(gathered.examples) == 8
    assert not (tmp_path / "out").exists()
