"""One run of training, from the words of the command line to the adapter in its folder."""

import hashlib
import signal
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from transformers import set_seed

from pllava_cli import textfile
from pllava_cli.errors import DeviceError, ExitStatus, PllavaError
from pllava_cli.loader import Checked, Opened
from pllava_cli.model import heap
from pllava_cli.model.memory import is_memory
from pllava_cli.model.offers import NOTHING_LEFT, Relief
from pllava_cli.phrases import counted, either
from pllava_cli.training import processes
from pllava_cli.training.base import device, find_base, name_of
from pllava_cli.training.callbacks import Log, Sealing, Stop
from pllava_cli.training.dataset import Collator, Examples
from pllava_cli.training.examples import Gathered, gather, look
from pllava_cli.training.lines import HINT
from pllava_cli.training.lora import add_lora, resolved_targets, trainable
from pllava_cli.training.output import write_description, writing
from pllava_cli.training.patches import Patches
from pllava_cli.training.rundir import RunFolder
from pllava_cli.training.settings import Recipe, Reporter, TrainSettings
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


@dataclass(frozen=True)
class _Start:
    """What a run begins with, once all is known to be sound."""

    settings: TrainSettings
    base: Checked
    gathered: Gathered
    run: RunFolder
    checkpoint: Path | None
    """Where it goes on; None: it begins."""

    @property
    def step(self) -> int:
        """Steps already done."""
        return int(self.checkpoint.name.partition("-")[2]) if self.checkpoint else 0


def check(settings: TrainSettings, reporter: Reporter) -> Gathered:
    """Look at all data and at the base, train nothing and write nothing.

    Raises:
        PllavaError: Something is wrong with the base, or a file cannot be read; bad lines are in the result.
    """
    return look(*_with_base(settings), reporter, cache=None)


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
    reporter = reporter if processes.is_main() else processes.Silent()
    run = RunFolder(settings.out)
    try:
        with writing(settings.out, "free some space, or make the folder writable; the same command goes on"):
            with processes.main_first(on_cpu=not device(settings.device).startswith("cuda")):
                start = _start(settings, run, reporter)
            try:
                return _train(start, reporter)
            finally:
                start.gathered.store.close()
    finally:
        run.release()


def _with_base(settings: TrainSettings) -> tuple[TrainSettings, Checked]:
    """The settings with the layers that LoRA is put on, and the base."""
    base = find_base(settings)
    targets = resolved_targets(base.prepared.model, settings.recipe.targets)
    return replace(settings, recipe=replace(settings.recipe, targets=targets)), base


def _start(settings: TrainSettings, run: RunFolder, reporter: Reporter) -> _Start:
    """Look at everything; the main process notes in the folder what the run begins with."""
    if not processes.is_main():  # whose clips the main process has kept
        settings, base = _with_base(replace(settings, cache_gb=0.0))
        gathered = gather(settings, base, reporter, cache=run.cache)
        return _Start(settings, base, gathered, run, run.last_checkpoint())
    run.check()
    settings, base = _with_base(settings)
    recorded = _recorded(settings, base)
    run.open(recorded, resume=settings.resume)
    try:
        gathered = gather(settings, base, reporter, cache=run.cache)
    except Exception:  # not an interruption: the clips that are kept by then serve the next start
        run.retract()
        raise
    run.record(recorded | {"examples": len(gathered.examples)}, resume=settings.resume)
    gathered.write_skipped(run.skipped)
    return _Start(settings, base, gathered, run, run.last_checkpoint())


def _train(start: _Start, reporter: Reporter) -> Outcome:
    recipe, stop = start.settings.recipe, Stop()
    opened = _opened(start.base, recipe, reporter)
    set_seed(recipe.seed)
    model = add_lora(opened.model, recipe, name_of(start.base), opened.plan.quantize)
    trained, whole = trainable(model)
    reporter.say(
        f"training {trained:,} of {whole:,} parameters on "
        f"{counted(f'{len(start.gathered.examples):,}', 'conversation')}, "
        f"{opened.plan.device}, {opened.plan.dtype}, quantisation {opened.plan.quantize}"
    )
    if start.checkpoint:
        reporter.say(f"going on from step {start.step}")
    per_step = recipe.batch_size * recipe.gradient_accumulation * processes.count()
    log = Log(start.run.log, reporter, per_step, start.step)
    with _told_plainly(torch.device(opened.plan.device), opened.plan.relief, recipe):
        fed = _data(start, opened, reporter)
    trainer = PllavaTrainer(
        model=model,
        settings=start.settings,
        plan=opened.plan,
        **fed,
        folder=str(start.run.checkpoints),
        callbacks=[log, stop, Sealing(start.run, start.settings.keep_checkpoints)],
    )
    plainly = _told_plainly(trainer.args.device, opened.plan.relief, recipe)
    with plainly, stop.listening() if processes.count() == 1 else nullcontext():
        trainer.train(resume_from_checkpoint=str(start.checkpoint) if start.checkpoint else None)
    done, total = trainer.state.global_step, trainer.state.max_steps
    if stop.signal is not None and done < total:
        reporter.say(f"stopped after step {done} of {total}; the same command goes on from there")
        raise (KeyboardInterrupt if stop.signal == signal.SIGINT else SystemExit(ExitStatus.TERMINATED))
    return _write_output(trainer, start, log)


