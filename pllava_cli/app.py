"""The command line: which commands there are, and how every way a run can end becomes an exit status.

Commands return a status or raise; only `main` prints errors, handles signals and decides statuses.
"""

import errno
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from itertools import takewhile
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from pllava_cli import __version__
from pllava_cli.commands import (
    ask,
    batch,
    caption,
    check,
    doctor,
    merge,
    models,
    pulling,
    quantize,
    removing,
    shapes,
    train,
    verifying,
)
from pllava_cli.commands.evaluation import benchmarks, judge
from pllava_cli.commands.layout import Command, Group
from pllava_cli.errors import DeviceError, ExitStatus, PllavaError, UsageError
from pllava_cli.signals import Signals
from pllava_cli.terminal import OutputClosedError, Terminal, escape_controls, is_closed, write_stderr

OUTPUT_CLOSED = 128 + 13
"""What a shell reports for a command ended by SIGPIPE: the reader of our output left."""

EXAMPLES = """
# say what happens in a clip
pllava caption clip.mp4
# ask about it
pllava ask clip.mp4 "What is the person holding?"
# see what this machine can run
pllava doctor
"""

app = typer.Typer(
    name="pllava",
    cls=Group,
    epilog=EXAMPLES,
    rich_markup_mode=None,  # plain help: see commands/layout.py
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"pllava {__version__}\n")
        raise typer.Exit


@app.callback()
def pllava(
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version and exit.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    """Caption videos and answer questions about them, on your own machine, with PLLaVA.

    Results go to stdout, everything else to stderr. Exit status: 0 done, 1 unexpected error, 2 usage,
    3 some clips failed, 4 all failed, 5 checkpoint, 6 device or memory, 130 interrupted, 141 output closed,
    143 terminated.
    """


_models = typer.Typer(
    cls=Group,
    epilog=models.EXAMPLES
    + "".join(each.EXAMPLES.lstrip() for each in (pulling, verifying, removing, quantize)),
)
_models.command("list", cls=Command, epilog=models.LIST_EXAMPLES)(models.list_models)
_models.command("show", cls=Command, epilog=models.SHOW_EXAMPLES)(models.show_model)
_models.command("pull", cls=Command, epilog=pulling.EXAMPLES)(pulling.pull_model)
_models.command("verify", cls=Command, epilog=verifying.EXAMPLES)(verifying.verify_model)
_models.command("rm", cls=Command, epilog=removing.EXAMPLES)(removing.remove_model)
_models.command("merge", cls=Command, epilog=models.MERGE_EXAMPLES)(models.merge_model)
_models.command("quantize", cls=Command, epilog=quantize.EXAMPLES)(quantize.quantize_model)

_shapes = typer.Typer(cls=Group, epilog=shapes.MAKE_EXAMPLES)
_shapes.command("make", cls=Command, epilog=shapes.MAKE_EXAMPLES)(shapes.make)

_eval = typer.Typer(cls=Group, epilog=benchmarks.EXAMPLES + judge.EXAMPLES.lstrip())
for _benchmark, _examples in (
    (benchmarks.mvbench, benchmarks.MVBENCH_EXAMPLES),
    (benchmarks.mc, benchmarks.MC_EXAMPLES),
    (benchmarks.vcgbench, benchmarks.VCGBENCH_EXAMPLES),
    (benchmarks.videoqa, benchmarks.VIDEOQA_EXAMPLES),
    (benchmarks.captions, benchmarks.CAPTIONS_EXAMPLES),
    (judge.judge, judge.EXAMPLES),
):
    _eval.command(cls=Command, epilog=_examples)(_benchmark)

app.command("caption", cls=Command, epilog=caption.EXAMPLES)(caption.caption)
app.command("ask", cls=Command, epilog=ask.EXAMPLES)(ask.ask)
app.command("batch", cls=Command, epilog=batch.EXAMPLES)(batch.batch)
app.command("check", cls=Command, epilog=check.EXAMPLES)(check.check)
app.command("merge", cls=Command, epilog=merge.EXAMPLES)(merge.merge)
app.add_typer(_models, name="models", help="List, show, fetch, check, delete, merge and pack checkpoints.")
app.command("train", cls=Command, epilog=train.EXAMPLES)(train.train)
app.add_typer(_eval, name="eval", help="Put benchmarks to a checkpoint, score the answers, compare settings.")
app.add_typer(_shapes, name="shapes", help="Make clips of a small world of coloured shapes.")
app.command("doctor", cls=Command, epilog=doctor.EXAMPLES)(doctor.doctor)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: Its words; None takes the process's own.

    Returns:
        The exit status.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    terminal = Terminal(words=words)
    with _Unwinding(terminal) as signals:
        try:
            try:
                _prepare_streams()
                _check_folder()
                status = _run(terminal, words)
            except Exception as error:
                # What a library makes of an interrupt in the midst of its import is no bug of ours.
                status = _report(terminal, signals.ending or error, words)
        except KeyboardInterrupt:
            status = ExitStatus.INTERRUPTED
        except SystemExit as ending:  # SIGTERM, or completion has answered the shell
            status = int(ending.code or 0)
        return _close(terminal, status)


def _prepare_streams() -> None:
    """Make both streams take any text: what their encoding lacks must not end the run.

    Raises:
        UsageError: If there is no standard output: all that the run would say would be lost.
    """
    lost = sys.stdout is None
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever started us
            setattr(sys, name, open(os.devnull, "w"))  # noqa: PTH123, SIM115 (stays open to the end)
        stream = getattr(sys, name)
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    if lost:
        raise UsageError("standard output is closed", "redirect it to a file, or to /dev/null")


def _check_folder() -> None:
    try:
        Path.cwd()
    except FileNotFoundError:
        raise UsageError("the working directory no longer exists", "change to one that does: cd") from None


def _run(terminal: Terminal, arguments: list[str]) -> int:
    command = typer.main.get_command(app)
    if os.environ.get("_PLLAVA_COMPLETE"):
        command.main(prog_name="pllava")  # answers the shell and exits
    # Not `command.main`, which has its own ideas of errors, interrupts and closed pipes.
    with command.make_context("pllava", arguments, obj=terminal) as root:
        return int(command.invoke(root) or ExitStatus.OK)


def _report(terminal: Terminal, error: BaseException, words: Sequence[str]) -> int:
    """Report what a command raised and return the exit status it leads to."""
    match error:
        case typer.Exit():
            return error.exit_code
        case typer.TyperException():
            path = getattr(getattr(error, "ctx", None), "command_path", "pllava")
            terminal.error(error.format_message(), _dashed_file(words) or f"see `{path} --help`")
            return ExitStatus.USAGE
        case PllavaError():
            terminal.error(error.message, error.hint)
            if terminal.verbose > 1 or _debugging():
                write_stderr(escape_controls(_traceback(error)))
            return error.status
        case OutputClosedError():
            return OUTPUT_CLOSED
        case BrokenPipeError() if is_closed(sys.stdout):  # while help was written
            return OUTPUT_CLOSED
        case OSError(errno=errno.ENOSPC | errno.EDQUOT):
            terminal.error(f"cannot write: {error.strerror}", "free some space")
            return ExitStatus.USAGE
        case Exception() if _is_of_device(error):
            said = str(error).partition("\n")[0]
            failure = DeviceError(f"the device failed: {said}", "the system's log may say why; see also -vv")
            failure.__cause__ = error
            return _report(terminal, failure, words)
        case Exception():
            return _report_bug(terminal, error)
    raise error


def _is_of_device(error: Exception) -> bool:
    """Whether a GPU failed, as one does that is lost or overheats; torch is not imported for it."""
    return isinstance(error, getattr(sys.modules.get("torch"), "AcceleratorError", ()))


def _dashed_file(words: Sequence[str]) -> str:
    """Return a hint if a word that looks like an option is the name of a file."""
    options = takewhile(lambda word: word != "--", words)
    files = (word for word in options if word.startswith("-") and os.path.lexists(word))
    return next((f"to name the file, write ./{word}" for word in files), "")


def _report_bug(terminal: Terminal, error: Exception) -> int:
    """Report what should not have happened in one line, with the traceback out of the way."""
    import tempfile  # only now: its import costs more than the command line's own modules

    text = escape_controls(_traceback(error))
    message = f"unexpected {type(error).__name__}: {error}"
    if terminal.verbose > 1 or _debugging():
        terminal.pause()
        write_stderr(text)
        terminal.error(message)
        return ExitStatus.BUG
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="pllava-", suffix=".txt", delete=False, encoding="utf-8", errors="backslashreplace"
        ) as file:
            file.write(f"pllava {__version__}, Python {sys.version}\n{sys.argv!r}\n\n{text}")
        terminal.error(message, f"this is a bug; the traceback is in {file.name}")
    except OSError:
        write_stderr(text)
        terminal.error(message, "this is a bug")
    return ExitStatus.BUG


