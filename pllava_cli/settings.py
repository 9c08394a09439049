"""What a run does: every setting resolved once, with where its value came from.

Flags come before PLLAVA_* variables, those before ./pllava.toml, that before the user's config.toml,
and weights.toml is last. A preset counts in the layer that names it: `--preset fast` beats `frames`
of a file, `--frames` beats any preset. Nothing downstream sees a raw flag.
"""

import os
import re
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pllava_cli import configfile as cf
from pllava_cli import registry
from pllava_cli.errors import UsageError
from pllava_cli.precisions import DTYPES, ENCODINGS, QUANTIZATIONS
from pllava_cli.weightsfile import LIMITS

ANOTHER_VALUE = "give another value, or leave it out: it has a default"
"""What to do about a value that is not taken, where the message has said which are."""


@dataclass(frozen=True)
class Settings:
    """The resolved settings of one run. None: left to the checkpoint or to the engine."""

    model: str
    base: str | None
    alpha: float | None
    num_frames: int | None
    pooling_shape: tuple[int, int, int] | Literal["none"] | None
    """"none": not pooled at all."""
    keep_tokens: float
    """The share of the visual tokens that is left after pooling; 1: all."""
    device: str
    dtype: str
    quantize: str
    encode: str
    system: str | None
    prompt: str | None
    max_new_tokens: int
    temperature: float
    top_p: float
    seed: int | None
    decode_timeout_s: float
    offline: bool
    pull: bool
    """Whether a checkpoint that is not on this machine is fetched without a question."""
    origins: Mapping[str, str]
    """Where each value came from, by option name."""
    from_preset: frozenset[str]
    """The options whose values a preset gives: at most so much, as a checkpoint may have less."""


@dataclass(frozen=True)
class Option:
    """One setting: how its text is read and what values it takes."""

    check: cf.Check
    from_text: Callable[[str], Any] = str
    """Turns the text of a flag or variable into the value that TOML would hold."""


def _flag_text(text: str) -> bool:
    words = {
        "1": True,
        "true": True,
        "yes": True,
        "on": True,
        "0": False,
        "false": False,
        "no": False,
        "off": False,
    }
    if text.lower() not in words:
        raise ValueError(f"expected true or false, found {text!r}")
    return words[text.lower()]


def integer_text(text: str) -> int:
    """Read a whole number; `ValueError` says why it is none."""
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"expected a whole number, found {text!r}") from None


def number_text(text: str) -> float:
    """Read a number; `ValueError` says why it is none."""
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"expected a number, found {text!r}") from None


def _shape_text(text: str) -> list[int] | str:
    if text == "none":
        return text
    try:
        return [int(part) for part in re.split(r"[,x]", text)]
    except ValueError:
        raise ValueError(f"expected three whole numbers T,H,W or none, found {text!r}") from None


def _device(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"auto|cpu|cuda(:\d{1,3})?", value):
        raise ValueError(f"expected auto, cpu, cuda or cuda:N, found {value!r}")
    return value


def _pooling_shape(value: Any) -> Any:
    return value if value == "none" else LIMITS["pooling_shape"](value)


def _preset(value: Any) -> str:
    presets = registry.defaults().presets
    if value not in presets:
        raise ValueError(
            f"there is no preset {value!r}", cf.suggestion(str(value), presets, "the presets are")
        )
    return str(value)


OPTIONS: dict[str, Option] = {
    "model": Option(cf.filled_text),
    "base": Option(cf.filled_text),
    "preset": Option(_preset),
    "frames": Option(LIMITS["num_frames"], integer_text),
    "pooling_shape": Option(_pooling_shape, _shape_text),
    "keep_tokens": Option(LIMITS["keep_tokens"], number_text),
    "alpha": Option(LIMITS["alpha"], number_text),
    "prompt": Option(cf.filled_text),
    "prompt_file": Option(cf.filled_text),
    "system": Option(cf.text),
    "system_file": Option(cf.filled_text),
    "max_new_tokens": Option(LIMITS["max_new_tokens"], integer_text),
    "temperature": Option(LIMITS["temperature"], number_text),
    "top_p": Option(LIMITS["top_p"], number_text),
    "seed": Option(cf.integer(0, 2**63 - 1), integer_text),
    "device": Option(_device),
    "dtype": Option(cf.choice(*DTYPES)),
    "quantize": Option(cf.choice(*QUANTIZATIONS)),
    "encode": Option(cf.choice(*ENCODINGS)),
    "decode_timeout": Option(LIMITS["decode_timeout_s"], number_text),
    "offline": Option(cf.boolean, _flag_text),
    "pull": Option(cf.boolean, _flag_text),
}
"""Every setting by the name it has in pllava.toml; the flag and the variable follow from it."""


@dataclass(frozen=True)
class _Layer:
    """The settings of one origin."""

    values: Mapping[str, Any]
    label: Callable[[str], str]
    """Names the origin of one setting for people."""
    folder: Path
    """What a relative prompt file is relative to."""
    from_preset: frozenset[str] = frozenset()


