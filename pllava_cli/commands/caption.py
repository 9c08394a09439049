"""`pllava caption`: say what happens in each clip.

One clip that cannot be decoded does not end the run: its error is reported, the others are
captioned, and the exit status tells.
"""

from typing import TYPE_CHECKING, Annotated

import typer

from pllava_cli import inputs, settings
from pllava_cli.commands.options import CaptionFlags, said, takes
from pllava_cli.errors import ClipError, ExitStatus, PllavaError, UsageError
from pllava_cli.terminal import Terminal

if TYPE_CHECKING:
    from pllava_cli.commands.running import Run

EXAMPLES = """
# one clip
pllava caption clip.mp4
# every clip of a folder as JSON, one object a line
pllava caption --json clips/*.mp4 > captions.jsonl
# half a minute of a film, in your own words, quickly
pllava caption film.mkv --start 12:30 --end 13:00 --preset fast --prompt "Describe the setting."
"""


@takes(CaptionFlags)
def caption(
    terminal: Terminal,
    flags: CaptionFlags,
    clips: Annotated[list[str], typer.Argument(metavar="CLIP", help="Video files.")],
) -> int:
    """Say what happens in each clip.

    The captions go to stdout as they are written; with several clips, each one's name goes to stderr
    before it. A clip that cannot be decoded is reported and passed over.
    """
    from pllava_cli.commands import running  # not for --help

    window = inputs.window(flags.start, flags.end)
    chosen = settings.resolve(said(flags))
    given = inputs.clips(clips)
    run = running.load(terminal, chosen, window)
    failed = 0
    for clip in given:
        if len(given) > 1 and not flags.json:
            terminal.heading(str(clip.path))
        failed += not _caption_one(run, clip, flags.json)
    if not failed:
        return ExitStatus.OK
    return ExitStatus.ALL_FAILED if failed == len(given) else ExitStatus.SOME_FAILED


def _caption_one(run: "Run", clip: inputs.Clip, as_json: bool) -> bool:
    """Caption one clip; return whether that succeeded."""
    prompt = run.settings.prompt
    encoded = None
    try:
        encoded = run.encode(clip)
        answer = run.say(encoded, run.ask(encoded, prompt), show=not as_json)
    except PllavaError as error:
        if as_json:
            run.write_record(clip, None, encoded, error=error)
        if encoded is None and isinstance(error, ClipError | UsageError):  # UsageError: the file has gone
            run.terminal.error(error.message, error.hint)
            return False
        raise  # what would befall every clip
    if as_json:
        run.write_record(clip, None, encoded, answer)
    return True
