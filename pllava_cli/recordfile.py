"""Files of records as they are read: line by line, and what each line is.

A line that is no record is an error with its reason; what becomes of it is the reader's decision. A run
that writes refuses the file, `pllava check` tells of the line.
"""

import json
from dataclasses import dataclass
from typing import Any

from pllava_cli.jsonlines import Line, LineError, value
from pllava_cli.recordkey import Key
from pllava_cli.records import SCHEMA

HEAD = json.dumps({"schema": SCHEMA}, separators=(",", ":"))[:-1].encode() + b","
"""How every line begins that `records.to_json_line` has made."""
_FAMILY = SCHEMA.rpartition("/")[0] + "/"


@dataclass(frozen=True, slots=True)
class Parsed:
    """A record as it stands in a file."""

    plain: dict[str, Any]
    key: Key


def is_record(value: Any) -> bool:
    """Whether a value is a record by what it says of itself, of this schema or another one."""
    return isinstance(value, dict) and str(value.get("schema")).startswith(_FAMILY)


def parse(line: Line) -> Parsed:
    """Read a line.

    Raises:
        LineError: It is no record of this schema.
    """
    plain = value(line)
    if not is_record(plain):
        raise LineError("not a record of pllava")
    if plain["schema"] != SCHEMA:
        raise LineError(f"of the schema {plain['schema']!r:.60}, which this version does not know")
    try:
        if plain["status"] not in ("ok", "error") or not isinstance(plain["id"], str):
            raise ValueError
        return Parsed(plain, Key.read(plain))
    except (KeyError, TypeError, ValueError, OverflowError):
        raise LineError("a record that lacks fields, or has something else in them") from None