def _opened(base: Checked, recipe: Recipe, reporter: Reporter) -> Opened:
    """The base with its weights; what is odd about it is told."""
    plan = base.prepared.plan
    with _told_plainly(torch.device(plan.device), plan.relief, recipe):
        opened = base.load(lambda done, total: reporter.progress("loading the base", done, total))
    if plan.device == "cpu":
        heap.keep_freed()
    for warning in (*opened.processor.warnings, *opened.warnings):
        reporter.warn(warning)
    return opened


def _data(start: _Start, opened: Opened, reporter: Reporter) -> dict[str, Any]:
    """The arguments of the trainer that feed it."""
    gathered, processor = start.gathered, opened.processor
    with processes.main_first(on_cpu=opened.plan.device == "cpu"):
        patches = _patches(start, opened, reporter)
    workers = start.settings.workers
    return {
        "examples": Examples(gathered.examples, gathered.store, patches, processor),
        "validation": Examples(gathered.validation, gathered.store, patches, processor)
        if gathered.validation
        else None,
        "collator": Collator(processor),
        "workers": workers if workers is not None else (0 if gathered.all_kept else 2),
    }


def _patches(start: _Start, opened: Opened, reporter: Reporter) -> Patches | None:
    """What the vision tower sees in the clips, where they are met again and there is room to keep it."""
    gathered, recipe = start.gathered, start.settings.recipe
    clips = list(dict.fromkeys(each.clip for each in (*gathered.examples, *gathered.validation)))
    met = recipe.epochs * len(gathered.examples)
    if recipe.steps is not None:
        met = recipe.steps * recipe.batch_size * recipe.gradient_accumulation * processes.count()
    if not gathered.all_kept or met < 2 * len(clips):
        return None
    patches = Patches(gathered.store, opened.model, opened.plan.torch_dtype)
    if patches.are_kept():
        return patches
    if patches.nbytes > gathered.store.room:
        return None
    try:
        patches.see(clips, lambda done: reporter.progress("seeing the clips", done, len(clips)))
    except OSError:  # the disk is full after all: the tower is run at every step
        return None
    return patches


@contextmanager
def _told_plainly(where: torch.device, relief: Relief, recipe: Recipe) -> Iterator[None]:
    """Translate what the library's loop raises, and what a process that prepares batches does."""
    try:
        yield
    except PllavaError as error:
        *traceback, last = error.message.splitlines()
        if traceback:  # from a process that prepares batches, with its traceback as text
            raise type(error)(last.partition(": ")[2] or last, error.hint) from None
        raise
    except (RuntimeError, MemoryError) as error:
        if not is_memory(error):
            raise
        raise DeviceError(
            f"the memory of {where} does not suffice for training", _lighter(relief, recipe)
        ) from None


def _lighter(relief: Relief, recipe: Recipe) -> str:
    """Say what would take less memory than the run takes; where nothing would, what may help."""
    options = (
        *(["a smaller --batch-size"] if recipe.batch_size > 1 else []),
        *([] if recipe.gradient_checkpointing else ["--gradient-checkpointing"]),
        *relief.packing,
    ) or relief.clip
    return f"use {either(options)}" if options else NOTHING_LEFT


def _write_output(trainer: PllavaTrainer, start: _Start, log: Log) -> Outcome:
    """Write the adapter; its weights come last, and with them the folder is a checkpoint."""
    outcome = Outcome(
        start.settings.out,
        trainer.state.global_step,
        len(start.gathered.examples),
        len(start.gathered.bad),
        log.last.get("loss"),
        log.last.get("eval_loss"),
    )
    if processes.is_main():
        write_description(start.run.path, start.base)
    trainer.save_model(str(start.run.path))
    processes.wait_for_all()
    if processes.is_main():
        start.run.finish({key: value for key, value in asdict(outcome).items() if key != "out"})
    return outcome


def _recorded(settings: TrainSettings, base: Checked) -> dict[str, Any]:
    """The settings that change the weights."""
    config, plan = base.prepared.model.config, base.prepared.plan
    files = [*settings.data, *([settings.validation] if settings.validation else [])]
    return {
        "model": name_of(base),
        "data": {str(file): _digest(file) for file in files},
        "frames": config.num_frames,
        "pooling_shape": list(config.pooling_shape),
        "template": base.checkpoint.template,
        "system": settings.system,
        "device": plan.device.partition(":")[0],
        "dtype": plan.dtype,
        "quantize": plan.quantize,
        "eval_every": settings.eval_every if settings.validation else None,
        "skip_bad": settings.skip_bad,
        "processes": processes.count(),
        **asdict(settings.recipe),
    }


def _digest(file: Path) -> str:
    try:
        with textfile.opened(file, HINT) as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise textfile.unreadable(file, error) from None
