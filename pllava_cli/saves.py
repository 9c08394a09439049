"""Where packed saves lie so that they are found again, and whether one is still that of its source.

They are in `$XDG_CACHE_HOME/pllava/quantized`, one folder for each source, quantisation, precision and
alpha: all of them can be made again.
"""

import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from pllava_cli.errors import CheckpointError
from pllava_cli.model import saving
from pllava_cli.model.footprint import PRECISION_BYTES
from pllava_cli.model.loading import Prepared
from pllava_cli.model.record import Record, SourceFile, is_save
from pllava_cli.savelist import identity, is_commit, quantized_dir, true_path

_LABEL_CHARACTERS = 48


@dataclass(frozen=True)
class Origin:
    """What a save is, or would be, made from."""

    name: str
    folder: Path
    base: Path | None
    prepared: Prepared
    alpha: float | None
    """Strength at which LoRA is merged; None: there is none."""


def place(origin: Origin) -> Path:
    """The folder in which the save of a source is looked for."""
    plan = origin.prepared.plan
    source, base = identity(origin.folder), identity(origin.base)
    digest = hashlib.sha256(
        os.fsencode("\0".join([source, base, plan.quantize, plan.dtype, repr(origin.alpha)]))
    ).hexdigest()[:10]
    name = re.sub(r"[^\w.-]+", "-", Path(source).name.removeprefix("models--"), flags=re.ASCII)
    label = name.strip("-.")[:_LABEL_CHARACTERS] or "checkpoint"
    merged = [] if origin.alpha is None else [f"alpha{origin.alpha:g}"]
    return quantized_dir() / "-".join([label, plan.quantize, plan.dtype, *merged, digest])


def record_of(origin: Origin, made_by: str) -> Record:
    """What the save of a source is to say of it.

    Raises:
        CheckpointError: A weight file has gone meanwhile.
    """
    plan = origin.prepared.plan
    return Record(
        model=origin.name,
        source=str(origin.folder.absolute()),
        base=None if origin.base is None else str(origin.base.absolute()),
        files=files_of(origin),
        quantize=plan.quantize,
        dtype=plan.dtype,
        alpha=origin.alpha,
        device=plan.device,
        made_by=made_by,
    )


def files_of(origin: Origin) -> tuple[SourceFile, ...]:
    """The weight files of a source as they are now.

    Raises:
        CheckpointError: One of them has gone meanwhile.
    """
    recipes = origin.prepared.recipes.values()
    files = sorted({part.file for recipe in recipes for part in recipe.parts})
    try:
        states = [file.stat() for file in files]
    except OSError as error:
        raise CheckpointError(
            f"{error.filename} has gone: {error.strerror}", "get the checkpoint again"
        ) from None
    return tuple(
        SourceFile(str(file.absolute()), state.st_size, state.st_mtime_ns)
        for file, state in zip(files, states, strict=True)
    )


def why_not(record: Record, origin: Origin) -> str | None:
    """Why a save is not one of the source as it is now; None if it is."""
    now = record_of(origin, record.made_by)
    if (record.quantize, record.dtype, record.alpha) != (now.quantize, now.dtype, now.alpha):
        return "it was made with other options"
    then, here = (sorted(map(_fixed, each.files), key=lambda file: file.path) for each in (record, now))
    if then == here:
        return None
    changed = next((file.path for file in here if file not in then), record.source)
    return f"{changed} is not what it was made from"


def found(origin: Origin) -> tuple[Prepared | None, str | None]:
    """The source as its save holds it, if there is one of the precision planned.

    Returns:
        What is to be read in the source's place, or None; and a warning, if there is a save of no use.
    """
    folder = place(origin)
    if origin.prepared.plan.quantize == "none":
        return None, None
    if not is_save(folder):
        return None, _untaken(origin)
    try:
        record = saving.read_record(folder)
        reason = why_not(record, origin)
        recipes = None if reason else saving.recipes_of(folder, record, origin.prepared.model)
    except CheckpointError as error:
        reason, recipes = error.message, None
    if recipes is None:
        return None, f"the save {folder} is not used: {reason}; `pllava models quantize` makes it again"
    plan = origin.prepared.plan
    plan = replace(plan, reasons=(*plan.reasons, f"the weights come packed from {folder}"))
    is_merged = origin.alpha is not None
    return replace(origin.prepared, plan=plan, recipes=recipes, is_merged=is_merged), None


def other_precision(origin: Origin) -> str | None:
    """The precision of a save of the source as it is now, where there is none in the precision planned."""
    if origin.prepared.plan.quantize == "none" or _is_current(origin):
        return None
    return next((other.prepared.plan.dtype for other in _others(origin) if _is_current(other)), None)


def _is_current(origin: Origin) -> bool:
    """Whether there is a save of the source as it is now, by what the save says of itself."""
    folder = place(origin)
    try:
        return is_save(folder) and why_not(saving.read_record(folder), origin) is None
    except CheckpointError:
        return False


def _others(origin: Origin) -> Iterator[Origin]:
    """The source as it would be packed in each other precision."""
    plan = origin.prepared.plan
    for dtype in PRECISION_BYTES:
        if dtype != plan.dtype:
            yield replace(origin, prepared=replace(origin.prepared, plan=replace(plan, dtype=dtype)))


def _untaken(origin: Origin) -> str | None:
    """Tell of a save that another precision would use."""
    plan = origin.prepared.plan
    other = next((each for each in _others(origin) if is_save(place(each))), None)
    if other is None:
        return None
    dtype = other.prepared.plan.dtype
    return f"the save of {plan.quantize} in {dtype} is not used in {plan.dtype}; --dtype {dtype} uses it"


def _fixed(file: SourceFile) -> SourceFile:
    """A file as it is compared: what lies under a commit is told by its path, whenever it was fetched."""
    path = true_path(Path(file.path))
    return replace(file, path=str(path), mtime_ns=0 if is_commit(path.parent) else file.mtime_ns)
