"""Files the user writes: where they are, how TOML is read, and how a value is checked.

A file of settings is input like any other. Its size is bounded, and whatever is wrong in it becomes
one line that names the file and the key; `registry` and `settings` both read through here.
"""

import difflib
import os
import tomllib
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from pllava_cli.errors import UsageError
from pllava_cli.textfile import unreadable

MAX_BYTES = 1 << 20
"""A settings or prompt file above 1 MiB is a mistake: a prompt must fit 4096 positions."""

_MOST_CANDIDATES, _MOST_VALUE_LINES = 100, 50
"""Bounds of the search for a line: it is for messages, and not worth more than a moment."""

Check = Callable[[Any], Any]
"""Takes a TOML value and returns it in our type, or raises `ValueError(message)` or `(message, hint)`."""


def config_dir() -> Path:
    """Return `$XDG_CONFIG_HOME/pllava`, or `~/.config/pllava` where that is unset or relative.

    Source: https://specifications.freedesktop.org/basedir-spec/latest/ (relative paths are ignored).
    """
    return _own("XDG_CONFIG_HOME", "~/.config")


def cache_dir() -> Path:
    """Return `$XDG_CACHE_HOME/pllava`, or `~/.cache/pllava`: for what can be made again."""
    return _own("XDG_CACHE_HOME", "~/.cache")


def _own(variable: str, otherwise: str) -> Path:
    base = Path(os.environ.get(variable, ""))
    return (base if base.is_absolute() else expand(Path(otherwise))) / "pllava"


def expand(path: Path) -> Path:
    """Replace a leading `~`; where no home directory is known the path stays as it is."""
    try:
        return path.expanduser()
    except RuntimeError:
        return path


def read_text(path: Path) -> str:
    """Read a small regular file of UTF-8 text.

    Raises:
        UsageError: If it is missing, no regular file, unreadable, too long or not UTF-8.
    """
    try:
        if not path.is_file():
            what = "is not a regular file" if path.exists() else "does not exist"
            raise UsageError(f"{path} {what}", "name a text file")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise UsageError(f"{path} is longer than {MAX_BYTES} bytes", "name a text file")
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 at byte {error.start}", "save it as UTF-8 text") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL byte in the path
        raise unreadable(path, error) from None


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        UsageError: If it cannot be read or is not TOML, naming the line.
    """
    try:
        found = tomllib.loads(read_text(path))
        if _is_too_long(found):
            raise ValueError("a whole number has more than 64 bits")
    except (ValueError, RecursionError) as error:  # ValueError: a whole number of thousands of digits, too
        raise UsageError(f"{path} is not valid TOML: {error}", "see https://toml.io for the form") from None
    return found


def _is_too_long(value: Any) -> bool:
    """Whether a whole number in it is none of TOML's, which have 64 bits; Python does not even print some."""
    if isinstance(value, dict | list):
        return any(map(_is_too_long, value.values() if isinstance(value, dict) else value))
    return isinstance(value, int) and not -(1 << 63) <= value < 1 << 63


def checked(path: Path | str, table: str, values: Any, schema: dict[str, Check]) -> dict[str, Any]:
    """Check one table of a file against its schema and return it in our types.

    Args:
        path: The file, or another name of the origin, for messages.
        table: Dotted name of the table; empty for the top level.
        values: The table as read.
        schema: The check of each key that may stand in it.

    Raises:
        UsageError: If it is no table, or a key is unknown or of a wrong type.
    """
    if not isinstance(values, dict):
        raise UsageError(
            f"{place(path, table)}: {table} must be a table, found {values!r}", f"write it as [{table}]"
        )
    found = {}
    for key, value in values.items():
        name = f"{table}.{key}" if table else key
        if key not in schema:
            raise UsageError(
                f"{place(path, name)}: unknown key {name}", suggestion(key, schema, "the keys are")
            )
        try:
            found[key] = schema[key](value)
        except ValueError as error:
            message, *hint = error.args
            raise UsageError(
                f"{place(path, name)}: {name}: {message}", *(hint or [f"correct {name} in {path}"])
            ) from None
    return found


