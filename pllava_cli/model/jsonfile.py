"""A checkpoint's JSON files, and which of its files can be read at all."""

import json
import os
from pathlib import Path
from typing import Any

from pllava_cli.errors import CheckpointError

MOST_BYTES = 64 << 20
"""Of a file beside the weights: tokenizers of a quarter of a million tokens take half of it."""


def read_json(file: Path) -> dict[str, Any]:
    """A checkpoint's JSON file.

    Raises:
        CheckpointError: It is missing, too large, or no JSON object.
    """
    check_small(file)
    try:
        parsed = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(
            f"{file.parent} has no {file.name}", "give a folder that holds a whole checkpoint"
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{file} cannot be read: {error}", "the file is damaged; get it again"
        ) from error
    if not isinstance(parsed, dict):
        raise CheckpointError(f"{file} is not a JSON object", "the file is damaged; get it again")
    return parsed


def check_small(file: Path) -> None:
    """Refuse a file beside the weights that cannot be read in a moment; it need not be there.

    Raises:
        CheckpointError: It is too large, or as `check_readable` says.
    """
    check_readable(file)
    if file.exists() and file.stat().st_size > MOST_BYTES:
        raise CheckpointError(
            f"{file} is larger than {MOST_BYTES >> 20} MiB", "the file is damaged; get it again"
        )


def check_readable(file: Path) -> None:
    """Tell a file that may not be read from one that is damaged, and from what would never end.

    Raises:
        CheckpointError: The file is there, but closed to this user, or it is a pipe or a device.
    """
    if file.exists() and not os.access(file, os.R_OK):
        raise CheckpointError(f"{file} may not be read by this user", "check its permissions")
    if file.exists() and not file.is_file():
        raise CheckpointError(f"{file} is not a regular file", "get it again")
