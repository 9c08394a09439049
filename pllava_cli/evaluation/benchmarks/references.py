"""What people say of clips, in the forms in which such captions are passed around.

- A list, or an object a line: `{"video": ..., "captions": [...]}`, or `"caption"`; entries of one clip
  add up. `pllava shapes make` writes them as conversations, of which the first answer counts.
- COCO's captions: `images` with `id` and `file_name`, `annotations` with `image_id` and `caption`.
- MSR-VTT's: `videos` and `sentences`, each with `video_id`.

Which it is, the content tells. What cannot be used is named, and the rest is. An entry of a list, a video
and an image may name the `split` it is of, as MSR-VTT's one file for all of them does.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pllava_cli.errors import UsageError
from pllava_cli.evaluation.benchmarks import splits
from pllava_cli.evaluation.benchmarks.entry import Entry, checked_object
from pllava_cli.evaluation.benchmarks.json_or_lines import Placed, load
from pllava_cli.evaluation.items import Fault
from pllava_cli.evaluation.reading import EntryError, shown
from pllava_cli.video.probe import shown_name

NAMES = ("video", "path", "file", "file_name", "video_id")
"""Fields that name a clip's file, with or without its folder and suffix."""
MAX_CHARACTERS = 10_000
"""Of a caption: some five pages. Comparing two texts takes the product of their lengths."""
MAX_NAME_CHARACTERS = 1024
_WORD = re.compile(r"[^\W_]")


@dataclass
class Described:
    """A clip, and what people say of it."""

    id: str
    """Unique in the file: its `id`, or its name."""
    name: str
    """Of its file, as it stands there."""
    captions: list[str]
    where: str
    """The entry that first names it."""
    split: str | None = None
    """That which this entry says it is of."""


def read(file: Path, split: str | None = None) -> tuple[list[Described], list[Fault]]:
    """Read who says what.

    Args:
        file: In one of the forms.
        split: Of this one alone; None: all that is there.

    Returns:
        The clips that have a caption, in the order in which the file names them, and what was left out.

    Raises:
        UsageError: The file cannot be read, has none of the forms, no such split, or nothing in it can be
            used.
    """
    loaded = load(file)
    gathered = _Gathered(loaded.faults, split)
    value = loaded.value
    if isinstance(value, dict) and isinstance(value.get("annotations"), list):
        _read_table(gathered, file, value, ("images", "annotations"), ("id", "image_id"))
    elif isinstance(value, dict) and isinstance(value.get("sentences"), list):
        _read_table(gathered, file, value, ("videos", "sentences"), ("video_id", "video_id"))
    elif isinstance(value, dict):
        gathered.take([Placed(shown_name(file.name), value)], _listed)
    elif value is None or isinstance(value, list):
        gathered.take(loaded.values, _listed)
    else:
        raise UsageError(
            f"{shown_name(file)} holds no captions", "name a list of objects, or COCO's or MSR-VTT's form"
        )
    if split is not None:
        splits.check(split, gathered.splits, file)
    described = gathered.described()
    if not described:
        raise UsageError(
            f"no caption of {shown_name(file)} can be used: {_first(gathered.faults)}",
            'each entry needs a clip and what is said of it: {"video": "a.mp4", "captions": ["..."]}',
        )
    return described, gathered.faults


Told = tuple[str | None, str | None, list[Any], str | None]
"""A clip's id, its name, captions, and the split they are of; None where an entry does not say."""


class _Gathered:
    """Clips as their entries come in."""

    def __init__(self, faults: list[Fault], split: str | None) -> None:
        self.faults = faults
        self.splits: dict[str, None] = {}
        """Those that entries name, in that order."""
        self._wanted = split
        self._by_name: dict[str, Described] = {}
        self._by_id: dict[str, Described] = {}

    def take(self, found: Iterable[Placed], read_one: Callable[[Any], Told]) -> None:
        """Take up entries, and name those that cannot be."""
        for entry in found:
            try:
                self._add(entry.where, *read_one(entry.value))
            except EntryError as error:
                self.faults.append(Fault(entry.where, str(error)))

    def described(self) -> list[Described]:
        """The clips of which anything is said; the others are named."""
        for each in self._by_name.values():
            if not each.captions:
                self.faults.append(Fault(each.where, f"nothing is said of {each.name!r}"))
        return [each for each in self._by_name.values() if each.captions]

    def _add(
        self, where: str, id: str | None, name: str | None, captions: list[Any], split: str | None
    ) -> None:
        if split is not None:
            self.splits[split] = None
        if self._wanted not in (None, split):
            if split is None:
                raise EntryError("names no split")
            return
        clip = self._by_name.get(name) if name is not None else self._known(id)
        if clip is None:
            known_as = id if id is not None else name
            assert known_as is not None, "an entry has the one or the other"
            if known_as in self._by_id:
                raise EntryError(f"{known_as!r} is the id of another clip")
            clip = Described(known_as, name if name is not None else known_as, [], where, split)
            self._by_name[clip.name] = self._by_id[clip.id] = clip
        if id is not None:
            self._by_id.setdefault(id, clip)
        for caption in captions:
            try:
                clip.captions.append(_text(caption))
            except EntryError as error:
                self.faults.append(Fault(where, str(error)))

    def _known(self, id: str | None) -> Described | None:
        """The clip of an entry that has an id only: another's, or a name that stood alone."""
        return None if id is None else self._by_id.get(id) or self._by_name.get(id)


