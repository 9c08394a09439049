"""Multiple-choice questions of anyone's own: `mc`, and what it shares with MVBench.

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
from string import ascii_uppercase

from pllava_cli.errors import UsageError
from pllava_cli.evaluation.items import Benchmark, Fault, Item, Manner
from pllava_cli.evaluation.reading import Entry, EntryError, gather, is_folder, load_lines, load_list, shown
from pllava_cli.multiple_choice import REPLY_START, as_prompt
from pllava_cli.video.probe import shown_name

SYSTEM = (
    "This video comes with a question and a few answers, one of which is right. "
    "See what happens, what comes before what and why, how each thing looks and where it goes, "
    "and what everyone does and how they hold themselves. Answer with the option that the video bears out."
)
"""System text of multiple choice unless the user gives another."""
MANNER = Manner(SYSTEM, answer_start=REPLY_START)
"""Source of everything but the words: magic-research/PLLaVA (6f49fd2), tasks/eval/mvbench."""
ALL = "all"
"""The row of questions that name no task."""
MOST_CANDIDATES = len(ascii_uppercase)
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


def posed(entry: Entry, *, may_repeat: bool = False) -> tuple[str, tuple[str, ...], str]:
    """Return a question, what may be chosen, and which of that is right.

    Args:
        entry: It.
        may_repeat: Whether two candidates may be the same: then the choice of either is right.

    Raises:
        EntryError: Something of it is missing or wrong.
    """
    question, candidates = entry.text("question"), entry.texts("candidates")
    if not 2 <= len(candidates) <= MOST_CANDIDATES:
        raise EntryError(f"has {len(candidates)} candidates; 2 to {MOST_CANDIDATES} have letters")
    if len(set(candidates)) < len(candidates) and not may_repeat:
        twice = next(each for each in candidates if candidates.count(each) > 1)
        raise EntryError(f"has the candidate {shown(twice)} twice")
    answer = entry.value("answer")
    if isinstance(answer, int) and not isinstance(answer, bool):
        if not 0 <= answer < len(candidates):
            raise EntryError(
                f"answer is {answer}; the candidates are counted from 0 to {len(candidates) - 1}"
            )
        return question, candidates, candidates[answer]
    answer = entry.text("answer")
    if answer not in candidates:
        raise EntryError(f"answer is {shown(answer)}, which is not among the candidates")
    return question, candidates, answer


def window(entry: Entry) -> tuple[float | None, float | None]:
    """Return the part of the clip that is asked about, in seconds; None: its beginning, its end.

    Raises:
        EntryError: It is none.
    """
    start_s = entry.seconds("start") if "start" in entry else None
    end_s = entry.seconds("end") if "end" in entry else None
    if end_s is not None and end_s <= (start_s or 0.0):
        raise EntryError(f"ends at {end_s:g} s, which is not after its start at {start_s or 0.0:g} s")
    return start_s, end_s


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
        question, candidates, answer = posed(entry)
        start_s, end_s = window(entry)
        name = entry.label("id") if "id" in entry else f"{shown_name(file.stem)}/{entry.number}"
        # Unlike a benchmark from elsewhere, one's own file may name clips anywhere: so do training data.
        clip = Path(os.path.normpath(file.parent / entry.file_name("video")))
        item = Item(
            id=name,
            group=entry.label("task") if "task" in entry else task,
            clip=clip,
            question=question,
            answer=answer,
            prompt=as_prompt(question, candidates),
            candidates=candidates,
            start_s=start_s,
            end_s=end_s,
        )
        if name in taken:
            raise EntryError(f"has the id {shown(name)}, as another question before it")
        taken.add(name)
        return item

    return make
