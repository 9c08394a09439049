"""`pllava models rm`: the disk space of a checkpoint back."""

import json
import sys
from dataclasses import dataclass
from typing import Annotated

import typer
from typer import Option

from pllava_cli import hubcache, registry
from pllava_cli.commands.options import OutputFlags, complete_models, takes
from pllava_cli.errors import ExitStatus, UsageError
from pllava_cli.terminal import Terminal, is_terminal

EXAMPLES = """
# say what it frees, and ask
pllava models rm pllava-13b
# in a script
pllava models rm pllava-13b --yes
"""


@dataclass(frozen=True)
class RemoveFlags(OutputFlags):
    """What `models rm` understands."""

    yes: Annotated[bool, Option("-y", "--yes", help="Do not ask.")] = False


@takes(RemoveFlags)
def remove_model(
    terminal: Terminal,
    flags: RemoveFlags,
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="A name or an alias.", autocompletion=complete_models),
    ],
) -> int:
    """Delete what `pllava models pull` has fetched of a checkpoint.

    Beginnings of a download that was broken off go too. What another program has fetched stays, and so does
    any folder of your own, and what `pllava models quantize` keeps in $XDG_CACHE_HOME/pllava/quantized.
    """
    checkpoint = registry.find(name)
    if checkpoint.repo is None:
        raise UsageError(
            f"{checkpoint.name} was not fetched by `pllava models pull`, and pllava deletes only what was",
            f"it is the folder {checkpoint.path}",
        )
    from pllava_cli.hub import removing

    planned = removing.plan(checkpoint.name, checkpoint.repo, checkpoint.revision or hubcache.MAIN)
    freed = planned.bytes
    if not flags.yes and not _agreed(terminal, f"delete {checkpoint.name}, {freed / 1e9:.2f} GB?"):
        terminal.note("nothing was deleted")
        return ExitStatus.OK
    try:
        removing.carry_out(planned)
    except OSError as error:
        raise UsageError(
            f"cannot delete {error.filename}: {error.strerror}", "check permissions; the same again goes on"
        ) from None
    terminal.note(f"{checkpoint.name} is deleted, {freed / 1e9:.2f} GB are free again")
    if flags.json:
        terminal.json_line(json.dumps({"name": checkpoint.name, "freed_bytes": freed}))
    return ExitStatus.OK


def _agreed(terminal: Terminal, question: str) -> bool:
    """Ask; what is no clear yes is a no.

    Raises:
        UsageError: Nobody can be asked.
    """
    if sys.stdin is None or not (is_terminal(sys.stdin) and is_terminal(sys.stderr)):
        raise UsageError(f"{question} Nobody is there to be asked", "say --yes")
    terminal.ask(question + " [y/N] ")
    return sys.stdin.readline().strip().lower() in ("y", "yes")
