"""`pllava models pull`: a checkpoint from the hub onto this machine."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Option

from pllava_cli import hubcache, registry, settings
from pllava_cli.commands.fitting import prepare_libraries
from pllava_cli.commands.options import OfflineOption, OutputFlags, complete_models, said, takes
from pllava_cli.errors import ExitStatus, UsageError
from pllava_cli.terminal import Terminal

if TYPE_CHECKING:
    from pllava_cli.hub.pulling import Plan

EXAMPLES = """
# how much it is, and whether it fits
pllava models pull pllava-7b --dry-run
# fetch it; the same again goes on after a break
pllava models pull pllava-7b
# fetch again what `pllava models verify` has found damaged
pllava models pull pllava-7b --repair
"""


@dataclass(frozen=True)
class PullFlags(OutputFlags):
    """What `models pull` understands."""

    dry_run: Annotated[
        bool, Option("--dry-run", help="Say what would be fetched, and whether it fits; fetch nothing.")
    ] = False
    newest: Annotated[
        bool,
        Option("--newest", help="Fetch the commit that the revision has now, not the one it had at first."),
    ] = False
    repair: Annotated[
        bool,
        Option("--repair", help="Read the files that are here too, and fetch again those that are damaged."),
    ] = False
    offline: Annotated[bool | None, OfflineOption()] = None


@takes(PullFlags)
def pull_model(
    terminal: Terminal,
    flags: PullFlags,
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="A name or an alias.", autocompletion=complete_models),
    ],
) -> int:
    """Fetch a checkpoint from the model hub.

    Only the files that it needs are fetched, into the hub's own cache, and each is checked by its hash
    before it counts as there. Whatever breaks the download off, the same command goes on with it. Runs keep
    to the commit that was fetched, whatever becomes of the repository. The folder is written to stdout.
    """
    checkpoint = registry.find(name)
    chosen = settings.resolve(said(flags) | {"model": name})
    if chosen.offline and (flags.newest or flags.repair):
        raise UsageError("--newest and --repair need the network, which --offline forbids", "leave one out")
    if checkpoint.path is not None or chosen.offline:
        folder = registry.locate(checkpoint, offline=chosen.offline)
        terminal.note(f"{checkpoint.name} is on this machine: there is nothing to pull")
        _tell(terminal, flags, {"name": checkpoint.name, "folder": str(folder), "repositories": []})
        return ExitStatus.OK
    plans = fetch(terminal, checkpoint, flags)
    report = {"name": checkpoint.name, "folder": str(plans[0].folder), "repositories": _as_json(plans)}
    _tell(terminal, flags, report | {"dry_run": flags.dry_run})
    return ExitStatus.OK


def fetch(
    terminal: Terminal, checkpoint: registry.Checkpoint, flags: PullFlags = PullFlags()
) -> list["Plan"]:
    """Fetch a checkpoint of the hub's, saying what and how much it is; returns what was to be fetched.

    Raises:
        PllavaError: The hub does not answer or does not have it, or the disk is too small.
    """
    _prepare(quietly=terminal.verbose < 2)
    from pllava_cli.hub import pulling

    plans = _plans(terminal, flags, checkpoint)
    for each in plans:
        terminal.note(_announced(each))
    if checkpoint.license and plans[0].missing:
        terminal.note(f"licence: {checkpoint.license}")
    pulling.check_space(plans)
    if not flags.dry_run:
        _forget_saves(terminal, plans)
        _fetch(terminal, plans)
        terminal.note(f"{checkpoint.name} is on this machine")
    return plans


def _prepare(*, quietly: bool) -> None:
    """Set what the hub's library reads when it is first imported."""
    prepare_libraries(offline=False, quietly=quietly)
    # Its other protocol keeps no beginnings of files, and speaks to further servers.
    os.environ["HF_HUB_DISABLE_XET"] = "1"
    if quietly:
        os.environ.setdefault("HF_HUB_VERBOSITY", "error")


def _plans(terminal: Terminal, flags: PullFlags, checkpoint: registry.Checkpoint) -> list["Plan"]:
    """Return what is to be fetched: the checkpoint, and for an adapter the one that it lies over."""
    plans = [_plan(terminal, flags, checkpoint)]
    if plans[0].listing.is_adapter and checkpoint.base is not None:
        base = registry.find(checkpoint.base)
        if base.path is None:
            plans.append(_plan(terminal, flags, base))
    terminal.pause()
    return plans


