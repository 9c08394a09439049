"""The manual pages of the commands, written from the same declarations as their help.

    python -m pllava_cli.manpages man

writes man1/pllava.1 and a page for each command. The pages are kept in the repository and a test
compares them with what this module writes, so that a changed flag shows in a review. Typer carries
its own copy of Click, which the existing generators for Click cannot read.
"""

import inspect
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperArgument, TyperGroup

from pllava_cli import __version__, settings
from pllava_cli.app import OUTPUT_CLOSED, app
from pllava_cli.commands.layout import (
    argument_name,
    defaults_of,
    grouped_options,
    option_help,
    option_names,
    usage_pieces,
)
from pllava_cli.errors import ExitStatus

_STATUSES = {
    ExitStatus.OK: "All that was asked for was done.",
    ExitStatus.BUG: "An unexpected error; a traceback was written to a file.",
    ExitStatus.USAGE: "A bad option or setting, no such file, nothing to do, nowhere to write (a full disk).",
    ExitStatus.SOME_FAILED: "Some clips failed, others succeeded.",
    ExitStatus.ALL_FAILED: "Every clip failed, or the one clip given.",
    ExitStatus.CHECKPOINT: "The checkpoint is unknown, not on this machine, incomplete or of a wrong layout.",
    ExitStatus.DEVICE: "The device is not available, or its memory does not suffice.",
    ExitStatus.INTERRUPTED: "Interrupted by Ctrl-C.",
    OUTPUT_CLOSED: "The reader of standard output left before the end.",
    ExitStatus.TERMINATED: "Ended by SIGTERM.",
}

_ENVIRONMENT = {
    "PLLAVA_DEBUG": "If set and not 0, errors come with their traceback.",
    "XDG_CONFIG_HOME": "Where the folder pllava with the user's files is; ~/.config if unset.",
    "XDG_CACHE_HOME": "Where the folder pllava with what can be made again is; ~/.cache if unset.",
    "HF_HOME, HF_HUB_CACHE": "Where the model hub keeps checkpoints.",
    "NO_COLOR, TERM": "With NO_COLOR set there is no colour; with TERM=dumb no moving display either.",
}

_FILES = {
    "./pllava.toml": "Settings of the folder one is in, a line each: max_new_tokens = 512.",
    "$XDG_CONFIG_HOME/pllava/config.toml": "Settings of the user, likewise.",
    "$XDG_CONFIG_HOME/pllava/weights.toml": "Checkpoints and presets of the user; see pllava-weights(5).",
    "$XDG_CACHE_HOME/pllava/quantized": "Checkpoints packed by pllava-models-quantize(1).",
    "$XDG_CACHE_HOME/pllava/visual": "Visual tokens of clips, kept by pllava-eval(1); may go at any time.",
}


def pages() -> dict[str, str]:
    """Return every page by its file name."""
    written = {}
    root = typer.main.get_command(app)
    for path, command in _walk(("pllava",), root):
        written[f"{'-'.join(path)}.1"] = page(path, command, "\n".join(_related(path, root)))
    return written


def page(path: tuple[str, ...], command: Any, related: str) -> str:
    """Return the page of one command.

    Args:
        path: The words that call it.
        command: The command as Typer has built it.
        related: The names for SEE ALSO, one a line.
    """
    name, text = "-".join(path), inspect.cleandoc(command.help or "")
    summary, _, rest = text.partition("\n")
    lines = [
        f'.TH "{name.upper()}" "1" "" "pllava {__version__}" "User Commands"',
        ".SH NAME",
        f"{_roff(name)} \\- {_roff(summary.strip().rstrip('.'))}",
        ".SH SYNOPSIS",
        f".B {_roff(' '.join(path))}",
        _roff(" ".join(_synopsis(command))),
        ".SH DESCRIPTION",
        *_paragraphs(rest.strip() or summary),
        *_commands(command),
        *_arguments(command),
        *_options(command),
        *(_exit_statuses(command) if len(path) == 1 or not isinstance(command, TyperGroup) else []),
        *_reference(list(settings.OPTIONS) if len(path) == 1 else settings_of(command), _variables(command)),
        ".SH EXAMPLES",
        *_examples(command.epilog or ""),
        ".SH SEE ALSO",
        *related.splitlines(),
    ]
    return "\n".join(lines) + "\n"


def settings_of(command: Any) -> list[str]:
    """Return the settings that a command has flags for, and whose variables it reads therefore."""
    return list(getattr(command.callback, "settings", []))


def _variables(command: Any) -> dict[str, str]:
    """Return the variables that a command alone reads, and what for."""
    return dict(getattr(command.callback, "variables", {}))


