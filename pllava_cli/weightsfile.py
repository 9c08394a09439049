"""weights.toml: the form of the registry's files, and how the user's own is merged over ours.

Every key is checked when a file is read, so that a slip in it is one line naming the file and the
key, and the rest of the program never meets a value of a wrong type.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pllava_cli import configfile as cf
from pllava_cli.errors import UsageError
from pllava_cli.prompts import TEMPLATES


@dataclass(frozen=True)
class Lora:
    """Low-rank adaptation of the language model, as the checkpoint stores it."""

    rank: int | None
    """None where the files say it."""
    alpha: float | None
    """Weight of the adaptation at inference: the update is scaled by alpha / rank.
    None: that of the adapter's own file, else the default."""
    targets: tuple[str, ...]
    """Names of the adapted linear layers; empty where the files say it."""


@dataclass(frozen=True)
class Checkpoint:
    """One entry of weights.toml, or a local directory. None: the checkpoint's own files say it."""

    name: str
    description: str = ""
    path: Path | None = None
    """A local directory; None for a repository of the model hub."""
    repo: str | None = None
    """Repository on the model hub, `owner/name`."""
    revision: str | None = None
    """Branch, tag or commit of the repository; None is its main branch."""
    license: str | None = None
    base: str | None = None
    """Name or path of the checkpoint it was trained from, which an adapter-only output needs."""
    template: str | None = None
    """Name of its prompt template; None: told from config.json or the tokenizer."""
    parameters: int | None = None
    """Weights of the model with its LoRA merged."""
    num_frames: int | None = None
    pooling_shape: tuple[int, int, int] | None = None
    """Frames, rows and columns of visual tokens after pooling."""
    lora: Lora | None = None
    """None: has none."""
    size_gb: float | None = None
    """Size of the weight files, 10^9 bytes."""
    memory_gb: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    """10^9 bytes needed with its own frames, by precision: `bf16`, `int8`, `nf4`."""
    ignore: tuple[str, ...] = ()
    """Patterns of files in the repository that are not needed."""
    aliases: tuple[str, ...] = ()
    notice: str = ""
    """What a user should know before trusting its answers; told whenever it is used."""
    source: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Where a figure comes from, by field."""
    origin: str = ""
    """The file or files that declare the entry, or `given as a path`."""


@dataclass(frozen=True)
class Preset:
    """A named group of settings. None: left as the checkpoint has it."""

    name: str
    description: str = ""
    num_frames: int | None = None
    pooling_shape: tuple[int, int, int] | None = None
    source: str = ""


@dataclass(frozen=True)
class Defaults:
    """What holds where nobody says otherwise: the [defaults] and [presets] of weights.toml."""

    model: str
    alpha: float
    max_new_tokens: int
    temperature: float
    top_p: float
    decode_timeout_s: float
    presets: Mapping[str, Preset]


PRECISIONS = ("bf16", "int8", "nf4")
"""Columns of memory_gb: 16 bits (fp16 is the same), 8 bits, 4 bits."""

_MOST_FRAMES = 4096

LIMITS: dict[str, cf.Check] = {
    "alpha": cf.number(0, 1e6),
    "num_frames": cf.integer(1, _MOST_FRAMES),
    "pooling_shape": cf.pooling_shape,
    "keep_tokens": cf.number(0.001, 1),
    "max_new_tokens": cf.integer(1, 1 << 20),
    "temperature": cf.number(0, 100),
    "top_p": cf.number(1e-6, 1),
    "decode_timeout_s": cf.number(0.1, 1e6),
}
"""Checks of the values that weights.toml, the settings files and the flags have in common."""

_DEFAULTS_SCHEMA: dict[str, cf.Check] = {
    "model": cf.filled_text,
    **{key: LIMITS[key] for key in ("alpha", "max_new_tokens", "temperature", "top_p", "decode_timeout_s")},
}
_PRESET_SCHEMA: dict[str, cf.Check] = {
    "description": cf.text,
    "num_frames": LIMITS["num_frames"],
    "pooling_shape": LIMITS["pooling_shape"],
    "source": cf.text,
}
_LORA_SCHEMA: dict[str, cf.Check] = {
    "rank": cf.integer(1, 1 << 16),
    "alpha": LIMITS["alpha"],
    "targets": cf.texts,
}


def _table(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"expected a table, found {value!r}")
    return value


_CHECKPOINT_SCHEMA: dict[str, cf.Check] = {
    "description": cf.text,
    "path": cf.filled_text,
    "repo": cf.filled_text,
    "revision": cf.filled_text,
    "license": cf.text,
    "base": cf.filled_text,
    "template": cf.choice(*TEMPLATES),
    "parameters": cf.integer(1, 10**15),
    "num_frames": LIMITS["num_frames"],
    "pooling_shape": LIMITS["pooling_shape"],
    "lora": _table,
    "size_gb": cf.number(0, 1e6),
    "memory_gb": _table,
    "ignore": cf.texts,
    "aliases": cf.texts,
    "notice": cf.text,
    "source": _table,
}


def read(builtin: Path, user: Path) -> tuple[dict[str, Checkpoint], Defaults]:
    """Read the registry.

    Args:
        builtin: The file that comes with the tool.
        user: The user's own, merged over it key by key; it need not exist.

    Returns:
        The checkpoints by name, and the defaults with the presets.

    Raises:
        UsageError: If a file is not as pllava-weights(5) says, naming file and key.
    """
    stamped = [(builtin, _stamp(builtin)), (user, _stamp(user))]
    return _read(tuple(each for each in stamped if each[1] is not None or each[0] == builtin))


def _stamp(path: Path) -> tuple[int, int] | None:
    """Return what changes when a file does, so that an edited registry is read anew."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


