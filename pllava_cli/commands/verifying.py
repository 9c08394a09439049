"""`pllava models verify`: whether a checkpoint's files are what they should be."""

import json
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from pllava_cli import hubcache, registry
from pllava_cli.commands.options import CheckpointName, OutputFlags, takes
from pllava_cli.commands.pulling import Counting
from pllava_cli.errors import CheckpointError, ExitStatus
from pllava_cli.phrases import counted
from pllava_cli.terminal import Terminal

if TYPE_CHECKING:
    from pllava_cli.hub.verifying import Finding

EXAMPLES = """
# hold what was fetched against the hub's hashes; no network is needed
pllava models verify pllava-7b
# the files that are not as they should be
pllava models verify pllava-7b --json | jq '.files[] | select(.state != "ok")'
"""


@takes(OutputFlags)
def verify_model(terminal: Terminal, flags: OutputFlags, name: CheckpointName) -> int:
    """Check every file of a checkpoint.

    Files that came from the model hub are held against the hashes that the hub had for them then. Of a
    folder of your own no hashes are known: its files are looked at for being there and whole by their
    headers. No request is made. Exit status 5 if a file is missing, cut short or damaged.
    """
    from pllava_cli.hub import verifying

    checkpoint = registry.find(name)
    folder = _folder(checkpoint)
    pulled = None
    if checkpoint.repo is not None:
        pulled = hubcache.pulled(checkpoint.repo, checkpoint.revision)
    files = verifying.expectations(folder, pulled)
    total = sum(hubcache.size_of(folder / each) or 0 for each, known in files.items() if known.hash)
    found = verifying.verify(folder, files, Counting(terminal, "checking", total).add)
    terminal.pause()
    bad = [each for each in found if each.state != verifying.OK]
    if flags.json:
        report = {"name": checkpoint.name, "folder": str(folder), "ok": not bad}
        terminal.json_line(json.dumps(report | {"files": [asdict(each) for each in found]}))
    else:
        terminal.table(
            [("FILE", "STATE", "CHECKED BY")] + [(each.file, each.state, each.checked) for each in found]
        )
    if bad:
        raise _error(checkpoint, bad)
    unhashed = sum(each.checked == "form" for each in found)
    if unhashed:
        terminal.note(f"of {unhashed} of {len(found)} files no hash is known: only their form was checked")
    return ExitStatus.OK


def _folder(checkpoint: registry.Checkpoint) -> Path:
    """Where the files are, though some be missing.

    Raises:
        CheckpointError: There are none.
    """
    if checkpoint.repo is not None:
        folder = hubcache.pulled_folder(checkpoint.repo, checkpoint.revision)
        folder = folder or hubcache.snapshot(checkpoint.repo, checkpoint.revision)
        if folder is not None:
            return folder
    return registry.locate(checkpoint, offline=False)


def _error(checkpoint: registry.Checkpoint, bad: list["Finding"]) -> CheckpointError:
    told = "; ".join(f"{each.file} {each.reason}" for each in bad[:3])
    more = f"; and {counted(len(bad) - 3, 'more file')}" if len(bad) > 3 else ""
    hint = "get these files again"
    if checkpoint.repo is not None:
        hint = "run: " + shlex.join(["pllava", "models", "pull", checkpoint.name, "--repair"])
    return CheckpointError(f"{checkpoint.name} is damaged: {told}{more}", hint)