def _traceback(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


def _debugging() -> bool:
    return os.environ.get("PLLAVA_DEBUG", "") not in ("", "0")


def _close(terminal: Terminal, status: int) -> int:
    """Leave the terminal clean and everything written."""
    terminal.pause()
    try:
        terminal.end_line()
        sys.stdout.flush()
    except (OutputClosedError, PllavaError, OSError, ValueError) as error:
        # Python flushes once more at exit and would complain: give it somewhere harmless to flush to.
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if status != ExitStatus.OK:
            return status
        if isinstance(error, OutputClosedError | BrokenPipeError):
            return OUTPUT_CLOSED
        terminal.error(f"cannot write the output: {error}")
        return ExitStatus.USAGE
    return status


class _Unwinding(Signals):
    """Makes SIGINT and SIGTERM unwind the run, for as long as it lasts."""

    def __init__(self, terminal: Terminal) -> None:
        super().__init__(self._handle)
        self._terminal = terminal
        self.ending: BaseException | None = None
        """What the first signal raised."""

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if signal.SIGINT in self.before:
            signal.signal(signal.SIGINT, self._end_at_once)
        self.ending = SystemExit(ExitStatus.TERMINATED) if number == signal.SIGTERM else KeyboardInterrupt()
        raise self.ending

    def _end_at_once(self, number: int, frame: FrameType | None) -> None:
        """A second Ctrl-C: wait for nothing more, but leave the terminal usable."""
        self._terminal.abandon()
        os._exit(ExitStatus.INTERRUPTED)
