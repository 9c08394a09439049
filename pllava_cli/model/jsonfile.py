"""A checkpoint's JSON files."""

import json
from pathlib import Path
from typing import Any

from pllava_cli.errors import CheckpointError
from pllava_cli.model.tensors import check_readable


def read_json(file: Path) -> dict[str, Any]:
    """A checkpoint's JSON file.

    Raises:
        CheckpointError: It is missing or is no JSON object.
    """
    check_readable(file)
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
