"""`pllava ask`: answer questions about one clip.

The clip is encoded once; each further question costs only its own tokens.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from pllava_cli import inputs, settings
from pllava_cli.commands.asking import check_no_file, check_question
from pllava_cli.commands.options import RunFlags, said, takes
from pllava_cli.errors import ClipError, ExitStatus, PllavaError, UsageError
from pllava_cli.terminal import Terminal

if TYPE_CHECKING:
    from pllava_cli.commands.running import Run
    from pllava_cli.engine import EncodedClip

EXAMPLES = """
# one question
pllava ask clip.mp4 "What is the person holding?"
# several, with the clip encoded once
pllava ask clip.mp4 "How many people are there?" "Is it indoors or outdoors?"
# one JSON object a question
pllava ask --json clip.mp4 "What colour is the car?"
"""


@takes(RunFlags)
def ask(
    terminal: Terminal,
    flags: RunFlags,
    clip: Annotated[str, typer.Argument(metavar="CLIP", help="A video file.")],
    questions: Annotated[list[str], typer.Argument(metavar="QUESTION", help="What to ask about it.")],
) -> int:
    """Answer questions about a clip.

    The answers go to stdout as they are written; with several questions, each one goes to stderr
    before its answer.
    """
    from pllava_cli.commands import running  # not for --help

    window = inputs.window(flags.start, flags.end)
    chosen = settings.resolve(said(flags))
    for question in questions:
        check_question(question)
        check_no_file(question)
    given = inputs.clips([clip])[0]
    run = running.load(terminal, chosen, window)
    try:
        encoded = run.encode(given)
    except (ClipError, UsageError) as error:  # UsageError: the file has gone since it was checked
        terminal.error(error.message, error.hint)
        if flags.json:
            for question in questions:
                run.write_record(given, question, error=error)
        return ExitStatus.ALL_FAILED
    streams = []
    for question in questions:  # what cannot be asked is told before anything is answered
        with _recorded(run, given, encoded, question, flags.json):
            streams.append(run.ask(encoded, question))
    for question, stream in zip(questions, streams, strict=True):
        if len(questions) > 1 and not flags.json:
            terminal.heading(question)
        with _recorded(run, given, encoded, question, flags.json):
            answer = run.say(encoded, stream, show=not flags.json)
        if flags.json:
            run.write_record(given, question, encoded, answer)
    return ExitStatus.OK


@contextmanager
def _recorded(
    run: "Run", clip: inputs.Clip, encoded: "EncodedClip", question: str, as_json: bool
) -> Iterator[None]:
    """Write the record of an error on its way out."""
    try:
        yield
    except PllavaError as error:
        if as_json:
            run.write_record(clip, question, encoded, error=error)
        raise
