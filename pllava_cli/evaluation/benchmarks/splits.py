"""The splits that a file tells apart: training, validation, test and so on.

Who has the clips of one split only is to name it: clips of the others would count as empty captions.
"""

import shlex
from collections.abc import Collection, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from pllava_cli.configfile import suggestion
from pllava_cli.errors import UsageError
from pllava_cli.evaluation.benchmarks.entry import Entry
from pllava_cli.evaluation.items import Benchmark
from pllava_cli.evaluation.reading import EntryError, shown
from pllava_cli.video.probe import shown_name

KEY = "split"
MOST_SHOWN = 8
"""Names in a message: published files have three."""


def named(value: Mapping[str, Any]) -> str | None:
    """Return the split that an entry names; None: it names none, or what cannot be one's name."""
    try:
        return Entry(1, value).label(KEY)
    except EntryError:
        return None


def check(split: str, known: Collection[str], file: Path) -> None:
    """See that a file has a split.

    Raises:
        UsageError: It has not.
    """
    if not known:
        raise UsageError(f"{shown_name(file)} names no splits", "leave --split out")
    if split not in known:
        all_or_some = "its splits are" if len(known) <= MOST_SHOWN else "among its splits are"
        hint = suggestion(split, islice(known, MOST_SHOWN), all_or_some)
        raise UsageError(f"{shown_name(file)} has no split {shown(split)}", hint)


def advice(benchmark: Benchmark, lacking: Collection[str]) -> str | None:
    """Say how to leave out what lacks something, where it may be of a split that is not meant.

    Args:
        benchmark: Of which all splits are asked.
        lacking: Ids of items that lack it.

    Returns:
        Half a sentence; None: nothing lacks it, or there are no splits to choose among.
    """
    found = {item.id: benchmark.splits.get(item.id) for item in benchmark.items}
    names = [each for each in dict.fromkeys(found.values()) if each is not None]
    if not lacking or len(names) < 2:
        return None
    others = {split for id, split in found.items() if id not in lacking}
    if len(others) == 1 and None not in others:
        (split,) = others
        return f"all others are of the split {split}: --split {shlex.quote(str(split))} asks for that alone"
    more = ", ..." if len(names) > MOST_SHOWN else ""
    return f"--split NAME asks for those of one split alone: {', '.join(names[:MOST_SHOWN])}{more}"
