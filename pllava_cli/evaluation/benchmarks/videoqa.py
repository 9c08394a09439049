"""Open-ended questions about videos, answered in a word or two: MSVD-QA, MSRVTT-QA, ActivityNet-QA, TGIF-QA.

    DATA/MSVD_Zero_Shot_QA/test_q.json, test_a.json
    DATA/MSVD_Zero_Shot_QA/videos/XXXXX.avi

How answers are scored, by a judge or without one, stands in `scoring.videoqa`.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pllava_cli.configfile import suggestion
from pllava_cli.errors import UsageError
from pllava_cli.evaluation.benchmarks.clips import PublishedVideos
from pllava_cli.evaluation.benchmarks.entry import Entry, gather
from pllava_cli.evaluation.benchmarks.questionsets import SETS, QuestionSet
from pllava_cli.evaluation.items import Benchmark, Item, Manner
from pllava_cli.evaluation.reading import EntryError, check_folder, is_folder, is_there, load_list, shown
from pllava_cli.phrases import counted
from pllava_cli.prompts import check_text
from pllava_cli.video.probe import shown_name

INSTRUCTION = (
    "The frames above were taken from one video, from its first moment to its last, and stand in their "
    "order. Answer the question from what they show, as briefly as it allows.\n"
    "Question: {question} \n"
)
"""What a checkpoint is told with each question unless the user gives another text that holds `{question}`.

The space before the line's end is as magic-research/PLLaVA (6f49fd2) puts these questions."""
QUESTION = "{question}"
MANNER = Manner("", answer_start="\nAnswer: In the video,", is_inline=True)
"""Kept verbatim, for a score depends on it: the reference makes every reply begin with these words
(magic-research/PLLaVA 6f49fd2, the video question answering templates of tasks/eval)."""

_ROOTS = ("", "VideoQA", "DATAS/VideoQA")
_QUESTIONS, _ANSWERS = "test_q.json", "test_a.json"
_ID = "question_id"


def read(data: Path, which: str, instruction: str | None = None) -> Benchmark:
    """Read one of the sets.

    Args:
        data: The set's own folder, with test_q.json and test_a.json, or one that holds it under its
            published name, itself or in VideoQA/ or DATAS/VideoQA/.
        which: `msvd`, `msrvtt`, `activitynet` or `tgif`.
        instruction: What is said with each question, `{question}` standing for it: by this the wording
            that published figures were made with can be used, which is not this project's. None: ours.

    Raises:
        UsageError: There is no such set, its files are missing or of different length, no question can be
            asked, or the instruction has no place for one.
    """
    chosen = SETS.get(which)
    if chosen is None:
        raise UsageError(
            f"there is no question set {shown_name(which)}", suggestion(which, SETS, "the sets are")
        )
    instruction = INSTRUCTION if instruction is None else instruction
    if QUESTION not in instruction:
        raise UsageError(
            f"the instruction has no place for the question: it lacks {QUESTION}", f"write {QUESTION} in it"
        )
    check_text(instruction, "the instruction")
    root = _root(data, chosen)
    videos = PublishedVideos(root, chosen.videos, chosen.suffixes, chosen.prefixes)
    values = _joined(list(load_list(root / _QUESTIONS)), list(load_list(root / _ANSWERS)), root)

    def make(entry: Entry) -> Item:
        question, answer = entry.text("question"), _answer(entry)
        prompt = instruction.replace(QUESTION, question)
        return Item(f"{which}/{entry.number}", which, videos.clip(entry), question, answer, prompt)

    items, faults = gather(values, f"{_QUESTIONS}, entry", make)
    if not items:
        reason = f": {faults[0].where} {faults[0].message}" if faults else ""
        raise UsageError(
            f"no question of {chosen.title} in {shown_name(root)} can be asked{reason}", _layout(chosen)
        )
    return Benchmark(f"videoqa-{which}", items, MANNER, [*faults, *videos.faults()])


def _layout(chosen: QuestionSet) -> str:
    return (
        f"DATA holds {chosen.folders[0]}/ with {_QUESTIONS}, {_ANSWERS} and the clips in {chosen.videos[0]}/"
    )


def _root(data: Path, chosen: QuestionSet) -> Path:
    below = [Path(root, folder) for root in _ROOTS for folder in chosen.folders]
    for folder in (data, *(data / each for each in below)):
        if is_folder(folder) and is_there(folder / _QUESTIONS):
            break
    else:
        check_folder(data, _layout(chosen))
        raise UsageError(f"{shown_name(data)} does not hold {chosen.title}", _layout(chosen))
    other = next((each for each in SETS.values() if each != chosen and folder.name in each.folders), None)
    if other is not None:
        raise UsageError(f"{shown_name(folder)} is {other.title}, not {chosen.title}", _layout(chosen))
    return folder


def _joined(
    questions: Sequence[tuple[int, Any]], answers: Sequence[tuple[int, Any]], root: Path
) -> list[tuple[int, Any]]:
    """Put each question's answer beside it: the one of its id if all have their own, else that of its place.

    Raises:
        UsageError: There is no telling which answer belongs to which question.
    """
    by_id = _by_id([value for _, value in answers])
    own = _by_id([value for _, value in questions])
    if by_id is not None and own is not None:
        return [(at, _with_answer(value, by_id.get(_id(value)))) for at, value in questions]
    if len(questions) != len(answers):
        raise UsageError(
            f"{shown_name(root)} has {counted(len(questions), 'question')},"
            f" {counted(len(answers), 'answer')} and no id for each",
            "take both files from one release",
        )
    return [
        (at, _with_answer(value, answer)) for (at, value), (_, answer) in zip(questions, answers, strict=True)
    ]


def _by_id(values: Sequence[Any]) -> dict[str, Any] | None:
    """Return entries by their ids; None if some have none, or one is there twice."""
    found = {_id(value): value for value in values}
    return found if "" not in found and len(found) == len(values) else None


def _id(value: Any) -> str:
    """Return an entry's id: 12 and "12" are one, as the two files may come from different hands."""
    found = value.get(_ID) if isinstance(value, dict) else None
    return str(found) if isinstance(found, str | int) and not isinstance(found, bool) else ""


def _with_answer(question: Any, answer: Any) -> Any:
    """Return a question's entry with what the answer's entry says; whatever is wrong with either stays."""
    if not isinstance(question, dict):
        return question
    if answer is None:
        return question | {"answer": None}
    if not isinstance(answer, dict):
        return EntryError(f"has the answer {shown(answer)}, not an object")
    if _id(question) and _id(answer) and _id(question) != _id(answer):
        return EntryError(f"has the id {shown(_id(question))}, and its answer {shown(_id(answer))}")
    return question | {"answer": answer.get("answer")}


def _answer(entry: Entry) -> str:
    """Return the correct answer; numbers are written as such in some files."""
    value = entry.value("answer")
    if isinstance(value, int) and not isinstance(value, bool):
        entry = replace(entry, fields={**entry.fields, "answer": str(value)})
    return entry.text("answer")
