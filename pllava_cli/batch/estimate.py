"""How long a run will take, estimated from what earlier records of the same model took."""

import json
from dataclasses import asdict
from pathlib import Path

from pllava_cli import records
from pllava_cli.jsonlines import LineError, lines
from pllava_cli.recordfile import parse


def seconds_each(path: Path, model: records.Model) -> float | None:
    """Return the model's mean seconds for a record, from those in a file; None if none tells.

    Args:
        path: A file of records; lines that are none are passed over.
        model: Records of other models, or of the same in another precision, do not count.
    """
    wanted = json.loads(json.dumps(asdict(model)))
    total, count = 0.0, 0
    with path.open("rb") as stream:
        for line in lines(stream):
            try:
                plain = parse(line).plain
            except LineError:
                continue
            spent = plain.get("elapsed_s")
            seconds = spent.get("model") if isinstance(spent, dict) else None
            if plain["status"] == "ok" and plain.get("model") == wanted and isinstance(seconds, float):
                total, count = total + seconds, count + 1
    return total / count if count else None
