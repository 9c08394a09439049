"""One run of training, from the words of the command line to the adapter in its folder."""

import hashlib
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from transformers import set_seed

from pllava_cli import registry
from pllava_cli.errors import CheckpointError, DeviceError, ExitStatus, PllavaError, UsageError
from pllava_cli.loader import Checked, check_checkpoint
from pllava_cli.model.device import RuntimePlan
from pllava_cli.model.layout import canonical
from pllava_cli.model.tensors import list_tensors
from pllava_cli.training.callbacks import Log, Sealing, Stop
from pllava_cli.training.data import check_regular
from pllava_cli.training.dataset import Collator, Examples
from pllava_cli.training.examples import Gathered, gather
from pllava_cli.training.lora import add_lora, resolved_targets, trainable
from pllava_cli.training.output import write_description
from pllava_cli.training.rundir import RunFolder
from pllava_cli.training.settings import Reporter, TrainSettings
from pllava_cli.training.trainer import PllavaTrainer


@dataclass(frozen=True)
class Outcome:
    """What a run came to."""

    out: Path
    steps: int
    examples: int
    skipped: int
    loss: float | None
    """The last logged."""
    eval_loss: float | None


def check(settings: TrainSettings, reporter: Reporter) -> Gathered:
    """Look at all data and at the base, train nothing and write nothing.

    Raises:
        PllavaError: Something is wrong with either.
    """
    base = _base(settings)
    resolved_targets(base.prepared.model, settings.recipe.targets)
    return gather(settings, base, reporter, cache=None)


def train(settings: TrainSettings, reporter: Reporter) -> Outcome:
    """Train, or go on training.

    Args:
        settings: The run's; the targets of LoRA are checked here.
        reporter: Told how it goes.

    Raises:
        PllavaError: The base, the data or the folder cannot be used.
        KeyboardInterrupt: Ended by SIGINT, with a checkpoint.
        SystemExit: Ended by SIGTERM, with a checkpoint.
    """
    run = RunFolder(settings.out)
    is_main = int(os.environ.get("RANK", "0")) == 0
    if is_main:
        run.check()
    base = _base(settings)
    targets = resolved_targets(base.prepared.model, settings.recipe.targets)
    settings = replace(settings, recipe=replace(settings.recipe, targets=targets))
    recorded = _recorded(settings, base)
    with _main_first(base.prepared.plan):
        if is_main:
            run.open(recorded, resume=settings.resume)
        gathered = gather(settings, base, reporter, cache=run.cache)
        if is_main:
            run.record(recorded | {"examples": len(gathered.examples)})
            gathered.write_skipped(run.skipped)
    try:
        return _train(settings, base, gathered, run, reporter)
    finally:
        gathered.store.close()
        run.release()


def _train(
    settings: TrainSettings, base: Checked, gathered: Gathered, run: RunFolder, reporter: Reporter
) -> Outcome:
    recipe, stop = settings.recipe, Stop()
    opened = base.load(lambda done, total: reporter.progress("loading the base", done, total))
    set_seed(recipe.seed)
    model = add_lora(opened.model, recipe, _name_of(base), opened.plan.quantize)
    trained, whole = trainable(model)
    reporter.say(
        f"training {trained:,} of {whole:,} parameters on {len(gathered.examples):,} conversations, "
        f"{opened.plan.device}, {opened.plan.dtype}, quantisation {opened.plan.quantize}"
    )
    resumed = run.last_checkpoint()
    step = int(resumed.name.partition("-")[2]) if resumed else 0
    if resumed:
        reporter.say(f"going on from step {step}")
    per_step = recipe.batch_size * recipe.gradient_accumulation * int(os.environ.get("WORLD_SIZE", "1"))
    log = Log(run.log, reporter, per_step, step)
    workers = settings.workers if settings.workers is not None else (0 if gathered.all_kept else 2)
    trainer = PllavaTrainer(
        model=model,
        settings=settings,
        plan=opened.plan,
        examples=Examples(gathered.examples, gathered.store, opened.processor),
        validation=Examples(gathered.validation, gathered.store, opened.processor)
        if gathered.validation
        else None,
        collator=Collator(opened.processor),
        folder=str(run.checkpoints),
        workers=workers,
        callbacks=[log, stop, Sealing(run, settings.keep_checkpoints)],
    )
    _run_loop(trainer, str(resumed) if resumed else None, stop)
    done, total = trainer.state.global_step, trainer.state.max_steps
    if stop.signal is not None and done < total:
        reporter.say(f"stopped after step {done} of {total}; the same command goes on from there")
        raise (KeyboardInterrupt if stop.signal == signal.SIGINT else SystemExit(ExitStatus.TERMINATED))
    outcome = Outcome(
        settings.out,
        done,
        len(gathered.examples),
        len(gathered.skipped),
        log.last.get("loss"),
        log.last.get("eval_loss"),
    )
    _write_output(trainer, base, run, outcome)
    return outcome


