"""A sweep: settings given as lists, and each combination of them a run of its own."""

import itertools
import re
from dataclasses import dataclass, replace
from typing import Any

from pllava_cli import settings
from pllava_cli.commands.evaluation.flags import EvalFlags
from pllava_cli.commands.options import said
from pllava_cli.errors import UsageError
from pllava_cli.settings import Settings

MOST_SETTINGS = 256
"""Of one sweep: each takes a run of its own."""
LISTS = ("alpha", "frames", "pooling_shape")
"""Settings that may be lists, in the order in which a sweep's folders name them."""


@dataclass(frozen=True)
class Setting:
    """One run of a sweep, or the only one."""

    settings: Settings
    differs: dict[str, str]
    """In what it differs from the others of the sweep, by setting; nothing where there is only one."""

    @property
    def folder(self) -> str:
        """The name of its folder within the sweep's."""
        parts = (f"{name.replace('_', '-')}-{value}" for name, value in self.differs.items())
        return "_".join(parts)


def sweep(flags: EvalFlags) -> list[Setting]:
    """Resolve the settings, one for each combination of what is given as a list.

    Raises:
        UsageError: They cannot be meant.
    """
    given = said(flags)
    own = {name: getattr(flags, name) for name in EvalFlags.own if getattr(flags, name) is not None}
    lists = {name: _listed(name, given[name]) for name in LISTS if given[name] is not None}
    combinations = list(itertools.product(*lists.values()))
    if len(combinations) > MOST_SETTINGS:
        raise UsageError(
            f"the lists make {len(combinations)} settings, more than {MOST_SETTINGS}", "shorten one of them"
        )
    found = []
    for values in combinations:
        chosen = dict(zip(lists, values, strict=True))
        resolved = settings.resolve(given | own | chosen)
        differs = {name: value for name, value in chosen.items() if len(lists[name]) > 1}
        found.append(Setting(_greedy(resolved), differs))
    return found


def put_as(chosen: Settings, flags: EvalFlags, system: str, max_new_tokens: int) -> Settings:
    """Return settings with what the benchmark says of how its questions are put, where no flag does."""
    values: dict[str, Any] = {}
    if flags.system is None and flags.system_file is None:
        values["system"] = system
    if flags.max_new_tokens is None:
        values["max_new_tokens"] = max_new_tokens
    origins = {**chosen.origins, **dict.fromkeys(values, "the benchmark")}
    return replace(chosen, **values, origins=origins)


def _greedy(chosen: Settings) -> Settings:
    return replace(chosen, temperature=0.0, top_p=1.0, seed=None)


def _listed(name: str, text: str) -> list[str]:
    """Read a list; the same value twice counts once, however it is written."""
    # A shape may have commas of its own.
    parts = [text] if name == "pooling_shape" and re.fullmatch(r"\d+(,\d+){2}", text) else text.split(",")
    option = settings.OPTIONS[name]
    found: dict[str, None] = {}
    for part in parts:
        flag = "--" + name.replace("_", "-")
        try:
            value = option.check(option.from_text(part.strip()))
        except ValueError as error:
            message, *hint = error.args
            raise UsageError(f"{flag}: {message}", *(hint or ["separate several by commas"])) from None
        found[_written(value)] = None
    return list(found)


def _written(value: Any) -> str:
    """Write a setting's value as a flag takes it and a file's name bears it."""
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple):
        return "x".join(map(str, value))
    value += 0  # -0.0 is 0
    return f"{value:g}" if float(f"{value:g}") == value else str(value)
