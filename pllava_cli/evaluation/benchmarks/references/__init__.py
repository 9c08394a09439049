"""What people say of clips, in the forms in which such captions are published and passed around.

- plain objects, in a list or one a line: `{"video": ..., "captions": [...]}`   (`listed`)
- COCO's captions and MSR-VTT's, two lists that belong together                   (`tables`)
- Karpathy's splits of COCO and Flickr: images, each with its sentences           (`karpathy`)
- VATEX's: a list of clips with `videoID` and `enCap`                             (`vatex`)
- ActivityNet Captions': segments of videos, each with a sentence                 (`activitynet`)
- MSVD's text: a clip's name and a sentence a line                                (`msvd`)
- MSVD's table, with columns for the clip and a sentence                          (`msvd_csv`)

Which it is, the content tells, never the file's name. What cannot be used is named, and the rest is.
"""

from pathlib import Path

from pllava_cli.errors import UsageError
from pllava_cli.evaluation.benchmarks import splits
from pllava_cli.evaluation.benchmarks.json_or_lines import load
from pllava_cli.evaluation.benchmarks.references import msvd, msvd_csv
from pllava_cli.evaluation.benchmarks.references.activitynet import ACTIVITYNET
from pllava_cli.evaluation.benchmarks.references.gathered import Described, Gathered
from pllava_cli.evaluation.benchmarks.references.karpathy import KARPATHY
from pllava_cli.evaluation.benchmarks.references.listed import LISTED
from pllava_cli.evaluation.benchmarks.references.tables import COCO, MSRVTT
from pllava_cli.evaluation.benchmarks.references.told import Entries
from pllava_cli.evaluation.benchmarks.references.vatex import VATEX
from pllava_cli.evaluation.items import Fault
from pllava_cli.video.probe import shown_name

LAYOUTS = (COCO, MSRVTT, KARPATHY, ACTIVITYNET, VATEX, LISTED)
"""Of JSON, the surer to be told first: any list may be one of plain objects."""
KNOWN = (
    "name a list of objects with video and captions, or the file of captions of COCO, MSR-VTT, VATEX,"
    " ActivityNet Captions, MSVD or Karpathy's splits"
)


def read(file: Path, split: str | None = None) -> tuple[list[Described], list[Fault]]:
    """Read who says what.

    Args:
        file: In one of the forms.
        split: Of this one alone; None: all that is there.

    Returns:
        The clips, or the parts of clips, that have a caption, in the order in which the file names them,
        and what was left out.

    Raises:
        UsageError: The file cannot be read, has none of the forms, no such split, or nothing in it can be
            used.
    """
    entries, faults, hint = _opened(file)
    gathered = Gathered(faults, split)
    gathered.take(entries)
    if split is not None:
        splits.check(split, gathered.splits, file)
    described = gathered.described()
    if not described:
        raise UsageError(f"no caption of {shown_name(file)} can be used: {_first(faults)}", hint)
    return described, faults


def _opened(file: Path) -> tuple[Entries, list[Fault], str]:
    """The entries of a file, what of it is none, and what entries of its form must hold."""
    for form in (msvd, msvd_csv):
        if form.is_one(file):
            return form.entries(file), [], form.HINT
    loaded = load(file)
    layout = next((each for each in LAYOUTS if each.is_of(loaded)), None)
    if layout is None:
        raise UsageError(f"{shown_name(file)} holds no captions in a form that is known", KNOWN)
    return layout.entries(loaded, file), loaded.faults, layout.hint


def _first(faults: list[Fault]) -> str:
    return f"{faults[0].where}: {faults[0].message}" if faults else "there is none"


__all__ = ["KNOWN", "LAYOUTS", "Described", "read"]