class _Found:
    """What the layers say, the first one first, and which of them said it."""

    def __init__(self, layers: list[_Layer]) -> None:
        self._layers = [_with_preset(layer) for layer in layers]
        self.origins: dict[str, str] = {}
        self.from_preset: set[str] = set()

    def pick(self, name: str, default: Any = None, otherwise: str = "weights.toml") -> Any:
        """Take a value from the first layer that gives it."""
        for layer in self._layers:
            if name in layer.values:
                self.origins[name] = layer.label(name)
                self.from_preset |= layer.from_preset & {name}
                return layer.values[name]
        self.origins[name] = otherwise
        return default

    def pick_text(self, name: str) -> str | None:
        """Take a text from the first layer that gives it, in words or as a file."""
        for layer in self._layers:
            if name in layer.values:
                self.origins[name] = layer.label(name)
                return str(layer.values[name])
            file = layer.values.get(f"{name}_file")
            if file is not None:
                path = layer.folder / cf.expand(Path(file))
                self.origins[name] = f"{layer.label(f'{name}_file')} {path}"
                text = cf.read_text(path).strip()
                if name == "prompt" and not text:
                    raise UsageError(f"{path} is empty", "write the prompt into it")
                return text
        self.origins[name] = "default"
        return None


def resolve(flags: Mapping[str, Any]) -> Settings:
    """Resolve the settings of a command.

    Args:
        flags: What the command line says of each setting that the command has, by option name: text as
            typed, or a boolean; None: not said. Of other settings no variable and no file is heard.

    Raises:
        UsageError: If a value is none that the setting takes, or a settings file is wrong.
    """
    found = _Found([_flag_layer(flags), _environment_layer(flags), *_file_layers(flags)])
    pick = found.pick
    base = registry.defaults()
    return Settings(
        model=pick("model", base.model),
        base=pick("base", None, "the checkpoint"),
        alpha=pick("alpha", None, "the checkpoint"),
        num_frames=pick("frames", None, "the checkpoint"),
        pooling_shape=pick("pooling_shape", None, "the checkpoint"),
        keep_tokens=pick("keep_tokens", 1.0, "default"),
        device=pick("device", "auto", "default"),
        dtype=pick("dtype", "auto", "default"),
        quantize=pick("quantize", "auto", "default"),
        encode=pick("encode", "auto", "default"),
        system=found.pick_text("system"),
        prompt=found.pick_text("prompt"),
        max_new_tokens=pick("max_new_tokens", base.max_new_tokens),
        temperature=pick("temperature", base.temperature),
        top_p=pick("top_p", base.top_p),
        seed=pick("seed", None, "default"),
        decode_timeout_s=pick("decode_timeout", base.decode_timeout_s),
        offline=pick("offline", False, "default"),
        pull=pick("pull", False, "default"),
        origins=found.origins,
        from_preset=frozenset(found.from_preset),
    )


def described(settings: Settings) -> list[tuple[str, str, str]]:
    """Return name, value and origin of each setting, for people."""
    values = vars(settings) | {"frames": settings.num_frames, "decode_timeout": settings.decode_timeout_s}

    def shown(value: Any) -> str:
        if isinstance(value, tuple):
            return ",".join(map(str, value))
        if isinstance(value, bool):
            return str(value).lower()  # as TOML has it
        return "-" if value is None else f"{value:g}" if isinstance(value, float) else str(value)

    return [(name, shown(values[name]), origin) for name, origin in sorted(settings.origins.items())]


def _flag_layer(flags: Mapping[str, Any]) -> _Layer:
    def label(name: str) -> str:
        return "--" + name.replace("_", "-")

    said = {name: value for name, value in flags.items() if value is not None}
    return _text_layer(said, label)


def variable(name: str) -> str:
    """Return the environment variable of a setting."""
    return f"PLLAVA_{name.upper()}"


def _environment_layer(names: Iterable[str]) -> _Layer:
    return _text_layer(
        {each: os.environ[variable(each)] for each in names if os.environ.get(variable(each))}, variable
    )


def _text_layer(said: Mapping[str, Any], label: Callable[[str], str]) -> _Layer:
    """Make a layer of values that came as text; booleans come as they are."""
    values = {}
    for name, value in said.items():
        option = OPTIONS[name]
        try:
            values[name] = option.check(option.from_text(value) if isinstance(value, str) else value)
        except ValueError as error:
            message, *hint = error.args
            raise UsageError(f"{label(name)}: {message}", *(hint or [ANOTHER_VALUE])) from None
    return _exclusive(_Layer(values, label, Path()))


def _file_layers(names: Container[str]) -> list[_Layer]:
    """Read the files: whole, so that a slip in one is told by every command."""
    layers = []
    for path in (Path("pllava.toml"), cf.config_dir() / "config.toml"):
        if not os.path.lexists(path):
            continue
        schema = {name: option.check for name, option in OPTIONS.items()}
        values = cf.checked(path, "", cf.read_toml(path), schema)
        layer = _exclusive(_Layer(values, lambda _, path=path: str(path), path.parent))  # type: ignore[misc]
        layers.append(replace(layer, values={each: values[each] for each in values if each in names}))
    return layers


def _exclusive(layer: _Layer) -> _Layer:
    for name in ("prompt", "system"):
        if name in layer.values and f"{name}_file" in layer.values:
            both = f"{layer.label(name)} and {layer.label(f'{name}_file')}"
            raise UsageError(f"{both} both give the {name}", f"give {name} or {name}_file")
    return layer


def _with_preset(layer: _Layer) -> _Layer:
    """Write out the preset that a layer names, below what the layer says itself."""
    if "preset" not in layer.values:
        return layer
    preset = registry.defaults().presets[layer.values["preset"]]
    # None too: a preset that leaves it to the checkpoint says so against lower layers.
    given = {"frames": preset.num_frames, "pooling_shape": preset.pooling_shape}
    given = {name: value for name, value in given.items() if name not in layer.values}

    def label(name: str) -> str:
        return f"preset {preset.name} ({layer.label('preset')})" if name in given else layer.label(name)

    return replace(layer, values={**layer.values, **given}, label=label, from_preset=frozenset(given))