@lru_cache(maxsize=4)
def _read(files: tuple[tuple[Path, tuple[int, int] | None], ...]) -> tuple[dict[str, Checkpoint], Defaults]:
    merged: dict[str, dict[str, Any]] = {"defaults": {}, "presets": {}, "checkpoints": {}}
    origins: dict[str, list[Path]] = {}
    aliased: dict[str, Path] = {}
    for path in (path for path, _ in files):
        for name, entry in _merge_file(merged, path, aliased).items():
            origins.setdefault(name, []).append(path)
            if "path" in entry:
                # Relative to the file that says it; what comes with the tool lies in the package,
                # which the tool's own file is in or beside.
                folder = Path(__file__).parent if path == files[0][0] else path.parent
                entry["path"] = folder / cf.expand(Path(entry["path"]))
    defaults = dict(merged["defaults"])
    checkpoints = {
        name: _checkpoint(name, entry, origins[name]) for name, entry in merged["checkpoints"].items()
    }
    newest = files[-1][0]
    _refuse_clashes(list(checkpoints.values()), origins, aliased, newest)
    _check_default(defaults["model"], checkpoints, newest)
    presets = {name: Preset(name, **entry) for name, entry in merged["presets"].items()}
    return checkpoints, Defaults(**defaults, presets=MappingProxyType(presets))


def _merge_file(
    merged: dict[str, dict[str, Any]], path: Path, aliased: dict[str, Path]
) -> dict[str, dict[str, Any]]:
    """Check one file and merge it over what was read before.

    Args:
        merged: What was read before.
        path: The file.
        aliased: Is told the file that a checkpoint has its aliases from.

    Returns:
        The file's checkpoints as merged.
    """
    top: dict[str, cf.Check] = dict.fromkeys(merged, _table)
    found = cf.checked(path, "", cf.read_toml(path), top)
    merged["defaults"] |= cf.checked(path, "defaults", found.get("defaults", {}), _DEFAULTS_SCHEMA)
    for name, values in found.get("presets", {}).items():
        preset = cf.checked(path, f"presets.{name}", values, _PRESET_SCHEMA)
        merged["presets"].setdefault(name, {}).update(preset)
    entries = {}
    for name, values in found.get("checkpoints", {}).items():
        where = f"checkpoints.{name}"
        new = cf.checked(path, where, values, _CHECKPOINT_SCHEMA)
        old = merged["checkpoints"].setdefault(name, {})
        inner: dict[str, dict[str, cf.Check]] = {
            "lora": _LORA_SCHEMA,
            "memory_gb": dict.fromkeys(PRECISIONS, cf.number(0, 1e6)),
            "source": dict.fromkeys(_CHECKPOINT_SCHEMA, cf.text),
        }
        for key, schema in inner.items():
            if key in new:
                new[key] = old.get(key, {}) | cf.checked(path, f"{where}.{key}", new[key], schema)
        if "path" in new:
            old.pop("repo", None)
            old.pop("revision", None)
        if "repo" in new:
            old.pop("path", None)
        if "aliases" in new:
            aliased[name] = path
        old.update(new)
        entries[name] = old
    return entries


def _checkpoint(name: str, entry: dict[str, Any], origins: list[Path]) -> Checkpoint:
    if ("repo" in entry) == ("path" in entry):
        what = "both repo and path" if "repo" in entry else "neither repo nor path"
        where = cf.place(origins[-1], f"checkpoints.{name}")
        raise UsageError(f"{where}: checkpoints.{name} has {what}", "name one of the two")
    lora = entry.get("lora")
    if lora is not None:
        lora = Lora(lora.get("rank"), lora.get("alpha"), lora.get("targets", ()))
    nested = {
        "lora": lora,
        "memory_gb": MappingProxyType(entry.get("memory_gb", {})),
        "source": MappingProxyType(entry.get("source", {})),
    }
    return Checkpoint(name=name, origin=" and ".join(map(str, origins)), **(entry | nested))


def _refuse_clashes(
    checkpoints: list[Checkpoint],
    origins: Mapping[str, list[Path]],
    aliased: Mapping[str, Path],
    newest: Path,
) -> None:
    """Refuse a name that stands for two checkpoints.

    Args:
        checkpoints: All of them.
        origins: The files that declare each.
        aliased: The file that each has its aliases from.
        newest: The file read last: where it says the name, that is where the slip is.
    """
    owner: dict[str, Checkpoint] = {}
    for checkpoint in checkpoints:
        for name in {each.lower() for each in (checkpoint.name, *checkpoint.aliases)}:
            other = owner.setdefault(name, checkpoint)
            if other is checkpoint:
                continue
            said = [
                (origins[each.name][-1], f"checkpoints.{each.name}")
                if name == each.name.lower()
                else (aliased[each.name], f"checkpoints.{each.name}.aliases")
                for each in (checkpoint, other)
            ]
            where = cf.place(*next((each for each in said if each[0] == newest), said[0]))
            raise UsageError(
                f"{where}: {name} names both {other.name} and {checkpoint.name}", "rename one of them"
            )


def _check_default(model: str, checkpoints: Mapping[str, Checkpoint], newest: Path) -> None:
    """Refuse a default checkpoint that is neither a name nor, as it is written, a folder."""
    names = [name for each in checkpoints.values() for name in (each.name, *each.aliases, each.repo) if name]
    if model.lower() in map(str.lower, names) or "/" in model:
        return
    with suppress(OSError):  # a name too long
        if cf.expand(Path(model)).is_dir():
            return
    raise UsageError(
        f"{cf.place(newest, 'defaults.model')}: defaults.model: there is no checkpoint {model!r}",
        cf.suggestion(model, names, "the names are"),
    )
