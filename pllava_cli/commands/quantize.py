"""`pllava models quantize`: pack a checkpoint once, so that loading it reads less and packs nothing."""

import json
from dataclasses import dataclass
from typing import Annotated

from typer import Option

from pllava_cli import inputs, registry, settings
from pllava_cli.commands.making import Alpha, Base, Offline, OutOption
from pllava_cli.commands.options import (
    CheckpointName,
    DeviceOption,
    DtypeOption,
    OutputFlags,
    complete_from,
    said,
    takes,
)
from pllava_cli.errors import ExitStatus, UsageError
from pllava_cli.terminal import Terminal

EXAMPLES = """
# in 4 bits, where `pllava caption --quantize 4bit` finds it
pllava models quantize pllava-7b
# in a folder of your own, to be copied to another machine
pllava models quantize pllava-7b --quantize 8bit --alpha 4 --dtype bf16 -o pllava-7b-8bit
"""

DEFAULT = "4bit"


@dataclass(frozen=True)
class QuantizeFlags(OutputFlags):
    """What `models quantize` understands. None: not said."""

    out: Annotated[str | None, OutOption(help="The folder to write; else it is kept in the cache.")] = None
    quantize: Annotated[
        str | None,
        Option(
            metavar="NAME", autocompletion=complete_from("4bit", "8bit"), help="4bit (NF4) or 8bit (4bit)."
        ),
    ] = None
    alpha: Alpha = None
    base: Base = None
    dtype: Annotated[
        str | None,
        DtypeOption(help="Precision of what is not packed, and of the arithmetic; auto: what fits here."),
    ] = None
    device: Annotated[str | None, DeviceOption(help="Where to pack: auto, cpu, cuda or cuda:N.")] = None
    offline: Offline = None


@takes(QuantizeFlags)
def quantize_model(terminal: Terminal, flags: QuantizeFlags, name: CheckpointName) -> int:
    """Save a checkpoint in 4 or 8 bits, with its LoRA merged.

    The save is as the checkpoint becomes in memory, so captions are the same to the token, and loading
    reads a third of the bytes in 4 bits, half of them in 8. Without -o it is kept in the cache, and every
    command that loads the checkpoint in that quantisation and alpha uses it, if no other precision is asked
    for, as long as the checkpoint's files are what they were; `pllava models rm NAME --saves` deletes it. The
    folder of -o is a checkpoint of its own: --model FOLDER takes it, on any machine. It appears under its
    name only once it is whole.
    """
    out = None if flags.out is None else inputs.result_folder(flags.out)
    chosen = settings.resolve(said(flags) | {"model": name})
    if flags.quantize == "none":
        raise UsageError("--quantize none packs nothing", "choose 4bit or 8bit")
    registry.locate(registry.find(name), offline=chosen.offline)  # in a moment, before torch is imported
    from pllava_cli import quantizing
    from pllava_cli.source import Source

    done = quantizing.quantize(
        Source(name, chosen.alpha, chosen.base, chosen.offline),
        chosen.quantize if chosen.quantize in ("4bit", "8bit") else DEFAULT,
        out,
        dtype=chosen.dtype,
        device=chosen.device,
        on_bytes=lambda read, total: terminal.progress.update("packing", read, total),
    )
    terminal.pause()
    how = f"{done.quantize} in {done.dtype}" + ("" if done.alpha is None else f" at alpha {done.alpha:g}")
    is_there = "saved" if done.is_new else "is there already"
    terminal.note(f"{how} {is_there}: {done.bytes / 1e9:.2f} GB in {done.out}")
    if flags.json:
        terminal.line(json.dumps(vars(done) | {"out": str(done.out)}))
    return ExitStatus.OK
