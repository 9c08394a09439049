"""`pllava train`: teach an image model videos, or a video model your own, by LoRA and the projector.

Flags become settings here; all else is in `training`, which brings torch with it.
"""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pllava_cli import configfile as cf
from pllava_cli import inputs, registry, settings
from pllava_cli.commands.making import TrainFlags
from pllava_cli.commands.options import said, takes
from pllava_cli.errors import ExitStatus, UsageError
from pllava_cli.phrases import counted
from pllava_cli.prompts import SYSTEM
from pllava_cli.terminal import Terminal, one_line

if TYPE_CHECKING:
    from pllava_cli.training.settings import TrainSettings

EXAMPLES = """
# the paper's training on an image model, 16 frames pooled to 16x12x12
pllava train videos.jsonl --model llava-v1.6-vicuna-7b --frames 16 --pooling-shape 16,12,12 -o my-pllava
# use it, at another strength too
pllava caption clip.mp4 --model my-pllava --alpha 8
# look at the data only
pllava train videos.jsonl --model llava-v1.6-vicuna-7b --frames 16 --pooling-shape 16,12,12 --check-only
# wider LoRA on a 4-bit base, with validation
pllava train a.jsonl b.jsonl --model base --targets all --quantize 4bit --validation held-out.jsonl -o out
"""

_COUNT = (cf.integer(1, 1 << 40), settings.integer_text)
_SHARE = (cf.number(0, 0.999), settings.number_text)


def _targets(value: Any) -> tuple[str, ...]:
    return cf.texts([part.strip() for part in str(value).split(",")])


_Reader = tuple[Callable[[Any], Any], Callable[[str], Any]]
_RECIPE: dict[str, _Reader] = {
    "epochs": (cf.number(1e-3, 1e6), settings.number_text),
    "steps": _COUNT,
    "batch_size": _COUNT,
    "gradient_accumulation": _COUNT,
    "learning_rate": (cf.number(1e-12, 1e3), settings.number_text),
    "warmup": _SHARE,
    "optimizer": (cf.choice("adamw", "muon"), str),
    "weight_decay": (cf.number(0, 1e3), settings.number_text),
    "max_grad_norm": (cf.number(0, 1e9), settings.number_text),
    "rank": (cf.integer(1, 1 << 16), settings.integer_text),
    "alpha": (cf.number(0, 1e6), settings.number_text),
    "dropout": _SHARE,
    "targets": (_targets, str),
}
_RUN: dict[str, _Reader] = {
    "save_every": _COUNT,
    "log_every": _COUNT,
    "eval_every": _COUNT,
    "keep_checkpoints": _COUNT,
    "workers": (cf.integer(0, 256), settings.integer_text),
    "cache_gb": (cf.number(0, 1e6), settings.number_text),
}
"""How the text of each flag of training's own is read."""


@takes(TrainFlags)
def train(
    terminal: Terminal,
    flags: TrainFlags,
    data: Annotated[list[str], typer.Argument(metavar="DATA", help="Files of records or conversations.")],
) -> int:
    """Train LoRA and projector on videos and images.

    DATA are .jsonl files, or .json lists, of records as `pllava caption --json` writes them or of LLaVA's
    conversations; see pllava-training(5). Vision tower and language model stay as they are; the folder OUT
    gets an adapter in PEFT's own files, to be used with --model OUT. All data are looked at before the
    first step. Run the same command again to go on after an interruption.
    """
    chosen = _settings(flags, data)
    main_process = os.environ.get("RANK", "0") == "0"
    if not main_process:
        terminal.configure(quiet=True, verbose=0)
    from pllava_cli.commands.fitting import prepare_libraries

    prepare_libraries(True, quietly=terminal.verbose < 2)  # training asks no network for anything
    terminal.progress.update("starting", 0, 0)
    from pllava_cli.training import run

    reporter = _TerminalReporter(terminal)
    as_json = flags.json and main_process
    if flags.check_only:
        gathered = run.check(chosen, reporter)
        if as_json:  # first: it tells too what is then refused
            terminal.json_line(json.dumps(gathered.as_dict()))
        gathered.tell_bad(reporter)
        gathered.judge(chosen, reporter)
        terminal.note(f"{counted(len(gathered.examples), 'conversation')} can be trained on")
        return ExitStatus.OK
    outcome = run.train(chosen, reporter)
    terminal.note(f"trained {counted(outcome.steps, 'step')}; use it with --model {outcome.out}")
    if as_json:
        terminal.json_line(json.dumps(vars(outcome) | {"out": str(outcome.out)}))
    return ExitStatus.OK


@dataclass(frozen=True)
class _TerminalReporter:
    """Tells on the terminal how training goes."""

    terminal: Terminal

    def progress(self, stage: str, done: int, total: int, note: str = "") -> None:
        self.terminal.progress.update(stage, done, total, note)

    def say(self, text: str) -> None:
        self.terminal.note(one_line(text))

    def warn(self, text: str) -> None:
        self.terminal.warn(text)


def _settings(flags: TrainFlags, data: list[str]) -> "TrainSettings":
    shared = settings.resolve({name: value for name, value in said(flags).items() if name != "alpha"})
    if shared.origins["model"] == "weights.toml":
        raise UsageError("no base is named", "name the checkpoint to train from with --model")
    paths = _paths(flags, data)
    if (shared.seed or 0) >= 1 << 32:
        raise UsageError(f"--seed: training takes none of {shared.seed}", "give one below 4294967296")
    recipe = _read(flags, _RECIPE)
    if "steps" in recipe and "epochs" in recipe:
        raise UsageError("--steps and --epochs both say how long to train", "give one of them")
    run = _read(flags, _RUN)
    registry.locate(registry.find(shared.model), offline=shared.offline)  # before torch is imported
    from pllava_cli.training.settings import Recipe, TrainSettings

    return TrainSettings(
        **paths,
        model=shared.model,
        recipe=Recipe(
            **recipe, seed=shared.seed or 0, gradient_checkpointing=bool(flags.gradient_checkpointing)
        ),
        num_frames=shared.num_frames,
        pooling_shape=shared.pooling_shape,
        system=SYSTEM if shared.system is None else shared.system,
        device=shared.device,
        dtype=shared.dtype,
        quantize=shared.quantize,
        skip_bad=flags.skip_bad,
        decode_timeout_s=shared.decode_timeout_s,
        offline=shared.offline,
        resume=flags.resume is not False,
        **run,
    )


def _paths(flags: TrainFlags, data: list[str]) -> dict[str, Any]:
    """Read the names of files and of the folder.

    Raises:
        UsageError: One is empty, or there is no folder for the result.
    """
    nowhere = flags.check_only and flags.out is None  # which then is not written to
    paths: dict[str, Any] = {
        "data": tuple(inputs.named(each, "a data file", "name .jsonl or .json files") for each in data),
        "out": Path(os.devnull) if nowhere else inputs.result_folder(flags.out),
    }
    if flags.validation is not None:
        paths["validation"] = inputs.named(flags.validation, "the validation file", "name one, or give none")
    return paths


def _read(flags: TrainFlags, readers: dict[str, _Reader]) -> dict[str, Any]:
    """Read the flags that were given.

    Raises:
        UsageError: One has a value that it does not take.
    """
    found = {}
    for name in (each.name for each in fields(flags) if each.name in readers):
        text = getattr(flags, name)
        if text is None:
            continue
        check, parse = readers[name]
        try:
            found[name] = check(parse(text))
        except ValueError as error:
            raise UsageError(f"--{name.replace('_', '-')}: {error.args[0]}", settings.ANOTHER_VALUE) from None
    return found
