"""Files of a report: each appears whole, or what was there stays."""

from collections.abc import Mapping
from pathlib import Path

from pllava_cli.batch.disk import replacing
from pllava_cli.errors import UsageError
from pllava_cli.textfile import reason

ELSEWHERE = "name another folder with -o"


def save(folder: Path, contents: Mapping[str, str | bytes]) -> None:
    """Write files into a folder, which is made if need be.

    Raises:
        UsageError: The folder or a file cannot be written, as on a full disk; what was there stays.
    """
    raw = {name: each if isinstance(each, bytes) else each.encode() for name, each in contents.items()}
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:  # a NUL byte
        raise UsageError(f"cannot make the folder {folder}: {reason(error)}", ELSEWHERE) from None
    for name, content in raw.items():
        with replacing(folder / name) as stream:
            stream.write(content)
