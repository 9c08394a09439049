"""The registry: the checkpoints of weights.toml by name, and where their files are on this machine.

Everything that differs between checkpoints stands in weights.toml and nowhere else; the user's own
file is merged over it, and any local directory is a checkpoint too. Nothing here asks the network:
what is not on this machine is an error that names the command which fetches it.
"""

import shlex
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from pllava_cli import configfile as cf
from pllava_cli import weightsfile
from pllava_cli.errors import CheckpointError
from pllava_cli.weightsfile import LIMITS, PRECISIONS, Checkpoint, Defaults, Lora, Preset

__all__ = [
    "PRECISIONS",
    "Checkpoint",
    "Defaults",
    "IncompleteError",
    "Lora",
    "Preset",
    "all_checkpoints",
    "as_dict",
    "builtin_file",
    "defaults",
    "find",
    "locate",
    "surveyed",
    "user_file",
]

GIVEN = "given as a path"
"""The origin of a checkpoint that is a folder of no registry."""
TRAINING_FILE, TRAINING_SCHEMA = "run.json", "pllava.training/1"
"""The file by which the folder of a training run is known, and what stands in it under `schema`."""
_ADAPTER_FILE, _ADAPTER_CONFIG = "adapter_model.safetensors", "adapter_config.json"
_SAVE_FILE = "quantized.json"


class IncompleteError(CheckpointError):
    """Some of the checkpoint's files are on this machine, others are not."""


def find(name_or_path: str | Path) -> Checkpoint:
    """Return the checkpoint of that name, alias, repository or local directory.

    A name of the registry comes before a directory of the same name; write `./name` for the latter.

    Raises:
        CheckpointError: If there is neither.
    """
    if isinstance(name_or_path, str):
        wanted = name_or_path.lower()
        for checkpoint in all_checkpoints():
            if wanted in _names(checkpoint):
                return checkpoint
        if not wanted:  # which as a path would be the working directory
            raise CheckpointError("the checkpoint's name is empty", "`pllava models list` lists the names")
    path = cf.expand(Path(name_or_path))
    try:
        if path.is_dir():
            path = path.resolve()
            return Checkpoint(str(path), path=path, lora=Lora(None, None, ()), origin=GIVEN)
        exists = path.exists()
    except (OSError, ValueError):  # a name too long, or a NUL byte in it
        exists = False
    if exists:
        raise CheckpointError(f"{name_or_path} is a file", "name the checkpoint's directory")
    if isinstance(name_or_path, Path) or name_or_path.startswith((".", "/", "~")):
        raise CheckpointError(f"there is no directory {name_or_path}", "`pllava models list` lists the names")
    known = [each for checkpoint in all_checkpoints() for each in (checkpoint.name, *checkpoint.aliases)]
    hint = cf.suggestion(name_or_path, known, "`pllava models list` lists the names:")
    raise CheckpointError(f"there is no checkpoint {name_or_path!r}, nor such a directory", hint)


def locate(checkpoint: Checkpoint, *, offline: bool) -> Path:
    """Return the directory on this machine that holds the checkpoint's files.

    Looks at the given path or in the model hub's own cache; no request is ever made.

    Args:
        checkpoint: As `find` returns it.
        offline: Whether the user forbade the network: the hint then says that nothing is fetched.

    Raises:
        IncompleteError: If a folder has no config.json or the weights of an unfinished training, or a
            download has left weight files out.
        CheckpointError: If it is not there.
    """
    from pllava_cli import hubcache

    if checkpoint.path is not None:
        return _given(checkpoint, checkpoint.path)
    assert checkpoint.repo is not None  # the schema asks for a repository or a path
    hint = "on a machine with a network, run: " if offline else "run: "
    hint += shlex.join(["pllava", "models", "pull", checkpoint.name])
    folder = hubcache.snapshot(checkpoint.repo, checkpoint.revision)
    pulled = hubcache.pulled(checkpoint.repo, checkpoint.revision)
    if folder is None and pulled:
        raise IncompleteError(f"{checkpoint.name} is incomplete: its download was broken off", hint)
    if folder is None:
        size = f" ({checkpoint.size_gb:g} GB)" if checkpoint.size_gb else ""
        raise CheckpointError(f"{checkpoint.name}{size} is not on this machine", hint)
    faults = hubcache.faults(folder, pulled)
    if faults:
        more = f", and {len(faults) - 1} more" if len(faults) > 1 else ""
        raise IncompleteError(f"{checkpoint.name} is incomplete: {folder} {faults[0]}{more}", hint)
    return folder


def _given(checkpoint: Checkpoint, folder: Path) -> Path:
    """The folder, if a checkpoint is in it; what else is in it the loader says best."""
    try:
        _check_given(checkpoint, folder)
    except OSError as error:  # a name too long, or a folder closed to this user
        raise CheckpointError(
            f"{folder} cannot be looked at: {(error.strerror or str(error)).lower()}",
            "check its name and its permissions",
        ) from None
    return folder


def _check_given(checkpoint: Checkpoint, folder: Path) -> None:
    if not folder.is_dir():
        raise CheckpointError(
            f"{checkpoint.name}: there is no directory {folder}", f"see {checkpoint.origin}"
        )
    if _is_unfinished(folder):
        raise IncompleteError(
            f"the training in {folder} is not finished",
            "run the same `pllava train` again to go on with it",
        )
    if not (folder / "config.json").is_file():
        hint = "give a folder that holds a whole checkpoint"
        if _is_adapter(folder):  # as other tools write it
            hint = "copy into it the config.json of the checkpoint that the adapter lies over"
        raise IncompleteError(f"{folder} has no config.json", hint)


