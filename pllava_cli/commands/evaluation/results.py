"""What the answers of a run come to: scored, written as a report, and said."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pllava_cli.commands.evaluation import display
from pllava_cli.commands.evaluation.flags import EvalFlags
from pllava_cli.commands.evaluation.given import output
from pllava_cli.errors import UsageError
from pllava_cli.evaluation.answering import pipeline
from pllava_cli.evaluation.asked import Asked
from pllava_cli.evaluation.benchmarks import splits
from pllava_cli.evaluation.items import Benchmark, Result, Said
from pllava_cli.evaluation.rundir import RunFolder
from pllava_cli.recording import Recording
from pllava_cli.terminal import Terminal

if TYPE_CHECKING:
    from pllava_cli.evaluation.judging.judged_by import JudgedBy
    from pllava_cli.evaluation.judging.judgements import Judgement


def finish(
    terminal: Terminal,
    folder: RunFolder,
    asked: Asked,
    benchmark: Benchmark,
    said: Sequence[Said],
    recording: Recording | None,
    judgements: "Mapping[str, Judgement] | None" = None,
) -> Result:
    """Score answers and write the report.

    Args:
        terminal: Shows how far it is.
        folder: Where to.
        asked: What was asked.
        benchmark: Its questions.
        said: The answers, in their order.
        recording: With what settings they were made; None: nobody knows.
        judgements: A judge's; None: those that are there.

    Returns:
        What they come to.

    Raises:
        UsageError: It cannot be written.
    """
    from pllava_cli.evaluation import report

    terminal.progress.update("scoring", 0, 0)
    by = folder.notes().judged_by if asked.is_judged else None
    if judgements is None and by is not None:
        judgements = _known(terminal, folder, asked, said, by)
    scored = asked.score(benchmark, said, judgements)
    settings = dict(scored.settings)
    settings |= {} if recording is None else pipeline.described(recording)
    settings |= asked.described()
    if judgements is not None and by is not None:
        settings |= by.described(judgements.values())
    result = replace(scored, settings=settings, notes=[*benchmark.notes, *scored.notes])
    terminal.progress.update("writing the report", 0, 0)
    report.write(folder.path, result)
    terminal.pause()
    return result


def _known(
    terminal: Terminal, folder: RunFolder, asked: Asked, said: Sequence[Said], by: "JudgedBy"
) -> "Mapping[str, Judgement] | None":
    """Return what the last judge held of answers; None: nobody knows any more how it was asked."""
    from pllava_cli.evaluation.judging import judged_by

    try:
        instructions = by.asked_by()
    except UsageError as error:
        terminal.warn(f"the judge's verdicts are left out, as it is not known how it was asked: {error}")
        terminal.note(
            "they are kept: put its instructions back and give this command again, or the one that judges"
        )
        return None
    return judged_by.known(asked.judge_tasks(said, instructions), by, folder.verdicts)


def show(terminal: Terminal, folder: RunFolder, result: Result, *, as_json: bool) -> None:
    """Write the figures to stdout, and say where the report is."""
    if as_json:
        terminal.json_line(json.dumps(plain(result)))
    else:
        display.table(terminal, result)
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
    from pllava_cli.evaluation.answering.made_before import said_from

    folder = RunFolder(output(flags, asked.benchmark, file.stem))
    folder.check(asked)
    terminal.progress.update("reading the captions", 0, 0)
    benchmark = asked.read()
    said = said_from(benchmark, file)
    terminal.pause()
    display.faults(terminal, benchmark.faults)
    advice = splits.advice(benchmark, {each.item.id for each in said if each.text is None})
    if advice is not None:
        terminal.warn(f"clips without a caption in {file} count as empty captions; {advice}")
    folder.begin(asked)
    folder.note(asked, None)
    benchmark = replace(benchmark, notes=[f"The captions are those of {file}.", *benchmark.notes])
    result = finish(terminal, folder, asked, benchmark, said, None)
    show(terminal, folder, result, as_json=flags.json)
    return display.status(said, benchmark)
