"""VATEX's annotations: a list with ten English captions of each clip, and ten Chinese ones beside them.

    [{"videoID": "5-xGskbsBgI_000055_000065", "enCap": ["A young man ...", ...], "chCap": [...]}, ...]

The English ones are read. A clip is ten seconds of a video of YouTube: its `videoID` is YouTube's id and
the start and end in seconds, of six digits each, and so is its file called as Kinetics' downloader cuts it.
The file of the private test set holds no captions.

Source: eric-xw/Video-guided-Machine-Translation (b339d5d), dataloader.py and data/download.sh, by VATEX's
authors; the names of files, activitynet/ActivityNet (31e12d8), Crawler/Kinetics/download.py.
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
    checked_list,
    each,
    plain_name,
)
from pllava_cli.evaluation.reading import EntryError

_ID, _ENGLISH = "videoID", "enCap"


def _is_of(loaded: Loaded) -> bool:
    value = loaded.value
    values = [value] if isinstance(value, dict) else (entry.value for entry in loaded.values)
    return any(isinstance(each, dict) and _ID in each for each in values)


def _entries(loaded: Loaded, file: Path) -> Entries:
    seen: set[str] = set()

    def told(value: Any) -> Told:
        clip = checked_object(value)
        name = plain_name(clip.get(_ID), _ID)
        if name in seen:
            raise EntryError(f"{name!r} is there twice")
        seen.add(name)
        return Told(None, name, checked_list(clip.get(_ENGLISH), _ENGLISH), splits.named(clip))

    return each(loaded.entries(file), told)


VATEX = Layout(_is_of, _entries, f"each entry needs {_ID} and {_ENGLISH}, a list of captions")
