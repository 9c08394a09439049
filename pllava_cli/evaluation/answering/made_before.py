"""Captions that were made before, by `pllava batch` or anything else: scored without a checkpoint.

A caption belongs to the clip that it names: by path, by id, by its file's name, or by that without its
suffix, whichever first tells it from the others.
"""

import os
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pllava_cli.errors import UsageError
from pllava_cli.evaluation.benchmarks.entry import LONGEST_S, checked_object
from pllava_cli.evaluation.benchmarks.json_or_lines import Loaded, Placed, load
from pllava_cli.evaluation.benchmarks.references import MAX_CHARACTERS, NAMES
from pllava_cli.evaluation.items import Benchmark, Fault, Item, Said
from pllava_cli.evaluation.reading import EntryError, shown
from pllava_cli.video.probe import shown_name

IDS = ("id", "image_id", "video_id")
TEXTS = ("text", "caption")
"""Where a caption stands: in a record, and in COCO's form of results."""


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
    span: tuple[Any, ...]
    """The part of the clip that it is about; empty: all of it."""
    timestamps_s: tuple[float, ...]

    @property
    def subject(self) -> str:
        """What a later caption of the same clip has in common with it."""
        return f"path {self.path}" if self.path is not None else f"id {self.ids[0]}"


def said_from(benchmark: Benchmark, file: Path) -> list[Said]:
    """Find a caption for every item of a benchmark.

    Args:
        benchmark: The items.
        file: A file of records, or JSON, or JSON lines, of objects that name a clip (`path`, `video`,
            `id`, `image_id`, ...) and hold its `text` or `caption`; records of answers are captions if the
            question is the benchmark's. Of two about one clip the later counts.

    Returns:
        One for each item, in order; without text, and with the reason, where there is no caption.

    Raises:
        UsageError: The file cannot be read, has no caption of any of the clips, or captions of several
            parts of one.
    """
    loaded = load(file)
    captions, faults = _captions(loaded, file, list(dict.fromkeys(item.prompt for item in benchmark.items)))
    index = _index(captions)
    ways = _ways(benchmark.items)
    said = [_said(item, each, index) for item, each in zip(benchmark.items, ways, strict=True)]
    if all(each is None for each in said):
        why = f": {faults[0].where} {faults[0].message}" if faults and not captions else ""
        raise UsageError(
            f"{shown_name(file)} has no caption of any clip of the benchmark{why}",
            "its entries must name the clips: by path, file name or id",
        )
    return [
        each if each is not None else Said(item, None, f"{shown_name(file.name)} has no caption of it")
        for item, each in zip(benchmark.items, said, strict=True)
    ]


def _captions(loaded: Loaded, file: Path, prompts: Collection[str]) -> tuple[list[Caption], Sequence[Fault]]:
    values = loaded.values
    if isinstance(loaded.value, dict):
        values = [Placed(shown_name(file.name), loaded.value)]
    found: dict[str, Caption] = {}
    faults = list(loaded.faults)
    for placed in values:
        try:
            caption = _caption(placed, prompts)
        except EntryError as error:
            faults.append(Fault(placed.where, str(error)))
            continue
        before = found.get(caption.subject)
        if before is not None and before.span != caption.span:
            named = shown(caption.path or caption.ids[0])
            raise UsageError(
                f"{shown_name(file)} has captions of several parts of {named}",
                "make them of whole clips: without --every and --shots",
            )
        found[caption.subject] = caption
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
    return Caption(placed.where, path, ids, text, error, _span(value), _timestamps(value))


def _text(value: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """The caption of an entry, or why there is none."""
    text = next((value[key] for key in TEXTS if value.get(key) is not None), None)
    if value.get("status") == "error" or text is None:
        error = value.get("error")
        message = error.get("message") if isinstance(error, dict) else None
        return None, message if isinstance(message, str) else "there is no caption"
    if not isinstance(text, str):
        return None, f"its caption is {shown(text)}, not text"
    if len(text) > MAX_CHARACTERS:
        return None, f"its caption is longer than {MAX_CHARACTERS} characters"
    return text, None


def _span(value: Mapping[str, Any]) -> tuple[Any, ...]:
    segment = value.get("segment")
    if not isinstance(segment, dict):
        return ()
    return tuple(segment.get(key) for key in ("start_s", "end_s"))


def _timestamps(value: Mapping[str, Any]) -> tuple[float, ...]:
    frames = value.get("frames")
    times = frames.get("timestamps_s") if isinstance(frames, dict) else None
    listed = times if isinstance(times, list) else []
    return tuple(float(each) for each in listed if isinstance(each, int | float) and abs(each) < LONGEST_S)


Index = Mapping[tuple[str, str], Sequence[Caption]]
"""Captions by how, and by what, they name their clip."""


def _index(captions: Sequence[Caption]) -> Index:
    index: dict[tuple[str, str], list[Caption]] = {}
    for caption in captions:
        for key in dict.fromkeys(_keys(caption)):
            index.setdefault(key, []).append(caption)
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


def _ways(items: Sequence[Item]) -> Iterator[list[tuple[str, str]]]:
    """Yield by what each item's caption may be known, the surest first."""
    names = Counter(item.clip.name for item in items)
    stems = Counter(item.clip.stem for item in items)
    for item in items:
        ways = [("path", _whole(os.fspath(item.clip))), ("id", item.id)]
        # What several items share tells of none of them.
        ways += [("name", item.clip.name)] if names[item.clip.name] == 1 else []
        ways += [("stem", item.clip.stem)] if stems[item.clip.stem] == 1 else []
        yield ways


def _said(item: Item, ways: Sequence[tuple[str, str]], index: Index) -> Said | None:
    """The caption of an item; None if there is none."""
    found = next((index[way] for way in ways if way in index), ())
    if len(found) > 1:
        return Said(item, None, f"two captions may be of it: {found[0].where} and {found[1].where}")
    return next((Said(item, each.text, each.error, each.timestamps_s) for each in found), None)


def _whole(path: str) -> str:
    return os.path.abspath(path)  # noqa: PTH100 (Path.resolve would follow symbolic links)
