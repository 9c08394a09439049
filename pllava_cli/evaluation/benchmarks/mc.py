"""Multiple-choice questions of anyone's own: `mc`.

A file has an object a line (`.jsonl`), or is a list of them (`.json`):

    {"video": "clips/1.mp4", "question": "Which way?", "candidates": ["Up.", "Down."], "answer": "Up."}

`answer` is one of the candidates, or its place among them, from 0. `start` and `end` (seconds) name the
part of the clip that is asked about, `task` the row of the table that the question counts in, `id` how
it is called in reports. Videos are sought from the file's own folder. A folder of such files is a
benchmark too, with a row for each file: so the questions of `pllava shapes make` are read.
"""

import os
from collections.abc import Callable
from pathlib import Path

from pllava_cli.errors import UsageError
from pllava_cli.evaluation.benchmarks.choices import MANNER, Posed, window
from pllava_cli.evaluation.benchmarks.entry import Entry, gather
from pllava_cli.evaluation.items import Benchmark, Fault, Item
from pllava_cli.evaluation.reading import EntryError, is_folder, load_lines, load_list, shown
from pllava_cli.video.probe import shown_name

ALL = "all"
"""The row of questions that name no task."""
SUFFIXES = (".jsonl", ".json")


def read(file: Path) -> Benchmark:
    """Read a file of multiple-choice questions, or a folder of such files.

    Raises:
        UsageError: It cannot be read, or holds no question that can be asked.
    """
    items: list[Item] = []
    faults: list[Fault] = []
    for each, task in _files(file):
        load = load_list if each.suffix.lower() == ".json" else load_lines
        kind = "entry" if load is load_list else "line"
        made, wrong = gather(load(each), f"{shown_name(each.name)}, {kind}", _maker(each, task, items))
        items += made
        faults += wrong
    if not items:
        reason = f": {faults[0].where}: {faults[0].message}" if faults else ""
        raise UsageError(
            f"{shown_name(file)} holds no question that can be asked{reason}",
            "a line is an object with video, question, candidates and answer",
        )
    return Benchmark("mc", items, MANNER, faults)


def _files(file: Path) -> list[tuple[Path, str]]:
    """The files to read, and the row of questions that name no task."""
    if not is_folder(file):
        return [(file, ALL)]
    try:
        files = sorted(each for each in file.iterdir() if each.suffix.lower() in SUFFIXES)
    except OSError as error:
        raise UsageError(f"cannot read {shown_name(file)}: {error.strerror or error}", "check it") from None
    if not files:
        raise UsageError(
            f"there is no .jsonl or .json file in {shown_name(file)}", "name a file of questions"
        )
    return [(each, shown_name(each.stem)) for each in files]


def _maker(file: Path, task: str, before: list[Item]) -> Callable[[Entry], Item]:
    """Return what makes an item of an entry of a file, after those `before`."""
    taken = {item.id for item in before}

    def make(entry: Entry) -> Item:
        posed, part = Posed.of(entry), window(entry)
        name = entry.label("id") if "id" in entry else f"{shown_name(file.stem)}/{entry.number}"
        # Unlike a benchmark from elsewhere, one's own file may name clips anywhere: so do training data.
        clip = Path(os.path.normpath(file.parent / entry.file_name("video")))
        item = posed.item(name, entry.label("task") if "task" in entry else task, clip, part)
        if name in taken:
            raise EntryError(f"has the id {shown(name)}, as another question before it")
        taken.add(name)
        return item

    return make
