"""What the answers of a run come to: scored, written as a report, and said."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pllava_cli import inputs
from pllava_cli.commands import evalsummary
from pllava_cli.commands.evalflags import EvalFlags
from pllava_cli.errors import UsageError
from pllava_cli.evaluation import answering
from pllava_cli.evaluation.asked import Asked
from pllava_cli.evaluation.items import Benchmark, Result, Said
from pllava_cli.evaluation.published import SAMPLE
from pllava_cli.evaluation.rundir import RunFolder
from pllava_cli.recording import Recording
from pllava_cli.terminal import Terminal

if TYPE_CHECKING:
    from pllava_cli.evaluation.judged import JudgedBy
    from pllava_cli.evaluation.judgements import Judgement


def finish(
    terminal: Terminal,
    folder: RunFolder,
    asked: Asked,
    benchmark: Benchmark,
    said: Sequence[Said],
    recording: Recording | None,
    notes: Sequence[str],
    verdicts: "Mapping[str, Judgement] | None" = None,
) -> Result:
    """Score answers and write the report.

    Args:
        terminal: Shows how far it is.
        folder: Where to.
        asked: What was asked.
        benchmark: Its questions.
        said: The answers, in their order.
        recording: With what settings they were made; None: nobody knows.
        notes: What a reader must know of the questions.
        verdicts: A judge's; None: those that are there.

    Returns:
        What they come to.

    Raises:
        UsageError: It cannot be written.
    """
    from pllava_cli.evaluation import report

    terminal.progress.update("scoring", 0, 0)
    by = folder.notes().judged_by if asked.is_judged else None
    if verdicts is None and by is not None:
        verdicts = _known(terminal, folder, benchmark, said, by)
    scored = asked.score(benchmark, said, verdicts)
    settings = dict(scored.settings)
    settings |= {} if recording is None else answering.described(recording)
    settings |= asked.described() | _sample(asked)
    if verdicts is not None and by is not None:
        settings |= by.described(verdicts.values())
    result = replace(scored, settings=settings, notes=[*notes, *scored.notes])
    terminal.progress.update("writing the report", 0, 0)
    report.write(folder.path, result)
    terminal.pause()
    return result


def _sample(asked: Asked) -> dict[str, str]:
    """Say for people that not all questions were asked, if so."""
    if asked.sample is None:
        return {}
    return {SAMPLE: f"{asked.sample} of each group at most, seed {asked.sample_seed}"}


def _known(
    terminal: Terminal, folder: RunFolder, benchmark: Benchmark, said: Sequence[Said], by: "JudgedBy"
) -> "Mapping[str, Judgement] | None":
    """Return what the last judge held of answers; None: nobody knows any more how it was asked."""
    from pllava_cli.evaluation import judged

    try:
        instructions = by.wording()
    except UsageError as error:
        terminal.warn(f"the judge's verdicts are left out, as it is not known how it was asked: {error}")
        terminal.note(
            "they are kept: put its instructions back and give this command again, or the one that judges"
        )
        return None
    return judged.known(benchmark, said, by, instructions, folder.verdicts)


def show(terminal: Terminal, folder: RunFolder, result: Result, *, as_json: bool) -> None:
    """Write the figures to stdout, and say where the report is."""
    if as_json:
        terminal.json_line(json.dumps(plain(result)))
    else:
        evalsummary.table(terminal, result)
    terminal.note(f"the report is {folder.path / 'report.html'}")


def plain(result: Result) -> Any:
    """Return a result as plain data, as result.json has it."""
    from pllava_cli.evaluation.report import stored

    return json.loads(stored.to_json(result))


def score_made(terminal: Terminal, flags: EvalFlags, asked: Asked, file: Path) -> int:
    """Score captions that were made before; returns the exit status.

    Args:
        terminal: Where figures go.
        flags: As typed.
        asked: Which references.
        file: The captions.

    Raises:
        UsageError: They cannot be read, or are of none of the clips.
    """
    from pllava_cli.evaluation import earlier

    folder = RunFolder(
        inputs.named(flags.output, "the folder for the result", "name one with -o")
        if flags.output is not None
        else Path(f"eval-{asked.benchmark}-{file.stem}")
    )
    folder.check(asked)
    terminal.progress.update("reading the captions", 0, 0)
    benchmark, notes = asked.read()
    said = earlier.said_from(benchmark, file)
    terminal.pause()
    evalsummary.faults(terminal, benchmark.faults)
    folder.begin(asked)
    result = finish(
        terminal, folder, asked, benchmark, said, None, [f"The captions are those of {file}.", *notes]
    )
    show(terminal, folder, result, as_json=flags.json)
    return evalsummary.status(said, benchmark)