def _listed(value: Any) -> Told:
    """Read an object of a list."""
    checked_object(value)
    if "question" in value:
        raise EntryError("asks a question")
    name = next((_name(value[key], key) for key in NAMES if value.get(key) is not None), None)
    id = _id(value["id"], "id") if value.get("id") is not None else None
    if name is None and id is None:
        raise EntryError(f"names no clip: it has none of {', '.join(NAMES)} and id")
    if name is None:
        _name(id, "id")
    return id, name, _captions(value), splits.named(value)


def _captions(value: dict[str, Any]) -> list[Any]:
    captions = value.get("captions")
    if isinstance(captions, list):
        return captions
    if captions is not None:
        raise EntryError(f"captions is {shown(captions)}, not a list")
    if value.get("caption") is not None:
        return [value["caption"]]
    turns = value.get("conversations")
    if isinstance(turns, list):  # training data: the first answer is what is said of the clip
        answers = [each for each in turns if isinstance(each, dict) and each.get("from") == "gpt"]
        return [each.get("value") for each in answers[:1]]
    raise EntryError("says nothing: it has neither captions nor caption")


def _read_table(
    gathered: _Gathered, file: Path, value: dict[str, Any], parts: tuple[str, str], keys: tuple[str, str]
) -> None:
    """Read clips in one list and sentences in another.

    Args:
        gathered: Where they come together.
        file: For faults.
        value: What the file holds.
        parts: What the two lists are called.
        keys: What a clip's id is called in each.
    """
    clips = value.get(parts[0])
    if not isinstance(clips, list):
        raise UsageError(
            f"{shown_name(file)} has {parts[1]} but no list of {parts[0]}", "name the whole file"
        )
    known: dict[str, str | None] = {}

    def described(value: Any) -> Told:
        id = _field(value, keys[0])
        if id in known:
            raise EntryError(f"{id!r} is there twice")
        named = value.get("file_name")
        name = _name(id, keys[0]) if named is None else _name(named, "file_name")
        known[id] = splits.named(value)
        return id, name, [], known[id]

    def spoken(value: Any) -> Told:
        id = _field(value, keys[1])
        if id not in known:
            raise EntryError(f"{keys[1]} {id!r} is none of the {parts[0]}")
        if "caption" not in value:
            raise EntryError("has no caption")
        return id, None, [value["caption"]], known[id]

    for part, read_one in zip(parts, (described, spoken), strict=True):
        where = f"{shown_name(file.name)}, {part}"
        gathered.take((Placed(f"{where} {at}", each) for at, each in enumerate(value[part], 1)), read_one)


def _field(value: Any, key: str) -> str:
    return _id(checked_object(value).get(key), key)


def _id(value: Any, key: str) -> str:
    """Read what tells clips apart: a word or a number."""
    if value is None:
        raise EntryError(f"has no {key}")
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise EntryError(f"{key} is {shown(value)}, neither text nor a number")
    text = str(value)
    if not text.strip() or len(text) > MAX_NAME_CHARACTERS:
        raise EntryError(f"{key} is empty or longer than {MAX_NAME_CHARACTERS} characters")
    return text


def _name(value: Any, key: str) -> str:
    """Read what may name a file, with or without its suffix."""
    return Entry(1, {key: _id(value, key)}).file_name(key)


def _text(value: Any) -> str:
    """Read a caption: one line of text that holds a word."""
    if not isinstance(value, str):
        raise EntryError(f"a caption is {shown(value)}, not text")
    if len(value) > MAX_CHARACTERS:
        raise EntryError(f"a caption is longer than {MAX_CHARACTERS} characters")
    text = " ".join(value.encode("utf-8", "replace").decode().split())
    if not _WORD.search(text):
        raise EntryError(f"the caption {shown(value)} holds no word")
    return text


def _first(faults: list[Fault]) -> str:
    return f"{faults[0].where}: {faults[0].message}" if faults else "there is none"
