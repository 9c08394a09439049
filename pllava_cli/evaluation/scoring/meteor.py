"""METEOR, by its authors' own program in Java, as the field's tables have it.

The program answers on its standard output what is written to its standard input, line by line. A line
is written only when the last one was answered: neither side then waits with a full pipe.
"""

import subprocess
import tempfile
import threading
from collections.abc import Iterable, Sequence
from typing import IO

from pllava_cli.evaluation.scoring import java
from pllava_cli.evaluation.scoring.java import JavaError

_MEMORY = "-Xmx2G"
"""As its users run it (tylin/coco-caption): the table of paraphrases takes most of it."""
_ARGUMENTS = ("-", "-", "-stdio", "-l", "en", "-norm")
_BETWEEN = "|||"
_MOST_STDERR_BYTES = 4096


def meteor(references: Sequence[Sequence[str]], captions: Sequence[str]) -> float:
    """Return METEOR 1.5 of captions, 0 to 1, over all of them together.

    Args:
        references: What people say of each clip, tokenised.
        captions: What was said of each, tokenised.

    Raises:
        JavaError: There is no Java, or the program fails or takes too long.
    """
    words = java.command(java.METEOR_JAR, [_MEMORY, "-jar"], _ARGUMENTS)
    with tempfile.TemporaryFile() as stderr:
        try:
            process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr)
        except OSError as error:
            raise JavaError(f"Java could not be started: {error.strerror or error}") from None
        is_given_up = threading.Event()

        def give_up() -> None:
            is_given_up.set()  # first: the end of the program wakes whoever reads what it says
            process.kill()

        limit = threading.Timer(java.TIMEOUT_S, give_up)
        limit.start()
        try:
            assert process.stdin is not None and process.stdout is not None, "both are pipes"
            return _converse(process.stdin, process.stdout, references, captions)
        except (OSError, EOFError):
            status = process.wait()
            if is_given_up.is_set():
                raise JavaError(java.too_long()) from None
            stderr.seek(0)
            raise JavaError(java.failure(status, stderr.read(_MOST_STDERR_BYTES))) from None
        finally:
            limit.cancel()
            process.kill()
            process.communicate()


def _converse(
    to: IO[bytes], back: IO[bytes], references: Sequence[Sequence[str]], captions: Sequence[str]
) -> float:
    """Let the program compare each caption with its references, then sum up.

    Raises:
        OSError, EOFError: It ended.
        JavaError: It answers something else than numbers.
    """
    counted = []
    for people, said in zip(references, captions, strict=True):
        _write(to, ["SCORE", *people, said])
        counted.append(" ".join(str(each) for each in _numbers(back)))
    _write(to, ["EVAL", *counted])
    for _ in captions:
        _numbers(back)  # of each caption
    return _numbers(back)[0]


def _write(to: IO[bytes], fields: Iterable[str]) -> None:
    line = f" {_BETWEEN} ".join(each.replace(_BETWEEN, " ") for each in fields)
    to.write(f"{line}\n".encode())
    to.flush()


def _numbers(back: IO[bytes]) -> list[float]:
    line = back.readline()
    if not line.endswith(b"\n"):
        raise EOFError
    try:
        numbers = [float(each) for each in line.split()]
    except ValueError:
        numbers = []
    if not numbers:
        raise JavaError(f"METEOR answers {line[:80]!r} where numbers belong")
    return numbers
