"""Plain objects, in a list or one a line: `{"video": ..., "captions": [...]}`, or `"caption"`.

Entries of one clip add up. `pllava shapes make` writes them as conversations, of which the first answer
counts. An entry may name the `split` it is of.
"""

from pathlib import Path
from typing import Any

from pllava_cli.evaluation.benchmarks import splits
from pllava_cli.evaluation.benchmarks.entry import checked_object
from pllava_cli.evaluation.benchmarks.json_or_lines import Loaded
from pllava_cli.evaluation.benchmarks.references.told import (
    Entries,
    Layout,
    Told,
    checked_id,
    checked_list,
    checked_name,
    each,
)
from pllava_cli.evaluation.reading import EntryError

NAMES = ("video", "path", "file", "file_name", "video_id")
"""Fields that name a clip's file, with or without its folder and suffix."""
_CAPTIONS = ("captions", "caption", "conversations")


def _is_of(loaded: Loaded) -> bool:
    value = loaded.value
    if isinstance(value, dict):
        return any(key in value for key in (*NAMES, "id", *_CAPTIONS))
    return value is None or isinstance(value, list)


def _entries(loaded: Loaded, file: Path) -> Entries:
    return each(loaded.entries(file), _told)


def _told(value: Any) -> Told:
    checked_object(value)
    if "question" in value:
        raise EntryError("asks a question")
    name = next((checked_name(value[key], key) for key in NAMES if value.get(key) is not None), None)
    id = checked_id(value["id"], "id") if value.get("id") is not None else None
    if name is None and id is None:
        raise EntryError(f"names no clip: it has none of {', '.join(NAMES)} and id")
    if name is None:
        checked_name(id, "id")
    return Told(id, name, _captions(value), splits.named(value))


def _captions(value: dict[str, Any]) -> list[Any]:
    if value.get("captions") is not None:
        return checked_list(value["captions"], "captions")
    if value.get("caption") is not None:
        return [value["caption"]]
    turns = value.get("conversations")
    if isinstance(turns, list):  # training data: the first answer is what is said of the clip
        answers = [each for each in turns if isinstance(each, dict) and each.get("from") == "gpt"]
        return [each.get("value") for each in answers[:1]]
    raise EntryError("says nothing: it has neither captions nor caption")


LISTED = Layout(
    _is_of,
    _entries,
    'each entry needs a clip and what is said of it: {"video": "a.mp4", "captions": ["..."]}',
)