def _walk(path: tuple[str, ...], command: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield path, command
    if isinstance(command, TyperGroup):
        for name, inner in command.commands.items():
            yield from _walk((*path, name), inner)


def _related(path: tuple[str, ...], root: Any) -> list[str]:
    names = ["-".join(other) for other, _ in _walk(("pllava",), root) if other != path]
    formats = ("pllava-records", "pllava-training", "pllava-weights")
    pages_ = [*((name, 1) for name in sorted(names)), *((name, 5) for name in formats)]
    return [
        f".BR {_roff(name)} ({section}){',' if index < len(pages_) - 1 else ''}"
        for index, (name, section) in enumerate(pages_)
    ]


def _synopsis(command: Any) -> list[str]:
    return usage_pieces(command) + (["COMMAND ..."] if isinstance(command, TyperGroup) else [])


def _commands(command: Any) -> Iterator[str]:
    if isinstance(command, TyperGroup):
        yield ".SH COMMANDS"
        for name, inner in command.commands.items():
            yield from _entry(name, inspect.cleandoc(inner.help or "").partition("\n")[0])


def _arguments(command: Any) -> Iterator[str]:
    arguments = [each for each in command.params if isinstance(each, TyperArgument)]
    if arguments:
        yield ".SH ARGUMENTS"
        for each in arguments:
            yield from _entry(argument_name(each), each.help or "")


def _options(command: Any) -> Iterator[str]:
    yield ".SH OPTIONS"
    groups, defaults = grouped_options(command.params), defaults_of(command)
    for heading, options in groups.items():
        if len(groups) > 1:
            yield f'.SS "{heading}"'
        for each in options:
            yield from _entry(option_names(each), option_help(each, defaults))
    yield from _entry("-h, --help", "Show help and exit.")


def _exit_statuses(command: Any) -> Iterator[str]:
    yield ".SH EXIT STATUS"
    own: dict[int, str] = getattr(command.callback, "statuses", {})
    for status, meaning in (_STATUSES | own).items():
        yield from _entry(str(int(status)), meaning)


def _reference(names: list[str], own: dict[str, str]) -> Iterator[str]:
    """Write where these settings come from, if there are any, and what else a command that has them reads.

    Args:
        names: The settings.
        own: What this command alone reads of the environment.
    """
    if not names:
        return
    yield ".SH ENVIRONMENT"
    yield from _paragraphs(
        "A setting comes from its option, or from its variable, or from ./pllava.toml, or from the user's"
        " config.toml, or from weights.toml, in this order. In the files it has the name of its option, with"
        " underscores for dashes."
    )
    yield from _entry(", ".join(map(settings.variable, names)), "The options of these names.")
    for name, meaning in (own | _ENVIRONMENT).items():
        yield from _entry(name, meaning)
    yield ".SH FILES"
    for name, meaning in _FILES.items():
        yield from _entry(name, meaning)


def _examples(text: str) -> Iterator[str]:
    for index, line in enumerate(text.strip().splitlines()):
        if index:
            yield ".PP"
        if line.startswith("#"):
            comment = line.removeprefix("#").strip()
            yield _roff(f"{comment[:1].upper()}{comment[1:]}:")
        else:
            yield from (".nf", ".RS 4", _roff(line), ".RE", ".fi")


def _entry(term: str, meaning: str) -> Iterator[str]:
    yield ".TP"
    yield f".B {_roff(term)}"
    yield from _wrapped(meaning)


def _paragraphs(text: str) -> Iterator[str]:
    for index, paragraph in enumerate(re.split(r"\n\s*\n", text)):
        if index:
            yield ".PP"
        yield from _wrapped(paragraph)


def _wrapped(text: str) -> Iterator[str]:
    for line in textwrap.wrap(_roff(text), 79, break_long_words=False, break_on_hyphens=False):
        yield f"\\&{line}" if line.startswith(".") else line


def _roff(text: str) -> str:
    r"""Escape what roff would take for a request or a hyphen; `code` becomes bold."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace('"', "\\(dq").replace("'", "\\(aq")
    text = re.sub(r"`([^`]+)`", r"\\fB\1\\fR", text)
    return f"\\&{text}" if text.startswith(".") else text


def main(arguments: list[str]) -> int:
    """Write the pages below a folder."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m pllava_cli.manpages FOLDER\n")
        return ExitStatus.USAGE
    folder = Path(arguments[0]) / "man1"
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (folder / name).write_text(text, encoding="utf-8")
    return ExitStatus.OK


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
