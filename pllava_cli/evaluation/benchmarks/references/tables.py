"""Two lists, one of clips and one of sentences that name them by id: COCO's captions and MSR-VTT's.

- COCO's: `images` with `id` and `file_name`, `annotations` with `image_id` and `caption`.
- MSR-VTT's: `videos` and `sentences`, each with `video_id`.

A video and an image may name the `split` it is of, as MSR-VTT's one file for all of them does.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pllava_cli.errors import UsageError
from pllava_cli.evaluation.benchmarks import splits
from pllava_cli.evaluation.benchmarks.entry import checked_object
from pllava_cli.evaluation.benchmarks.json_or_lines import Loaded, Placed
from pllava_cli.evaluation.benchmarks.references.told import (
    Entries,
    Layout,
    Told,
    checked_id,
    checked_name,
    each,
)
from pllava_cli.evaluation.reading import EntryError
from pllava_cli.video.probe import shown_name


@dataclass(frozen=True)
class _Table:
    """Clips in one list and sentences in another."""

    clips: str
    """What the two lists are called."""
    sentences: str
    clip_key: str
    """What a clip's id is called in each."""
    sentence_key: str

    def is_of(self, loaded: Loaded) -> bool:
        return isinstance(loaded.value, dict) and isinstance(loaded.value.get(self.sentences), list)

    def entries(self, loaded: Loaded, file: Path) -> Entries:
        clips = loaded.value.get(self.clips)
        if not isinstance(clips, list):
            raise UsageError(
                f"{shown_name(file)} has {self.sentences} but no list of {self.clips}", "name the whole file"
            )
        reader = _Reader(self)
        yield from each(_placed(file, self.clips, clips), reader.described)
        yield from each(_placed(file, self.sentences, loaded.value[self.sentences]), reader.spoken)

    @property
    def layout(self) -> Layout:
        return Layout(
            self.is_of,
            self.entries,
            f"each of the {self.clips} needs its {self.clip_key}, and each of the {self.sentences} the"
            f" {self.sentence_key} and the caption",
        )


@dataclass(frozen=True)
class _Reader:
    """Reads both lists, the clips first."""

    table: _Table
    splits: dict[str, str | None] = field(default_factory=dict)
    """Of the clips that there are, by id."""

    def described(self, value: Any) -> Told:
        id = _field(value, self.table.clip_key)
        if id in self.splits:
            raise EntryError(f"{id!r} is there twice")
        named = value.get("file_name")
        key = self.table.clip_key if named is None else "file_name"
        name = checked_name(id if named is None else named, key)
        self.splits[id] = splits.named(value)
        return Told(id, name, [], self.splits[id])

    def spoken(self, value: Any) -> Told:
        id = _field(value, self.table.sentence_key)
        if id not in self.splits:
            raise EntryError(f"{self.table.sentence_key} {id!r} is none of the {self.table.clips}")
        if "caption" not in value:
            raise EntryError("has no caption")
        return Told(id, None, [value["caption"]], self.splits[id])


def _placed(file: Path, part: str, values: list[Any]) -> Iterator[Placed]:
    where = f"{shown_name(file.name)}, {part}"
    return (Placed(f"{where} {at}", value) for at, value in enumerate(values, 1))


def _field(value: Any, key: str) -> str:
    return checked_id(checked_object(value).get(key), key)


COCO = _Table("images", "annotations", "id", "image_id").layout
MSRVTT = _Table("videos", "sentences", "video_id", "video_id").layout
