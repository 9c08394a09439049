"""ActivityNet Captions: videos, the segments that annotators found in them, and a sentence of each.

    {"v_uqiMw7tQ1Cc": {"duration": 55.15, "timestamps": [[0.28, 55.15], ...], "sentences": [...]}, ...}

The two files of the validation set, val_1.json and val_2.json, are of two annotators who found segments of
their own: the fifth of one file is not that of the other. So one file is read, and every segment of it
stands by itself: captioned from its start to its end, and compared with its one sentence. (Where a file has
the same segment twice, it is one with two sentences.) The challenge scores something else: it compares a
segment that a model has found with the sentences of all that overlap it, in both files.

A video's file is called as the video is here, or by YouTube's id alone, without `v_`: the challenge's own
downloader writes the one and finds both.

Source: ranjaykrishna/densevid_eval (1f0951c), evaluate.py; activitynet/ActivityNet (761a682),
Crawler/run_crosscheck.py.
"""

from functools import partial
from pathlib import Path
from typing import Any

from pllava_cli.evaluation.benchmarks.choices import window
from pllava_cli.evaluation.benchmarks.entry import Entry, checked_object
from pllava_cli.evaluation.benchmarks.json_or_lines import Loaded, Placed
from pllava_cli.evaluation.benchmarks.references.told import (
    Entries,
    Layout,
    Part,
    Told,
    checked_list,
    each,
    plain_name,
)
from pllava_cli.evaluation.reading import EntryError, shown
from pllava_cli.video.probe import shown_name

_TIMES, _SENTENCES = "timestamps", "sentences"
_PREFIX = "v_"


def _is_of(loaded: Loaded) -> bool:
    videos = loaded.value.values() if isinstance(loaded.value, dict) else ()
    return any(isinstance(video, dict) and _TIMES in video for video in videos)


def _entries(loaded: Loaded, file: Path) -> Entries:
    for key, video in loaded.value.items():
        where = f"{shown_name(file.name)}, {shown(key)}"
        try:
            name, segments = plain_name(key, "the video's name"), _segments(video)
        except EntryError as error:
            yield where, error
            continue
        yield from each(
            (Placed(f"{where}, segment {at}", (at, *segment)) for at, segment in enumerate(segments, 1)),
            partial(_told, name),
        )


def _segments(video: Any) -> list[tuple[Any, Any]]:
    """Times and sentences of a video, as they stand there."""
    times, sentences = (checked_list(checked_object(video).get(key), key) for key in (_TIMES, _SENTENCES))
    if len(times) != len(sentences):
        raise EntryError(f"has {len(times)} {_TIMES} and {len(sentences)} {_SENTENCES}")
    if not times:
        raise EntryError("has no segments")
    return list(zip(times, sentences, strict=True))


def _told(name: str, segment: tuple[int, Any, Any]) -> Told:
    number, times, sentence = segment
    bare = name.removeprefix(_PREFIX)
    other_names = (bare,) if bare not in ("", name) else ()
    return Told(f"{name}/{number}", name, [sentence], part=_part(times), other_names=other_names)


def _part(times: Any) -> Part:
    if not isinstance(times, list) or len(times) != 2:
        raise EntryError(f"its times are {shown(times)}, not a start and an end")
    start_s, end_s = window(Entry(1, {"start": times[0], "end": times[1]}))
    if start_s is None or end_s is None:
        raise EntryError(f"has no {'start' if start_s is None else 'end'}")
    return start_s, end_s


ACTIVITYNET = Layout(
    _is_of, _entries, f"each video needs {_TIMES}, each a start and an end, and as many {_SENTENCES}"
)
