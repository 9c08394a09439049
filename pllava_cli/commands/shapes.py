"""`pllava shapes`: data sets of the built-in world, as many clips as anybody likes."""

import json
import re
from dataclasses import dataclass
from typing import Annotated, ClassVar

import typer
from typer import Option

from pllava_cli import inputs, processors, settings
from pllava_cli.commands.options import OutputFlags, takes
from pllava_cli.errors import ExitStatus, UsageError
from pllava_cli.terminal import Terminal

MAKE_EXAMPLES = """
# a hundred clips, with captions, questions and multiple choice
pllava shapes make data --count 100
# others, of two or three objects each; the same seed gives the same files again
pllava shapes make more-data --count 100 --seed 1 --objects 2-3
# what the checkpoint that comes with the tool says of one of them
pllava caption data/clips/000001.mp4 --model tiny
"""

MOST_SEED = 10**9
CLIPS_PER_JOB = 20
"""Fewest clips that are worth a process: it takes 0.3 s to start, a clip 25 ms to make."""


@dataclass(frozen=True)
class MakeFlags(OutputFlags):
    """What `shapes make` understands."""

    own: ClassVar = frozenset({"seed"})
    quiet: Annotated[bool, Option("-q", "--quiet", help="Say nothing but errors: no table either.")] = False
    count: Annotated[str, Option("-n", "--count", metavar="N", help="How many clips.")] = "100"
    seed: Annotated[str, Option(metavar="S", help="Which clips; no two seeds have one in common.")] = "0"
    objects: Annotated[str, Option(metavar="N|A-B", help="How many objects a clip shows.")] = "1-4"
    jobs: Annotated[
        str,
        Option(
            "-j",
            "--jobs",
            metavar="N",
            help="Processes that make clips; auto: one a core, fewer for few clips.",
        ),
    ] = "auto"


@takes(MakeFlags)
def make(
    terminal: Terminal,
    flags: MakeFlags,
    out: Annotated[
        str,
        typer.Argument(
            metavar="OUT",
            help="Folder to fill: not there yet, empty, or one that the same command has begun.",
        ),
    ],
) -> int:
    """Make clips of coloured shapes, with captions, questions and multiple choice.

    OUT gets clips/, captions.jsonl and questions.jsonl as training data, mvbench/json/ with a file for
    each of MVBench's sub-tasks that such clips can pose, and scenes.jsonl with all that a clip shows.
    The same settings give the same files. If it is interrupted, the same command goes on with it.
    """
    from pllava_cli.shapes import dataset, samples  # not for --help: OpenCV is slow to load

    recipe = samples.Recipe(
        count=_number("--count", flags.count, 1, samples.MOST_CLIPS),
        seed=_number("--seed", flags.seed, 0, MOST_SEED),
        objects=_objects(flags.objects, samples.MOST_OBJECTS),
    )
    jobs = _jobs(flags.jobs, recipe.count)
    folder = inputs.named(out, "the folder", "name the folder to make")

    def report(done: int) -> None:
        terminal.progress.update("making clips", done, recipe.count)

    try:
        counts = dataset.make(folder, recipe, jobs, report)
    except (KeyboardInterrupt, SystemExit):
        terminal.note(f"{out} is not finished; the same command goes on with it.")
        raise
    if flags.json:
        terminal.json_line(json.dumps({"folder": out, "written": counts}))
    elif not terminal.quiet:
        terminal.table([(name, str(count)) for name, count in counts.items()])
    return ExitStatus.OK


def _number(option: str, text: str, least: int, most: int) -> int:
    try:
        number = settings.integer_text(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}", f"give a number from {least} to {most}") from None
    if not least <= number <= most:
        raise UsageError(f"{option}: {text:.40} is out of range", f"give a number from {least} to {most}")
    return number


def _objects(text: str, most: int) -> tuple[int, int]:
    """Read a number or a range of numbers of objects."""
    found = re.fullmatch(r"([0-9])(?:-([0-9]))?", text.strip())
    if found:
        fewest, highest = int(found[1]), int(found[2] or found[1])
        if 1 <= fewest <= highest <= most:
            return fewest, highest
    raise UsageError(
        f"--objects: cannot read {text!r:.60}", f"give a number from 1 to {most}, or a range such as 2-3"
    )


def _jobs(text: str, count: int) -> int:
    if text == "auto":
        return max(1, min(processors.usable(), count // CLIPS_PER_JOB))
    return _number("--jobs", text, 1, 256)