def _plan(terminal: Terminal, flags: PullFlags, checkpoint: registry.Checkpoint) -> "Plan":
    from pllava_cli.hub import pulling

    assert checkpoint.repo is not None, "a checkpoint is a folder or a repository"
    wanted = pulling.Wanted(checkpoint.repo, checkpoint.revision or hubcache.MAIN, checkpoint.ignore)
    terminal.progress.update("asking the hub", 0, 0)
    planned = pulling.plan(wanted, newest=flags.newest)
    if not flags.repair:
        return planned
    return pulling.inspected(planned, Counting(terminal, "checking", planned.bytes).add)


def _announced(planned: "Plan") -> str:
    where = f"{planned.wanted.repo} ({planned.wanted.revision}, commit {planned.listing.commit[:12]})"
    if not planned.missing:
        return f"{where}: {planned.bytes / 1e9:.2f} GB, all here"
    here = planned.bytes - planned.bytes_to_fetch
    beside = f" and {here / 1e9:.2f} GB here already" if here else ""
    return (
        f"{where}: {planned.bytes_to_fetch / 1e9:.2f} GB to fetch{beside},"
        f" {planned.free_bytes / 1e9:.2f} GB free in {hubcache.cache_dir()}"
    )


def _forget_saves(terminal: Terminal, plans: list["Plan"]) -> None:
    """Delete the packed saves of files that are damaged: once mended, these look as they did when packed.

    Raises:
        UsageError: One is being written, or cannot be deleted.
    """
    from pllava_cli import savelist

    damaged = {savelist.true_path(each.folder / name) for each in plans for name in each.damaged}
    for save in [save for saves in savelist.all_saves().values() for save in saves] if damaged else []:
        if damaged.isdisjoint(savelist.true_path(Path(file.path)) for file in save.record.files):
            continue
        try:
            savelist.delete(save)
        except OSError as error:
            raise UsageError(
                f"cannot delete {error.filename}: {error.strerror}", "check permissions"
            ) from None
        terminal.note(f"deleted the packed save ({save}): it may hold what was damaged")


def _fetch(terminal: Terminal, plans: list["Plan"]) -> None:
    from pllava_cli.hub import pulling

    counting = Counting(terminal, "pulling", sum(each.bytes for each in plans))
    counting.done = counting.bytes - sum(each.bytes_to_fetch for each in plans)
    try:
        for each in reversed(plans):  # an adapter comes last: with it the checkpoint can be used
            pulling.carry_out(each, counting.add)
    except (KeyboardInterrupt, SystemExit):
        terminal.note("interrupted; what has come stays, and the same command goes on with it")
        raise
    finally:
        terminal.pause()


class Counting:
    """Shows how many bytes of a piece of work are done.

    Args:
        terminal: Where.
        stage: What the work is.
        total: Its bytes.
    """

    def __init__(self, terminal: Terminal, stage: str, total: int) -> None:
        self.bytes = total
        self.done = 0
        self._terminal = terminal
        self._stage = stage

    def add(self, count: int) -> None:
        """Count further bytes."""
        self.done = min(max(0, self.done + count), self.bytes)
        beside = f"{self.done / 1e9:.2f} of {self.bytes / 1e9:.2f} GB"
        self._terminal.progress.update(self._stage, self.done, self.bytes, beside)


def _as_json(plans: list["Plan"]) -> list[dict[str, Any]]:
    return [
        {
            "repo": each.wanted.repo,
            "revision": each.wanted.revision,
            "commit": each.listing.commit,
            "folder": str(each.folder),
            "bytes": each.bytes,
            "bytes_to_fetch": each.bytes_to_fetch,
            "free_bytes": each.free_bytes,
            "files": [asdict(file) | {"here": each.has(file)} for file in each.listing.files],
        }
        for each in plans
    ]


def _tell(terminal: Terminal, flags: PullFlags, report: dict[str, Any]) -> None:
    if flags.json:
        terminal.json_line(json.dumps(report))
    elif not flags.dry_run:
        terminal.line(report["folder"])
