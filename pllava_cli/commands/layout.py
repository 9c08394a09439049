"""How help looks: arguments, options by group, then examples, as plain text.

Plain, because the first line must be on the screen at once: rendering help with rich doubles the
time, and plain text needs no special case for pipes, NO_COLOR or narrow terminals.
"""

import sys
from collections.abc import Mapping
from typing import Any

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

from pllava_cli import settings
from pllava_cli.errors import PllavaError

OTHER_OPTIONS = "Options"
"""Heading of the options that belong to no group."""

ALL = "all"
"""What an option takes whose value may be left out, if it is. Typer knows no such options: here they are
those with a metavar in brackets, `[=WHAT]`, and take no other spelling of a value than `--option=value`,
so that the word behind `--option` is never taken for one."""


def usage_pieces(command: Any) -> list[str]:
    """Return the words of a command's usage after its name."""
    arguments = [each for each in command.params if isinstance(each, TyperArgument)]
    return ["[OPTIONS]", *(argument_name(each) for each in arguments)]


def argument_name(argument: TyperArgument) -> str:
    """Return an argument as it is written in usage: `CLIP...` where it may repeat."""
    return (argument.metavar or (argument.name or "").upper()) + ("..." if argument.nargs == -1 else "")


def option_names(option: TyperOption) -> str:
    """Return the spellings of an option and what it takes."""
    spellings = ", ".join(sorted(option.opts, key=len)) + "".join(
        f" / {each}" for each in option.secondary_opts
    )
    if option.is_flag or option.count:
        return spellings
    return f"{spellings}{'' if _may_lack_value(option) else ' '}{option.metavar}"


def _may_lack_value(param: Any) -> bool:
    return isinstance(param, TyperOption) and (param.metavar or "").startswith("[=")


def _with_values(params: list[Any], words: list[str]) -> list[str]:
    """Give options their value that may lack one and do; behind `--` there are no options."""
    spellings = {spelling for param in params if _may_lack_value(param) for spelling in param.opts}
    end = words.index("--") if "--" in words else len(words)
    return [f"{word}={ALL}" if word in spellings else word for word in words[:end]] + words[end:]


def option_help(option: TyperOption, defaults: Mapping[str, str]) -> str:
    """Return what an option is for, with its default if that is a word.

    Args:
        option: The option.
        defaults: What `defaults_of` says of its command.
    """
    text = option.help or ""
    default = option.default
    if default is None and option.show_default and not option.is_flag:
        default = defaults.get(option.name or "")
    return f"{text.removesuffix('.')} ({default})." if isinstance(default, str) and default else text


def defaults_of(command: Any) -> dict[str, str]:
    """Return what weights.toml gives a command's settings where nobody says otherwise, by option name."""
    names = getattr(command.callback, "settings", [])
    if not names:
        return {}
    try:
        known = settings.described(settings.resolve({}))
    except PllavaError:  # a slip in a settings file must not take the help away
        return {}
    return {name: value for name, value, origin in known if origin == "weights.toml" and name in names}


def grouped_options(params: list[Any]) -> dict[str, list[TyperOption]]:
    """Return the options to show, by the heading they stand under; the unnamed group comes last."""
    groups: dict[str, list[TyperOption]] = {}
    for param in params:
        if isinstance(param, TyperOption) and not param.hidden:
            groups.setdefault(param.rich_help_panel or OTHER_OPTIONS, []).append(param)
    if OTHER_OPTIONS in groups:
        groups[OTHER_OPTIONS] = groups.pop(OTHER_OPTIONS)
    return groups


def _format_options(params: list[Any], defaults: Mapping[str, str], formatter: Any) -> None:
    arguments = [(argument_name(each), each.help or "") for each in params if isinstance(each, TyperArgument)]
    if arguments:
        with formatter.section("Arguments"):
            formatter.write_dl(arguments)
    for heading, options in grouped_options(params).items():
        with formatter.section(heading):
            formatter.write_dl([(option_names(each), option_help(each, defaults)) for each in options])


def _format_examples(examples: str | None, command_path: str, formatter: Any) -> None:
    if examples:
        formatter.write("\nExamples:\n" + "".join(f"  {line}\n" for line in examples.strip().splitlines()))
    formatter.write(f"\nManual: man {command_path.replace(' ', '-')}\n")


def _with_plain_flags(params: list[Any]) -> list[Any]:
    """Let flags that were not given be False instead of None.

    Typer takes any value but True and False through pydantic, whose import costs more than all else
    that help and completion do.
    """
    for param in params:
        if isinstance(param, TyperOption) and param.is_flag and not param.secondary_opts:
            param.default = param.default or False
    return params


class Command(TyperCommand):
    """A command whose help is laid out as above; its epilog holds the examples."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, help included."""
        return _with_plain_flags(super().get_params(ctx))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take the words of the command line."""
        try:
            return super().parse_args(ctx, _with_values(self.params, args))
        except typer.TyperException as error:
            if getattr(error, "ctx", None) is None:  # an option without its value: say of which command
                error.ctx = ctx  # type: ignore[attr-defined]
            raise

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return the words of the usage after the name."""
        return usage_pieces(self)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments and options."""
        _format_options(self.get_params(ctx), defaults_of(self), formatter)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the examples."""
        _format_examples(self.epilog, ctx.command_path, formatter)


class Group(TyperGroup):
    """A group of commands, laid out likewise; called with nothing it shows its help."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, help included."""
        return _with_plain_flags(super().get_params(ctx))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take the words of the command line."""
        if not args and not ctx.resilient_parsing:
            sys.stderr.write(ctx.get_help() + "\n")
            raise typer.Exit(2)
        return super().parse_args(ctx, args)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write commands and options."""
        self.format_commands(ctx, formatter)
        _format_options(self.get_params(ctx), {}, formatter)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the examples."""
        _format_examples(self.epilog, ctx.command_path, formatter)
