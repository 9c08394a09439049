"""`pllava models list|show|merge`: the checkpoints there are, and which of them are on this machine."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pllava_cli import inputs, registry, settings
from pllava_cli.commands.making import MergeFlags
from pllava_cli.commands.options import CheckpointName, OutputFlags, said, takes
from pllava_cli.errors import CheckpointError, ExitStatus
from pllava_cli.phrases import counted
from pllava_cli.terminal import Terminal

if TYPE_CHECKING:
    from pllava_cli.savelist import Save

LIST_EXAMPLES = """
# what there is, and what is on this machine
pllava models list
# the names alone
pllava models list --json | jq -r '.[].name'
"""

SHOW_EXAMPLES = """
# everything known about a checkpoint, with sources
pllava models show pllava-7b
# a directory of your own
pllava models show ./my-checkpoint
"""

MERGE_EXAMPLES = """
# fold what you have trained into its base
pllava models merge my-pllava -o my-pllava-merged
# a released checkpoint at its inference strength, as a base to train from
pllava models merge pllava-7b --alpha 4 -o pllava-7b-merged
"""

EXAMPLES = LIST_EXAMPLES + SHOW_EXAMPLES.lstrip() + MERGE_EXAMPLES.lstrip()


@takes(OutputFlags)
def list_models(terminal: Terminal, flags: OutputFlags) -> int:
    """List the checkpoints by name.

    GB is the size of the weight files; bf16, int8 and nf4 are the GB of memory that the checkpoint
    needs with its own frames in each precision; SAVES is what `pllava models quantize` keeps of it, in GB.
    """
    from pllava_cli import savelist

    known = registry.all_checkpoints()
    saves = savelist.all_saves()
    default = registry.defaults().model
    if flags.json:
        terminal.line(json.dumps([_as_json(each, savelist.saves_of(each, saves)) for each in known]))
        return ExitStatus.OK
    rows: list[tuple[str, ...]] = [("NAME", "GB", *registry.PRECISIONS, "HERE", "SAVES", "DESCRIPTION")]
    for each in known:
        memory = [_gb(each.memory_gb.get(precision)) for precision in registry.PRECISIONS]
        name = f"{each.name} *" if registry.find(default) == each else each.name
        kept = [save.bytes for save in savelist.saves_of(each, saves)]
        packed = _gb(sum(kept) / 1e9 if kept else None)
        rows.append((name, _gb(each.size_gb), *memory, whereabouts(each)[0], packed, each.description))
    terminal.table(rows)
    terminal.note("* is the default. `pllava models show NAME` says more.")
    return ExitStatus.OK


@takes(OutputFlags)
def show_model(terminal: Terminal, flags: OutputFlags, name: CheckpointName) -> int:
    """Show everything known about a checkpoint.

    Each figure comes with its source, and the last lines say whether the checkpoint is on this
    machine, and where, or how to get it, and what `pllava models quantize` keeps of it.
    """
    from pllava_cli import savelist

    checkpoint = registry.find(name)
    if checkpoint.origin == registry.GIVEN:
        checkpoint = registry.surveyed(checkpoint)
    saves = savelist.saves_of(checkpoint)
    if flags.json:
        terminal.line(json.dumps(_as_json(checkpoint, saves)))
        return ExitStatus.OK
    shown = registry.as_dict(checkpoint)
    source = shown.pop("source")
    rows = [(key, _plain(value), source.get(key, "")) for key, value in shown.items() if _plain(value)]
    state, where = whereabouts(checkpoint)
    packed = [("save", f"{each}, {each.bytes / 1e9:.2f} GB", str(each.folder)) for each in saves]
    terminal.table([*rows, ("here", state, where), *packed])
    return ExitStatus.OK


@takes(MergeFlags)
def merge_model(terminal: Terminal, flags: MergeFlags, name: CheckpointName) -> int:
    """Fold a checkpoint's LoRA into its weights.

    The folder OUT is a plain LLaVA checkpoint in safetensors: it needs no adapter and no alpha, other
    tools read it, and `pllava train` takes it as a base. It appears under its name only once it is whole.
    """
    out = inputs.result_folder(flags.out)
    chosen = settings.resolve(said(flags) | {"model": name})
    registry.locate(registry.find(name), offline=chosen.offline)  # in a moment, before torch is imported
    from pllava_cli.source import Source
    from pllava_cli.training.merge import merge

    done = merge(
        Source(name, chosen.alpha, chosen.base, chosen.offline),
        out,
        dtype=chosen.dtype,
        on_bytes=lambda read, total: terminal.progress.update("merging", read, total),
    )
    terminal.pause()
    terminal.note(
        f"merged at alpha {done.alpha:g}: {counted(done.tensors, 'tensor')}, {done.bytes / 1e9:.2f} GB"
    )
    if flags.json:
        terminal.line(json.dumps(vars(done) | {"out": str(done.out)}))
    return ExitStatus.OK


def whereabouts(checkpoint: registry.Checkpoint) -> tuple[str, str]:
    """Say whether a checkpoint is on this machine, and where or how to get it there."""
    try:
        folder = registry.locate(checkpoint, offline=False)
        registry.check_base(checkpoint, folder)
        return "yes", str(folder)
    except CheckpointError as error:
        state = "incomplete" if isinstance(error, registry.IncompleteError) else "no"
        return state, f"{error.message}; {error.hint}"


def _as_json(checkpoint: registry.Checkpoint, saves: Sequence["Save"]) -> dict[str, Any]:
    state, where = whereabouts(checkpoint)
    kept = [each.as_dict() for each in saves]
    return registry.as_dict(checkpoint) | {"here": state, "where": where, "saves": kept}


def _gb(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_plain(each)}" for key, each in value.items() if _plain(each))
    if isinstance(value, tuple | list):
        return ", ".join(map(str, value))
    if isinstance(value, int):
        return f"{value:,}"
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
