"""Files of text that users name: opened if they can be read to their end, else refused in the same words.

What a name may lead to besides is told before it is opened: a pipe waits for its writer, a device never
ends. Text of another encoding is told at its first line, not as a thousand bad ones.
"""

import codecs
from collections.abc import Callable, Iterator
from io import BufferedReader
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import BinaryIO

from pllava_cli.errors import UsageError

JSONL = "name a .jsonl file"
"""What to do about most files that are of the wrong kind."""
MAX_LINE_BYTES = 1 << 20
"""Far above any path (4 KiB on Linux) and any question that a checkpoint could take."""
_MARKS = {
    codecs.BOM_UTF32_LE: "UTF-32",  # begins as UTF-16's does, so it is looked for first
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}


def opened(
    path: Path, hint: str = JSONL, *, name: str | None = None, takes: Callable[[int], bool] = S_ISREG
) -> BufferedReader:
    """Open a file that must be there, for reading bytes.

    Args:
        path: The file.
        hint: What to do if it is a directory or of another kind that is not taken.
        name: What messages call it; None: its path as it is.
        takes: Says of a mode, as in `stat`, whether a file of that kind is taken. The default, regular
            files, are those that end and can be read twice.

    Raises:
        UsageError: It is missing, unreadable, or of a kind that is not taken.
    """
    shown = str(path) if name is None else name
    try:
        mode = path.stat().st_mode
        if takes(mode):
            return path.open("rb")
    except (FileNotFoundError, NotADirectoryError):
        raise missing(shown) from None
    except (OSError, ValueError) as error:  # no permission, a loop of links, a NUL byte
        raise unreadable(shown, error) from None
    raise _wrong_kind(shown, mode, hint)


def check_regular(path: Path, hint: str = JSONL) -> bool:
    """Refuse what can hold no lines; says whether there is a file.

    Args:
        path: Need not be there, but its folder must.
        hint: What to do if it is of the wrong kind.

    Raises:
        UsageError: It is a directory, a pipe or a device, or cannot be looked at.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return False
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from None
    if not S_ISREG(mode):
        raise _wrong_kind(path, mode, hint)
    return True


def lines(
    stream: BinaryIO, name: str, nul_hint: str = "name a text file in UTF-8"
) -> Iterator[tuple[int, bytes]]:
    """Yield lines with their numbers from 1, as they arrive, without their ends and the mark of UTF-8.

    They stay bytes, as a file's name may hold any.

    Args:
        stream: Where to read.
        name: What messages call it.
        nul_hint: What to do if it holds NUL bytes.

    Raises:
        UsageError: It is not UTF-8 or ASCII: it has NUL bytes, the mark of another encoding, or no end of
            line.
    """
    number = 0
    try:
        while line := stream.readline(MAX_LINE_BYTES):
            number += 1
            if number == 1:
                check_mark(line, name)
                line = line.removeprefix(codecs.BOM_UTF8)
            if b"\0" in line:
                raise UsageError(f"{name} is not a text file: line {number} holds a NUL byte", nul_hint)
            if len(line) >= MAX_LINE_BYTES:
                raise UsageError(
                    f"{name}, line {number} is longer than {MAX_LINE_BYTES} bytes", "name a text file"
                )
            yield number, line.rstrip(b"\r\n")
    except OSError as error:
        raise unreadable(name, error) from None


def check_mark(head: bytes, name: str | Path) -> None:
    """Refuse text of another encoding by its first bytes.

    Raises:
        UsageError: It begins with the mark of UTF-16 or UTF-32.
    """
    encoding = marked_encoding(head)
    if encoding is not None:
        raise not_text(name, f"it begins with the mark of {encoding}", converting(encoding))


def marked_encoding(head: bytes) -> str | None:
    """Return of which encoding other than UTF-8 a text begins with the mark; None if it does not."""
    return next((encoding for mark, encoding in _MARKS.items() if head.startswith(mark)), None)


def converting(encoding: str) -> str:
    """Return the hint for a text of another encoding."""
    return f"convert it: iconv -f {encoding} -t UTF-8 OLD > NEW"


def not_text(name: str | Path, why: str, hint: str) -> UsageError:
    """Return the error for a file that is no text, or none that is read here."""
    return UsageError(f"{name} is not a text file in UTF-8: {why}", hint)


def missing(name: str | Path) -> UsageError:
    """Return the error for a file that is not there."""
    return UsageError(f"there is no file {name}", "check the name")


def unreadable(name: str | Path, error: Exception) -> UsageError:
    """Return the error for a file that cannot be read."""
    return UsageError(f"cannot read {name}: {reason(error)}", "check the path and its permissions")


def reason(error: Exception) -> str:
    """Return the system's words for what went wrong, to stand after a colon."""
    text = getattr(error, "strerror", None) or str(error)
    return text[:1].lower() + text[1:]


def _wrong_kind(name: str | Path, mode: int, hint: str) -> UsageError:
    return UsageError(f"{name} is {'a directory' if S_ISDIR(mode) else 'not a regular file'}", hint)