def _run_loop(trainer: PllavaTrainer, resumed: str | None, stop: Stop) -> None:
    """Run the library's loop, and translate what a worker process raises."""
    try:
        if trainer.args.world_size > 1:  # each process would end at a step of its own
            trainer.train(resume_from_checkpoint=resumed)
            return
        with stop.listening():
            trainer.train(resume_from_checkpoint=resumed)
    except torch.OutOfMemoryError:
        raise DeviceError(
            f"the memory of {trainer.args.device} does not suffice for training",
            "use a smaller --batch-size, --gradient-checkpointing, or --quantize 4bit",
        ) from None
    except PllavaError as error:
        *traceback, last = error.message.splitlines()
        if traceback:  # from a process that prepares batches, with its traceback as text
            raise type(error)(last.partition(": ")[2] or last, error.hint) from None
        raise


def _base(settings: TrainSettings) -> Checked:
    """Find and check the base.

    Raises:
        CheckpointError: It is no base, because it holds LoRA weights itself.
        UsageError: A target that does not exist, or a device that training cannot choose.
    """
    checkpoint = registry.find(settings.model)
    folder = registry.locate(checkpoint, offline=settings.offline)
    if any(canonical(tensor.key)[1] != "weight" for tensor in list_tensors(folder)):
        raise CheckpointError(
            f"{settings.model} holds LoRA weights of its own",
            f"fold them in first: pllava models merge {settings.model} -o FOLDER, then --model FOLDER",
        )
    return check_checkpoint(
        settings.model,
        alpha=None,
        base=None,
        num_frames=settings.num_frames,
        pooling_shape=settings.pooling_shape,
        offline=settings.offline,
        device=_device(settings.device),
        dtype=settings.dtype,
        quantize=settings.quantize,
    )


def _device(asked: str) -> str:
    """The device of this process: accelerate's choice among several, else the first."""
    local = int(os.environ.get("LOCAL_RANK", "0"))
    if asked.startswith("cuda:") and asked != f"cuda:{local}":
        number = asked.partition(":")[2]
        raise UsageError(
            f"training takes the first device there is, not {asked}",
            f"run CUDA_VISIBLE_DEVICES={number} pllava train … --device cuda",
        )
    if asked == "cpu" or (asked == "auto" and not torch.cuda.is_available()):
        return asked
    return f"cuda:{local}"


def _recorded(settings: TrainSettings, base: Checked) -> dict[str, Any]:
    """The settings that change the weights."""
    config, plan = base.prepared.model.config, base.prepared.plan
    files = [*settings.data, *([settings.validation] if settings.validation else [])]
    return {
        "model": _name_of(base),
        "data": {str(file): _digest(file) for file in files},
        "frames": config.num_frames,
        "pooling_shape": list(config.pooling_shape),
        "system": settings.system,
        "device": plan.device.partition(":")[0],
        "dtype": plan.dtype,
        "quantize": plan.quantize,
        "eval_every": settings.eval_every if settings.validation else None,
        "skip_bad": settings.skip_bad,
        "processes": int(os.environ.get("WORLD_SIZE", "1")),
        **asdict(settings.recipe),
    }


def _digest(file: Path) -> str:
    check_regular(file)
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror or error}", "check the name") from None


def _name_of(base: Checked) -> str:
    """By what adapter_config.json is to name the base: its name, or its folder."""
    return str(base.folder) if base.checkpoint.origin == registry.GIVEN else base.checkpoint.name


def _write_output(trainer: PllavaTrainer, base: Checked, run: RunFolder, outcome: Outcome) -> None:
    """Write the adapter; its weights come last, and with them the folder is a checkpoint."""
    if trainer.is_world_process_zero():
        write_description(run.path, base)
    trainer.save_model(str(run.path))
    trainer.accelerator.wait_for_everyone()
    if trainer.is_world_process_zero():
        run.finish({key: value for key, value in asdict(outcome).items() if key != "out"})


@contextmanager
def _main_first(plan: RuntimePlan) -> Iterator[None]:
    """Let the main process go before the others, where accelerate has started several."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    from accelerate import PartialState

    with PartialState(cpu=plan.device == "cpu").main_process_first():
        yield
