"""`pllava models rm`: the disk space of a checkpoint back, and that of its packed saves."""

import json
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Option

from pllava_cli import hubcache, registry
from pllava_cli.commands.options import OutputFlags, complete_models, takes
from pllava_cli.errors import CheckpointError, ExitStatus, UsageError
from pllava_cli.terminal import Terminal

if TYPE_CHECKING:
    from pllava_cli.hub.removing import Removal
    from pllava_cli.savelist import Save

EXAMPLES = """
# say what it frees, and ask
pllava models rm pllava-13b
# only what `pllava models quantize` has packed of it
pllava models rm pllava-13b --saves
# what would be deleted
pllava models rm pllava-13b --dry-run
# in a script
pllava models rm pllava-13b --yes
"""


@dataclass(frozen=True)
class RemoveFlags(OutputFlags):
    """What `models rm` understands."""

    saves: Annotated[bool, Option("--saves", help="Delete its packed saves only.")] = False
    dry_run: Annotated[bool, Option("--dry-run", help="Say what would be deleted, and delete nothing.")] = (
        False
    )
    yes: Annotated[bool, Option("-y", "--yes", help="Do not ask.")] = False


@takes(RemoveFlags)
def remove_model(
    terminal: Terminal,
    flags: RemoveFlags,
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="A name or an alias; with --saves a directory too.",
            autocompletion=complete_models,
        ),
    ],
) -> int:
    """Delete what `pllava models pull` has fetched of a checkpoint, and its packed saves.

    The saves are those that `pllava models quantize` keeps in $XDG_CACHE_HOME/pllava/quantized: without the
    checkpoint nothing could use them. Beginnings of a download or of a save that was broken off go too. What
    another program has fetched stays, and so does any folder of your own, a save written with -o included.
    """
    from pllava_cli import savelist

    checkpoint = registry.find(name)
    saves = savelist.saves_of(checkpoint)
    if flags.saves and not saves:
        raise UsageError(f"there is no packed save of {name}", "`pllava models list` says which there are")
    fetched = None if flags.saves else _fetched(checkpoint, saves)
    freed = (fetched.bytes if fetched else 0) + sum(each.bytes for each in saves)
    what = _spelled(checkpoint.name, saves, with_checkpoint=fetched is not None)
    gb = f"{freed / 1e9:.2f} GB"
    if flags.dry_run:
        if not flags.json:
            terminal.table(_rows(checkpoint.name, fetched, saves))
        terminal.note(f"would free {gb}")
    elif not flags.yes and not _agreed(terminal, f"delete {what}, {gb}?"):
        terminal.note("nothing was deleted")
        return ExitStatus.OK
    else:
        _delete(fetched, saves)
        terminal.note(f"deleted {what}: {gb} are free again")
    if flags.json:
        folders = [str(each.folder) for each in saves]
        told = {"name": checkpoint.name, "freed_bytes": freed, "saves": folders}
        terminal.json_line(json.dumps(told | ({"dry_run": True} if flags.dry_run else {})))
    return ExitStatus.OK


def _fetched(checkpoint: registry.Checkpoint, saves: Sequence["Save"]) -> "Removal":
    """What there is to delete of the checkpoint itself.

    Raises:
        PllavaError: Nothing, but perhaps saves.
    """
    from pllava_cli.hub import removing

    try:
        if checkpoint.repo is None:
            raise UsageError(
                f"{checkpoint.name} was not fetched by `pllava models pull`, "
                "and pllava deletes only what was",
                f"it is the folder {checkpoint.path}",
            )
        return removing.plan(checkpoint.name, checkpoint.repo, checkpoint.revision or hubcache.MAIN)
    except (CheckpointError, UsageError) as error:
        if not saves:
            raise
        gb = sum(each.bytes for each in saves) / 1e9
        more = f"{error.hint}; --saves deletes its packed saves, {gb:.2f} GB"
        raise type(error)(error.message, more) from None


def _delete(fetched: "Removal | None", saves: Sequence["Save"]) -> None:
    """Delete the saves first: by the checkpoint they are found again if something comes between.

    Raises:
        UsageError: Something cannot be deleted, or another run is fetching it.
    """
    from pllava_cli import savelist
    from pllava_cli.hub import removing

    try:
        with nullcontext() if fetched is None else removing.unused(fetched):
            for each in saves:
                savelist.delete(each)
            if fetched is not None:
                removing.carry_out(fetched)
    except OSError as error:
        raise UsageError(
            f"cannot delete {error.filename}: {error.strerror}", "check permissions; the same again goes on"
        ) from None


def _spelled(name: str, saves: Sequence["Save"], *, with_checkpoint: bool) -> str:
    """Name what is deleted."""
    if not saves:
        return name
    if len(saves) == 1:
        one = f"packed save ({saves[0]})"
        return f"{name} and its {one}" if with_checkpoint else f"the {one} of {name}"
    several = f"{len(saves)} packed saves"
    return f"{name} and its {several}" if with_checkpoint else f"the {several} of {name}"


def _rows(name: str, fetched: "Removal | None", saves: Sequence["Save"]) -> list[tuple[str, str, str]]:
    """What would be deleted, where it is, and what it takes."""
    rows = [] if fetched is None else [(name, f"{fetched.bytes / 1e9:.2f} GB", str(fetched.storage))]
    return rows + [(f"save, {each}", f"{each.bytes / 1e9:.2f} GB", str(each.folder)) for each in saves]


def _agreed(terminal: Terminal, question: str) -> bool:
    """Ask; what is no clear yes is a no.

    Raises:
        UsageError: Nobody can be asked.
    """
    if not terminal.can_ask():
        raise UsageError(f"{question} Nobody is there to be asked", "say --yes")
    return terminal.agreed(question)
