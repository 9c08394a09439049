"""Captions that were made before, by `pllava batch` or anything else: scored without a checkpoint.

A caption belongs to the clip that it names: by path, by id, by its file's name, or by that without its
suffix, whichever first tells it from the others. Where parts of clips are asked about, the caption of a part
names its start and end too, as a record's `segment` does, or is told by its id.
"""

import os
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pllava_cli.errors import UsageError
from pllava_cli.evaluation.answering import recorded
from pllava_cli.evaluation.benchmarks.entry import checked_object
from pllava_cli.evaluation.benchmarks.json_or_lines import Loaded, Placed, load
from pllava_cli.evaluation.benchmarks.references.listed import NAMES
from pllava_cli.evaluation.benchmarks.references.told import MAX_CHARACTERS
from pllava_cli.evaluation.items import Benchmark, Fault, Item, Said
from pllava_cli.evaluation.reading import EntryError, shown
from pllava_cli.video.probe import shown_name

IDS = ("id", "image_id", "video_id")
TEXTS = ("text", "caption")
"""Where a caption stands: in a record, and in COCO's form of results."""

Part = tuple[float | None, ...]
"""Start and end of a part of a clip, in seconds; None: the clip's own."""


@dataclass(frozen=True)
class Caption:
    """What was said of a clip."""

    where: str
    path: str | None
    """The file's name, as the entry gives it."""
    ids: tuple[str, ...]
    text: str | None
    """None: captioning it failed."""
    error: str | None
    span: Part
    """What its entry says of the part that it is about; empty: nothing."""
    timestamps_s: tuple[float, ...]

    @property
    def part(self) -> Part:
        """The part of the clip that it is about; empty: all of it."""
        return () if all(each is None for each in self.span) else self.span

    def subject(self, *, of_parts: bool) -> tuple[str, Part]:
        """What a later caption of the same clip, or of the same part of one, has in common with it."""
        part = self.part if of_parts else ()
        is_by_id = self.path is None or (of_parts and not part and bool(self.ids))
        return f"id {self.ids[0]}" if is_by_id else f"path {self.path}", part


def said_from(benchmark: Benchmark, file: Path) -> list[Said]:
    """Find a caption for every item of a benchmark.

    Args:
        benchmark: The items.
        file: A file of records, or JSON, or JSON lines, of objects that name a clip (`path`, `video`,
            `id`, `image_id`, ...) and hold its `text` or `caption`; records of answers are captions if the
            question is the benchmark's. Of two about one clip, or one part of it, the later counts.

    Returns:
        One for each item, in order; without text, and with the reason, where there is no caption.

    Raises:
        UsageError: The file cannot be read, has no caption of any of the clips, or captions of several
            parts of one of which the whole is asked about.
    """
    of_parts = any(_part_of(item) for item in benchmark.items)
    prompts = list(dict.fromkeys(item.prompt for item in benchmark.items))
    captions, faults = _captions(load(file), file, prompts, of_parts)
    index = _index(captions, of_parts)
    ways = _ways(benchmark)
    said = [_said(item, each, index) for item, each in zip(benchmark.items, ways, strict=True)]
    if all(each is None for each in said):
        why = f": {faults[0].where} {faults[0].message}" if faults and not captions else ""
        raise UsageError(
            f"{shown_name(file)} has no caption of any clip of the benchmark{why}",
            "its entries must name the clips: by path, file name or id"
            + (", and the part, as a record's segment has it" if of_parts else ""),
        )
    return [
        each if each is not None else Said(item, None, f"{shown_name(file.name)} has no caption of it")
        for item, each in zip(benchmark.items, said, strict=True)
    ]


def _captions(
    loaded: Loaded, file: Path, prompts: Collection[str], of_parts: bool
) -> tuple[list[Caption], Sequence[Fault]]:
    found: dict[tuple[str, Part], Caption] = {}
    faults = list(loaded.faults)
    for placed in loaded.entries(file):
        try:
            caption = _caption(placed, prompts)
        except EntryError as error:
            faults.append(Fault(placed.where, str(error)))
            continue
        key = caption.subject(of_parts=of_parts)
        before = found.get(key)
        if before is not None and before.span != caption.span and not of_parts:
            named = shown(caption.path or caption.ids[0])
            raise UsageError(
                f"{shown_name(file)} has captions of several parts of {named}",
                "make them of whole clips: without --every and --shots",
            )
        found[key] = caption
    return list(found.values()), faults