def place(path: Path | str, name: str) -> str:
    """Return where a dotted key stands, as `FILE:LINE`; the file alone where the line cannot be told.

    The parser says nothing of lines. So the first line that names the key is looked for with which the
    file, read up to there, has the key; a value may take further lines to end.
    """
    if not isinstance(path, Path):
        return path
    lines = read_text(path).split("\n")
    word = name.rpartition(".")[2]
    candidates = [number for number, line in enumerate(lines) if word in line]
    for number in candidates[:_MOST_CANDIDATES]:
        for end in range(number + 1, min(len(lines), number + _MOST_VALUE_LINES) + 1):
            with suppress(ValueError, RecursionError):
                if _holds(tomllib.loads("\n".join(lines[:end])), name):
                    return f"{path}:{number + 1}"
                break
    return str(path)


def _holds(values: Any, name: str) -> bool:
    """Whether a table has a dotted key; a part of it may hold dots itself."""
    if not isinstance(values, dict):
        return False
    inner = (
        _holds(value, name[len(key) + 1 :]) for key, value in values.items() if name.startswith(key + ".")
    )
    return name in values or any(inner)


def suggestion(name: str, known: Iterable[str], otherwise: str) -> str:
    """Say which known name was probably meant, or list them all after `otherwise`."""
    names = list(dict.fromkeys(known))
    by_lower = {each.lower(): each for each in names}
    close = difflib.get_close_matches(name.lower(), by_lower, n=1)
    return f"did you mean {by_lower[close[0]]}?" if close else f"{otherwise} {', '.join(names)}"


def text(value: Any) -> str:
    """Check for a string that can be encoded: not the name of a file that is not UTF-8."""
    if not isinstance(value, str):
        raise ValueError(f"expected text, found {value!r}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"expected UTF-8 text, found {value!r}") from None
    if "\0" in value:
        raise ValueError("expected text without NUL characters")
    return value


def filled_text(value: Any) -> str:
    """Check for text that is more than white space."""
    if not text(value).strip():
        raise ValueError("expected text, found nothing")
    return str(value)


def texts(value: Any) -> tuple[str, ...]:
    """Check for a list of strings."""
    if not isinstance(value, list):
        raise ValueError(f"expected a list of texts, found {value!r}")
    return tuple(filled_text(each) for each in value)


def integer(low: int, high: int) -> Check:
    """Make a check for a whole number from `low` to `high`."""

    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError(f"expected a whole number from {low} to {high}, found {value!r}")
        return value

    return check


def number(low: float, high: float) -> Check:
    """Make a check for a finite number from `low` to `high`."""

    def check(value: Any) -> float:
        right_type = isinstance(value, int | float) and not isinstance(value, bool)
        if not right_type or not low <= value <= high:  # which NaN is not either
            raise ValueError(f"expected a number from {low:g} to {high:g}, found {value!r}")
        return float(value)

    return check


def boolean(value: Any) -> bool:
    """Check for true or false."""
    if not isinstance(value, bool):
        raise ValueError(f"expected true or false, found {value!r}")
    return value


def choice(*names: str) -> Check:
    """Make a check for one of a few names."""

    def check(value: Any) -> str:
        if value not in names:
            raise ValueError(f"expected one of {', '.join(names)}, found {value!r}")
        return str(value)

    return check


def pooling_shape(value: Any) -> tuple[int, int, int]:
    """Check for a pooling shape: frames, rows and columns of visual tokens."""
    one = integer(1, 4096)
    if not isinstance(value, list) or len(value) != 3:
        raise ValueError(f"expected three whole numbers T, H, W, found {value!r}")
    return one(value[0]), one(value[1]), one(value[2])