def check_base(checkpoint: Checkpoint, folder: Path) -> None:
    """See that what an adapter lies over is on this machine too; any other checkpoint needs nothing.

    Args:
        checkpoint: As `find` or `surveyed` returns it.
        folder: Where `locate` has found it.

    Raises:
        IncompleteError: It is not.
    """
    if not _is_adapter(folder):
        return
    base = base_named(checkpoint, folder)
    if base is None:
        raise IncompleteError(f"{folder} is an adapter that names no base", "say with --base where it is")
    try:
        locate(find(base), offline=False)
    except CheckpointError as error:
        raise without_base(folder, base, error) from None


def base_named(checkpoint: Checkpoint, folder: Path) -> str | None:
    """Name what an adapter lies over, as it or the registry says; None for any other checkpoint."""
    from pllava_cli import hubcache

    if not _is_adapter(folder):
        return None
    base = checkpoint.base
    with suppress(KeyError, ValueError, CheckpointError):  # which loading will refuse
        base = base or cf.filled_text(hubcache.read_json(folder / _ADAPTER_CONFIG)["base_model_name_or_path"])
    return base


def without_base(folder: Path, base: str, error: CheckpointError) -> IncompleteError:
    """Return the error for an adapter whose base is not here, for that reason."""
    return IncompleteError(
        f"{folder} is an adapter over {base:.200}: {error.message}",
        f"{error.hint}; or say with --base where it is",
    )


def _is_adapter(folder: Path) -> bool:
    return {each.name for each in folder.glob("*.safetensors")} == {_ADAPTER_FILE}


def _is_unfinished(folder: Path) -> bool:
    """Whether a folder is that of a training run whose result is not written yet."""
    from pllava_cli import hubcache

    if (folder / _ADAPTER_FILE).is_file() or not (folder / TRAINING_FILE).is_file():
        return False
    try:
        return hubcache.read_json(folder / TRAINING_FILE).get("schema") == TRAINING_SCHEMA
    except CheckpointError:
        return False


def surveyed(checkpoint: Checkpoint) -> Checkpoint:
    """Return a checkpoint with what its files say at a glance where the registry says nothing.

    That is of frames, pooling shape, size, base and LoRA, whose alpha is the default if nobody says one.

    Raises:
        CheckpointError: If the folder has no config.json, or one that cannot be read.
    """
    folder = locate(checkpoint, offline=True)
    found, source = _written(folder)
    new = {key: value for key, value in found.items() if getattr(checkpoint, key) is None}
    if checkpoint.lora is not None:
        said = {key: value for key, value in vars(checkpoint.lora).items() if value not in (None, ())}
        new["lora"] = replace(found.get("lora", Lora(None, defaults().alpha, ())), **said)
        source.setdefault("lora", "weights.toml; for LoRA weights, if the folder has any")
    if (folder / _SAVE_FILE).is_file():  # packed with its LoRA merged
        new["lora"] = None
        source.pop("lora", None)
    source = {key: where for key, where in source.items() if key in new}
    return replace(checkpoint, **new, source={**source, **checkpoint.source})


def _written(folder: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """What the files of a folder say of a checkpoint, by field, and which of them says it."""
    from pllava_cli import hubcache

    config = hubcache.read_json(folder / "config.json")
    found: dict[str, Any] = {"size_gb": hubcache.weights_gb(folder)}
    for key in ("num_frames", "pooling_shape"):
        with suppress(KeyError, ValueError):  # not said, or no value to show: loading it says more
            found[key] = LIMITS[key](config[key])
    source = dict.fromkeys(found, "config.json") | {"size_gb": "*.safetensors"}
    with suppress(KeyError, ValueError, CheckpointError):  # no adapter, or one that loading will refuse
        adapter = hubcache.read_json(folder / _ADAPTER_CONFIG)
        rank, alpha = cf.integer(1, 1 << 16)(adapter["r"]), LIMITS["alpha"](adapter["lora_alpha"])
        found |= {"lora": Lora(rank, alpha, ()), "base": cf.filled_text(adapter["base_model_name_or_path"])}
        source |= dict.fromkeys(("lora", "base"), "adapter_config.json")
    return found, source


def all_checkpoints() -> list[Checkpoint]:
    """Return every checkpoint of weights.toml, the user's own last."""
    return list(weightsfile.read(builtin_file(), user_file())[0].values())


def defaults() -> Defaults:
    """Return the defaults and presets of weights.toml."""
    return weightsfile.read(builtin_file(), user_file())[1]


def builtin_file() -> Path:
    """Return the registry that comes with the tool: inside an installed package, or atop a checkout."""
    inside = Path(__file__).with_name("weights.toml")
    return inside if inside.is_file() else Path(__file__).parents[1] / "weights.toml"


def user_file() -> Path:
    """Return the user's own registry, which need not exist."""
    return cf.config_dir() / "weights.toml"


def as_dict(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return an entry as plain data for JSON."""
    plain = {
        key: dict(value) if isinstance(value, Mapping) else value for key, value in vars(checkpoint).items()
    }
    plain["path"] = None if checkpoint.path is None else str(checkpoint.path)
    plain["lora"] = None if checkpoint.lora is None else asdict(checkpoint.lora)
    return plain


def _names(checkpoint: Checkpoint) -> set[str]:
    names = (checkpoint.name, *checkpoint.aliases, *filter(None, [checkpoint.repo]))
    return {name.lower() for name in names}