def _caption(placed: Placed, prompts: Collection[str]) -> Caption:
    value = checked_object(placed.value)
    # `pllava eval captions` asks for its captions as for any answer: by the question they are told.
    if value.get("task", "caption") != "caption" and value.get("question") not in prompts:
        raise EntryError("is no caption but an answer")
    path = next((value[key] for key in NAMES if isinstance(value.get(key), str)), None)
    ids = tuple(str(value[key]) for key in IDS if isinstance(value.get(key), str | int))
    if path is None and not ids:
        raise EntryError(f"names no clip: it has none of {', '.join((*NAMES, *IDS))}")
    text, error = _text(value)
    return Caption(placed.where, path, ids, text, error, _span(value), recorded.timestamps_s(value))


def _text(value: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """The caption of an entry, or why there is none."""
    text = next((value[key] for key in TEXTS if value.get(key) is not None), None)
    if value.get("status") == "error" or text is None:
        return None, recorded.error_message(value) or "there is no caption"
    if not isinstance(text, str):
        return None, f"its caption is {shown(text)}, not text"
    if len(text) > MAX_CHARACTERS:
        return None, f"its caption is longer than {MAX_CHARACTERS} characters"
    return text, None


def _span(value: Mapping[str, Any]) -> Part:
    segment = value.get("segment")
    if not isinstance(segment, dict):
        return ()
    times = (segment.get(key) for key in ("start_s", "end_s"))
    return tuple(each if isinstance(each, int | float) else None for each in times)


Way = tuple[str, str, Part]
"""How, and by what, a clip is named, and which part of it; empty: all of it, or that is not looked at."""
Index = Mapping[Way, Sequence[Caption]]


def _index(captions: Sequence[Caption], of_parts: bool) -> Index:
    index: dict[Way, list[Caption]] = {}
    for caption in captions:
        part = caption.part if of_parts else ()
        for how, name in dict.fromkeys(_keys(caption)):
            index.setdefault((how, name, part), []).append(caption)
    return index


def _keys(caption: Caption) -> Iterator[tuple[str, str]]:
    names = [*caption.ids] if caption.path is None else [caption.path, *caption.ids]
    for name in names:
        yield "id", name
    if caption.path is not None:
        yield "path", _whole(caption.path)
        yield "name", Path(caption.path).name
        yield "stem", Path(caption.path).stem
    else:
        for name in caption.ids:
            yield "name", name
            yield "stem", name


def _ways(benchmark: Benchmark) -> Iterator[list[Way]]:
    """Yield by what each item's caption may be known, the surest first."""
    shared = [list(_shared(item, benchmark.clip_names.get(item.id, ()))) for item in benchmark.items]
    counts = Counter(way for ways in shared for way in ways)
    for item, ways in zip(benchmark.items, shared, strict=True):
        part = _part_of(item)
        sure: list[Way] = [("path", _whole(os.fspath(item.clip)), part), ("id", item.id, part)]
        if part:
            sure.append(("id", item.id, ()))
        # What several items share tells of none of them.
        yield sure + [way for way in ways if counts[way] == 1]


def _shared(item: Item, other_names: Sequence[str]) -> Iterator[Way]:
    """Yield what may tell of an item's clip, and of those in other folders."""
    part = _part_of(item)
    yield "name", item.clip.name, part
    for stem in dict.fromkeys((item.clip.stem, *other_names)):
        yield "stem", stem, part


def _part_of(item: Item) -> Part:
    return () if item.start_s is None and item.end_s is None else (item.start_s, item.end_s)


def _said(item: Item, ways: Sequence[Way], index: Index) -> Said | None:
    """The caption of an item; None if there is none."""
    found = next((index[way] for way in ways if way in index), None)
    if found is None:
        return None
    first, *others = found
    if others:
        return Said(item, None, f"two captions may be of it: {first.where} and {others[0].where}")
    is_of_part = bool(first.part) and not _part_of(item)
    return Said(item, first.text, first.error, first.timestamps_s, is_of_part)


def _whole(path: str) -> str:
    return os.path.abspath(path)  # noqa: PTH100 (Path.resolve would follow symbolic links)
