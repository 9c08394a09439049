"""The Video-ChatGPT benchmark, as PLLaVA's paper reports it: open questions about 500 clips.

    DATA/Zero_Shot_QA/Benchmarking_QA/generic_qa.json, temporal_qa.json, consistency_qa.json
    DATA/Videos/Benchmarking/v_XXXXXXXXXXX.mp4

The answers are for a judge to score; see `scoring.vcgbench`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pllava_cli.errors import UsageError
from pllava_cli.evaluation.benchmarks.clips import PublishedVideos
from pllava_cli.evaluation.benchmarks.entry import Entry, gather
from pllava_cli.evaluation.items import Benchmark, Fault, Item, Manner
from pllava_cli.evaluation.reading import check_folder, is_there, load_list
from pllava_cli.video.probe import shown_name

NAME = "vcgbench"
SYSTEM = (
    "You have watched a video through frames taken over its whole length. Answer what you are asked about "
    "it: who and what is to be seen, what is done, in which order, and how it all looks. "
    "Be definite where the video is, and say nothing that it does not show."
)
"""System text of this benchmark unless the user gives another."""
MANNER = Manner(SYSTEM)
"""Source of everything but the words: magic-research/PLLaVA (6f49fd2), tasks/eval/vcgbench."""


@dataclass(frozen=True)
class Dimension:
    """What an answer is judged in."""

    name: str
    instruction: str
    """Of `judging.instructions.PLACEHOLDERS`."""
    part: str
    """Whose answers are judged in it: the file's name before `_qa.json`, and the group of its items."""


GENERIC, TEMPORAL, CONSISTENCY = "generic", "temporal", "consistency"
PARTS = (GENERIC, TEMPORAL, CONSISTENCY)
DIMENSIONS = (
    Dimension("correctness of information", "correctness", GENERIC),
    Dimension("detail orientation", "detail", GENERIC),
    Dimension("contextual understanding", "context", GENERIC),
    Dimension("temporal understanding", "temporal", TEMPORAL),
    Dimension("consistency", "consistency", CONSISTENCY),
)
"""In the order of the paper's table 2: CI, DO, CU, TU, CO."""

_ROOTS = ("", "VCGBench", "DATAS/VCGBench")
_QUESTIONS = ("Zero_Shot_QA/Benchmarking_QA", "Benchmarking_QA", "")
_VIDEOS = ("Videos/Benchmarking", "Videos", "Test_Videos")
_SUFFIXES = (".mp4", ".mkv", ".avi", ".mov", ".webm")
_LAYOUT = (
    "DATA holds Zero_Shot_QA/Benchmarking_QA/ with generic_qa.json, temporal_qa.json and "
    "consistency_qa.json, and the clips in Videos/Benchmarking/"
)


def read(data: Path) -> Benchmark:
    """Read the benchmark.

    Args:
        data: The folder that holds Zero_Shot_QA/ and Videos/, or one that holds it as VCGBench/ or
            DATAS/VCGBench/; the three files may also lie in it directly.

    Raises:
        UsageError: None of the three files is there, or there is no question that can be asked.
    """
    root, questions = _places(data)
    videos = PublishedVideos(root, _VIDEOS, _SUFFIXES)
    items: list[Item] = []
    faults: list[Fault] = []
    for part in PARTS:
        made, wrong = _read_part(questions, part, videos)
        items += made
        faults += wrong
    if not items:
        raise UsageError(
            f"no question in {shown_name(questions)} can be asked"
            + (f": {faults[0].where} {faults[0].message}" if faults else ""),
            _LAYOUT,
        )
    return Benchmark(NAME, items, MANNER, [*faults, *videos.faults()])


def _places(data: Path) -> tuple[Path, Path]:
    """Return the benchmark's folder, and the one that holds its questions."""
    for root in _ROOTS:
        for below in _QUESTIONS:
            folder = data / root / below
            if any(is_there(folder / _file(part)) for part in PARTS):
                return data / root, folder
    check_folder(data, _LAYOUT)
    raise UsageError(f"{shown_name(data)} holds none of the files of the Video-ChatGPT benchmark", _LAYOUT)


def _file(part: str) -> str:
    return f"{part}_qa.json"


def _read_part(folder: Path, part: str, videos: PublishedVideos) -> tuple[list[Item], list[Fault]]:
    name = _file(part)
    try:
        values = load_list(folder / name)
    except UsageError as error:
        lost = ", ".join(each.name for each in DIMENSIONS if each.part == part)
        return [], [Fault(name, f"cannot be read, so {lost} cannot be judged: {error.message}")]
    made, faults = gather(values, f"{name}, entry", lambda entry: list(_items(part, entry, videos)))
    return [item for items in made for item in items], faults


def _items(part: str, entry: Entry, videos: PublishedVideos) -> Iterator[Item]:
    clip, answer = videos.clip(entry), entry.text("A")
    keys = {"Q1": "/1", "Q2": "/2"} if part == CONSISTENCY else {"Q": ""}
    for key, ending in keys.items():
        question = entry.text(key)
        yield Item(f"{part}/{entry.number}{ending}", part, clip, question, answer, prompt=question)


def entry_of(item: Item) -> str:
    """Return the entry that an item is of: those of consistency are two of one."""
    return item.id.rpartition("/")[0] if item.group == CONSISTENCY else item.id
