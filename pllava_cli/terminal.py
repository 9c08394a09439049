"""The terminal: data on stdout, everything else on stderr, and what a terminal must never receive.

All output of the commands passes through one `Terminal`, so that quietness, colour, progress, closed
pipes and the escaping of control characters are decided here and nowhere else. File names and the
model's words are not ours: shown raw, they could move the cursor or rewrite the window's title.
"""

import codecs
import json
import os
import re
import select
import sys
from collections.abc import Sequence
from typing import TextIO

from pllava_cli.errors import UsageError
from pllava_cli.progress import Progress, make_progress

_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""C0 but for tab and newline, DEL, C1, line separators, direction overrides, lone surrogates."""

_NOT_ASCII = re.compile("[^\x00-\x7f]+")

_BOLD, _RED, _YELLOW, _RESET = "\x1b[1m", "\x1b[1;31m", "\x1b[33m", "\x1b[0m"


class OutputClosedError(Exception):
    """Whoever read our standard output has gone."""


def escape_controls(text: str) -> str:
    r"""Replace control characters other than tab and newline by `\xNN` or `\uNNNN`.

    A byte of a file name that is not UTF-8, which Python holds as a lone surrogate, becomes `\xNN` too.
    """
    return _CONTROLS.sub(lambda match: _escaped(match[0]), text)


def _escaped(character: str) -> str:
    if "\udc80" <= character <= "\udcff":  # PEP 383
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()


def one_line(text: str) -> str:
    """Escape control characters, newlines too: for names within a message."""
    return escape_controls(text).replace("\n", "\\n").replace("\t", "\\t")


class Terminal:
    """Both output streams of a run, looked up when written to.

    Args:
        quiet: Whether only results and errors are shown.
        verbose: 1 for settings and reasons, 2 for full tracebacks too.
        words: Of the command line, to be said again in hints.
    """

    def __init__(self, quiet: bool = False, verbose: int = 0, words: Sequence[str] = ()) -> None:
        self._mid_line = False
        self.words = words
        self.configure(quiet=quiet, verbose=verbose)

    def configure(self, *, quiet: bool, verbose: int) -> None:
        """Set how much is said, once the command line is known."""
        self.quiet = quiet
        self.verbose = 0 if quiet else verbose
        self._progress: Progress | None = None

    @property
    def progress(self) -> Progress:
        """The display of what is under way; any output takes it off the screen first."""
        if self._progress is None:
            self._progress = make_progress(
                quiet=self.quiet, capable=is_capable(sys.stderr), write=write_stderr
            )
        return self._progress

    def piece(self, text: str) -> None:
        """Write a piece of a result to stdout at once.

        Raises:
            OutputClosedError: If the reader has gone.
            UsageError: If it cannot be written, as on a full disk.
        """
        self.pause()
        self._write(text)

    def _write(self, text: str) -> None:
        if is_terminal(sys.stdout):
            text = escape_controls(text)
        # Noted before it is written: a signal may come in between, and an end of line too many is no harm.
        self._mid_line = not text.endswith("\n") if text else self._mid_line
        try:
            sys.stdout.write(text)
            sys.stdout.flush()
        except OSError as error:
            self._mid_line = False  # nothing more can be written
            if isinstance(error, BrokenPipeError):
                raise OutputClosedError from None
            raise UsageError(
                f"cannot write the output: {error.strerror or error}", "free some space"
            ) from None

    def line(self, text: str = "") -> None:
        """Write a line of a result to stdout."""
        self.piece(text + "\n")

    def json_line(self, text: str) -> None:
        """Write a line of JSON to stdout: in ASCII if the encoding of stdout is not UTF-8.

        What the encoding lacks is else escaped in ways that JSON does not know. A display on stderr stays,
        unless it shares a terminal with stdout.
        """
        encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
        if codecs.lookup(encoding).name != "utf-8":
            text = _NOT_ASCII.sub(lambda match: json.dumps(match[0])[1:-1], text)
        if is_terminal(sys.stdout):
            self.pause()
        self._write(text + "\n")

    def table(self, rows: Sequence[Sequence[str]]) -> None:
        """Write rows to stdout with their columns aligned."""
        if rows:
            widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
            for row in rows:
                self.line(
                    "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
                )

    def end_line(self) -> None:
        """Break off the line of stdout that a piece has left open."""
        if self._mid_line:
            self._mid_line = False
            self.piece("\n")

    def heading(self, text: str) -> None:
        """Name on stderr what the next result belongs to."""
        if not self.quiet:
            self._message(self._styled(f"==> {one_line(text)} <==", _BOLD))

    def note(self, text: str) -> None:
        """Say something on stderr, unless quiet."""
        if not self.quiet:
            self._message(escape_controls(text))

    def detail(self, text: str) -> None:
        """Say something on stderr if verbose."""
        if self.verbose:
            self._message(escape_controls(text))

    def warn(self, text: str) -> None:
        """Warn on stderr, unless quiet."""
        if not self.quiet:
            self._message(f"{self._styled('warning:', _YELLOW)} {one_line(text)}")

    def error(self, message: str, hint: str = "") -> None:
        """Report an error on stderr, in one line and a hint, quiet or not."""
        self._message(f"{self._styled('error:', _RED)} {one_line(message)}")
        if hint:
            self._message(f"{self._styled('hint:', _BOLD)} {one_line(hint)}")

    def ask(self, question: str) -> None:
        """Put a question on stderr, quiet or not; the cursor stays behind it."""
        self.pause()
        write_stderr(one_line(question))

    def can_ask(self) -> bool:
        """Whether somebody is there to be asked."""
        return sys.stdin is not None and is_terminal(sys.stdin) and is_terminal(sys.stderr)

    def agreed(self, question: str) -> bool:
        """Ask somebody; what is no clear yes is a no."""
        self.ask(question + " [y/N] ")
        return sys.stdin.readline().strip().lower() in ("y", "yes")

    def pause(self) -> None:
        """Take the progress display off the screen until it is next updated."""
        if self._progress is not None:
            self._progress.pause()

    def abandon(self) -> None:
        """Leave the screen usable though the run stops in the midst of anything."""
        if self._progress is not None:
            self._progress.abandon()

    def _message(self, text: str) -> None:
        self.pause()
        if self._mid_line and is_terminal(sys.stdout) and is_terminal(sys.stderr):
            self.end_line()
        write_stderr(text + "\n")

    def _styled(self, text: str, style: str) -> str:
        return f"{style}{text}{_RESET}" if is_capable(sys.stderr) and not os.environ.get("NO_COLOR") else text


def write_stderr(text: str) -> None:
    """Write to stderr if anyone still listens."""
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except (OSError, ValueError):  # closed: there is nowhere left to complain
        pass


def is_closed(stream: TextIO) -> bool:
    """Whether whoever read the stream has gone."""
    try:
        poll = select.poll()
        poll.register(stream.fileno(), 0)
        return any(event & select.POLLERR for _, event in poll.poll(0))
    except (OSError, ValueError, AttributeError):  # no file behind it, or no poll on this system
        return False


def is_terminal(stream: TextIO) -> bool:
    """Whether a person looks at the stream."""
    try:
        return stream.isatty()
    except ValueError:  # closed
        return False


def is_capable(stream: TextIO) -> bool:
    """Whether the stream is a terminal that understands colour and cursor movement."""
    return is_terminal(stream) and os.environ.get("TERM", "") not in ("", "dumb")
