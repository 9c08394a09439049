"""The two Java programs that come with the metrics' library: where they are, and how they are run.

They are run here rather than by the library's own classes: those write into the folder in which the
library is installed, have no time limit, and after a failure wait for each other for ever.
"""

import os
import shutil
import subprocess
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

LIBRARY = "pycocoevalcap"
TOKENIZER_JAR = "tokenizer/stanford-corenlp-3.4.1.jar"
METEOR_JAR = "meteor/meteor-1.5.jar"
SAME_EVERYWHERE = ("-Dfile.encoding=UTF-8", "-Duser.language=en", "-Duser.country=US")
"""Or text and numbers are written as the machine's language has it (Labbeti/aac-metrics#9)."""
TIMEOUT_S = 600.0
"""Tokenising takes seconds, METEOR minutes for tens of thousands of captions."""


class JavaError(Exception):
    """Why a Java program did not do its work."""


def command(jar: str, options: Sequence[str], arguments: Sequence[str]) -> list[str]:
    """Return the command that runs a program.

    Args:
        jar: Which, from the library's folder; it follows `options`.
        options: Of Java, the last says how the jar is taken: `-jar`, or `-cp`.
        arguments: Of the program.

    Raises:
        JavaError: There is no Java, or no such program.
    """
    found = _java()
    if found is None:
        raise JavaError("no Java was found")
    path = library_folder() / jar
    if not path.is_file():
        raise JavaError(f"{path} is not there")
    return [found, *SAME_EVERYWHERE, *options, str(path), *arguments]


def run(words: Sequence[str], text: str) -> str:
    """Run a program over a text.

    Raises:
        JavaError: It cannot be started, fails, or takes too long.
    """
    try:
        done = subprocess.run(words, input=text.encode(), capture_output=True, timeout=TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        raise JavaError(too_long()) from None
    except OSError as error:
        raise JavaError(f"Java could not be started: {error.strerror or error}") from None
    if done.returncode:
        raise JavaError(failure(done.returncode, done.stderr))
    return done.stdout.decode("utf-8", "replace")


def failure(status: int, stderr: bytes) -> str:
    """Say in a line how a program ended."""
    said = stderr.decode("utf-8", "replace").split("\n")
    last = next((line.strip() for line in said if line.strip()), "")
    return f"Java ended with status {status}" + (f": {last[:200]}" if last else "")


def too_long() -> str:
    """Say that a program was given up."""
    return f"Java took longer than {TIMEOUT_S:.0f} s"


def library_folder() -> Path:
    """Where the library is installed.

    Raises:
        JavaError: Nowhere.
    """
    spec = find_spec(LIBRARY)
    folders = list(spec.submodule_search_locations or []) if spec is not None else []
    if not folders:
        raise JavaError(f"{LIBRARY} is not installed")
    return Path(folders[0])


def _java() -> str | None:
    home = os.environ.get("JAVA_HOME")
    own = shutil.which("java", path=str(Path(home, "bin"))) if home else None
    return own or shutil.which("java")
