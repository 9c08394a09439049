"""The work of `pllava eval`: one run, or a sweep, which is a run for each setting."""

import json
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pllava_cli import registry
from pllava_cli.commands import fitting, staffing
from pllava_cli.commands.evaluation import display
from pllava_cli.commands.evaluation.flags import EvalFlags
from pllava_cli.commands.evaluation.given import most_kept_bytes, output
from pllava_cli.commands.evaluation.results import plain, show
from pllava_cli.commands.evaluation.runs import Evaluation
from pllava_cli.commands.evaluation.sweeping import Setting, put_as, sweep
from pllava_cli.commands.held import Held, differ_in_alpha
from pllava_cli.errors import ExitStatus, UsageError
from pllava_cli.evaluation.asked import Asked
from pllava_cli.evaluation.items import JUDGE, Result
from pllava_cli.evaluation.rundir import RunFolder
from pllava_cli.records import Turn
from pllava_cli.settings import Settings
from pllava_cli.terminal import Terminal

if TYPE_CHECKING:
    from pllava_cli.visualstore.store import VisualStore


def run(terminal: Terminal, flags: EvalFlags, asked: Asked) -> int:
    """Do what is asked; returns the exit status.

    Raises:
        PllavaError: It cannot be done; what was answered by then is kept.
    """
    settings = sweep(flags)
    store = _visual_store(terminal, flags)
    out = output(flags, asked.benchmark, Path(registry.find(settings[0].settings.model).name).name)
    RunFolder(out).check(asked)
    terminal.progress.update("reading the questions", 0, 0)
    benchmark = asked.read()
    terminal.pause()
    display.faults(terminal, benchmark.faults)
    for note in benchmark.notes:
        terminal.warn(note)
    display.missing(terminal, benchmark)
    manner = benchmark.manner
    settings = [
        replace(each, settings=put_as(each.settings, flags, manner.system, manner.max_new_tokens))
        for each in settings
    ]
    needs = staffing.needs(
        flags, flags.device, settings[0].settings.device, (), Turn(manner.answer_start, manner.is_inline)
    )
    needs = replace(needs, visual_store=store, held=Held(store))
    evaluation = Evaluation(terminal, flags, asked, benchmark, needs)
    if len(settings) == 1:
        return _run_one(evaluation, RunFolder(out), settings[0])
    return _run_sweep(evaluation, out, settings)


def _visual_store(terminal: Terminal, flags: EvalFlags) -> "VisualStore | None":
    most = most_kept_bytes(flags)
    if not flags.keep_visual or flags.dry_run:
        return None
    from pllava_cli.visualstore.store import MOST_BYTES, VisualStore

    return VisualStore(most_bytes=MOST_BYTES if most is None else most, warn=terminal.warn)


def _run_one(evaluation: Evaluation, folder: RunFolder, setting: Setting) -> int:
    """Run the only setting; returns the exit status."""
    terminal = evaluation.terminal
    done = evaluation.run(folder, setting, fitting.fit(terminal, setting.settings))
    if done.result is not None:
        show(terminal, folder, done.result, as_json=evaluation.flags.json)
        if evaluation.asked.is_judged and not _is_judged(done.result):
            judge = f"pllava eval judge {shlex.quote(str(folder.path))} --judge-url URL --judge-model NAME"
            terminal.note(f"to have the answers judged: {judge}")
    return done.status


def _is_judged(result: Result) -> bool:
    """Whether a judge has said something of every answer that has words."""
    return JUDGE in result.settings and all(verdict.kind != "unjudged" for verdict in result.verdicts)


def _run_sweep(evaluation: Evaluation, out: Path, settings: Sequence[Setting]) -> int:
    """Run every setting in a folder of its own within `out`; returns the exit status."""
    terminal, is_dry = evaluation.terminal, evaluation.flags.dry_run
    fitted = [fitting.fit(terminal, each.settings) for each in settings]
    _check(evaluation, settings, fitted)
    if not is_dry:
        RunFolder(out).begin(evaluation.asked)
    runs: list[tuple[dict[str, str], Result]] = []
    statuses: set[int] = set()
    for setting, each in zip(settings, fitted, strict=True):
        terminal.heading(", ".join(f"{name.replace('_', ' ')} {of}" for name, of in setting.differs.items()))
        done = evaluation.run(RunFolder(out / setting.folder), setting, each)
        statuses.add(done.status)
        if done.result is None and not is_dry:
            return done.status
        if done.result is not None:
            runs.append((setting.differs, done.result))
    if runs:
        _show_sweep(terminal, out, runs, fitted[0].model, as_json=evaluation.flags.json)
    return statuses.pop() if len(statuses) == 1 else ExitStatus.SOME_FAILED


def _check(evaluation: Evaluation, settings: Sequence[Setting], fitted: Sequence[Settings]) -> None:
    """See that the checkpoint takes every setting, before hours are spent on the first."""
    staff = evaluation.needs.staffing
    if staff.engine == "ray" or len(staff.devices) > 1:
        return  # each look would take a process of its own
    looked: list[Settings] = []
    for setting, each in zip(settings, fitted, strict=True):
        # A checkpoint that takes two alphas takes any: where LoRA is stored merged, it takes but one.
        if sum(differ_in_alpha(each, other) for other in looked) > 1:
            continue
        looked.append(each)
        evaluation.terminal.progress.update("looking at the checkpoint", 0, 0)
        try:
            fitting.foresee(each)
        except UsageError as error:
            raise UsageError(f"{setting.folder}: {error.message}", error.hint) from None
    evaluation.terminal.pause()


def _show_sweep(
    terminal: Terminal,
    out: Path,
    runs: Sequence[tuple[dict[str, str], Result]],
    model: str,
    *,
    as_json: bool,
) -> None:
    """Write the sweep's report and its figures; `model` is the checkpoint that all of it was asked of."""
    from pllava_cli.evaluation import report

    for note in report.write_sweep(out, runs, defaults=_defaults(model)):
        terminal.note(note)
    if as_json:
        each = [{"setting": differs, "result": plain(result)} for differs, result in runs]
        terminal.json_line(json.dumps({"runs": each}))
    else:
        display.sweep(terminal, runs)
    terminal.note(f"the sweep's report is {out / 'sweep.html'}")


def _defaults(model: str) -> dict[str, str]:
    """What a checkpoint's own settings are, as far as that is known without its weights."""
    own = registry.surveyed(registry.find(model))
    alpha = None if own.lora is None else own.lora.alpha
    found = {
        "alpha": None if alpha is None else f"{alpha:g}",
        "frames": own.num_frames,
        "pooling_shape": own.pooling_shape and "x".join(map(str, own.pooling_shape)),
    }
    return {name: str(value) for name, value in found.items() if value is not None}
