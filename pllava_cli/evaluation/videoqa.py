"""Open-ended questions about videos, answered in a word or two: MSVD-QA, MSRVTT-QA, ActivityNet-QA, TGIF-QA.

    DATA/MSVD_Zero_Shot_QA/test_q.json, test_a.json
    DATA/MSVD_Zero_Shot_QA/videos/XXXXX.avi

A judge says whether an answer is right and how near it comes, by which the paper reports these sets.
Without one, words are matched, which needs nothing but is a figure of its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pllava_cli.configfile import suggestion
from pllava_cli.errors import UsageError
from pllava_cli.evaluation.footage import Footage
from pllava_cli.evaluation.items import Average, Benchmark, Group, Item, Kind, Manner, Result, Said, Verdict
from pllava_cli.evaluation.judgements import (
    Judgement,
    Task,
    counts,
    is_spoken,
    judges,
    mean,
    not_understood,
    unspoken,
)
from pllava_cli.evaluation.matching import is_match
from pllava_cli.evaluation.questionsets import SETS, QuestionSet
from pllava_cli.evaluation.reading import Entry, EntryError, gather, is_folder, is_there, load_list, shown
from pllava_cli.evaluation.wording import Instructions
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
_ID, _DIMENSION = "question_id", "videoqa"

_MATCHED = (
    "Scored without a judge: an answer is right if the words of the correct one occur in it, one behind the "
    "other; letter case, articles, punctuation and how numbers up to ten are written do not matter. Synonyms "
    "count as wrong, and a negation may count as right: this is not comparable with published figures, all "
    "of which are a judge's."
)
_LOWEST = "Answers that are empty, and clips that could not be shown, count as wrong, with the score 0."


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
    footage = Footage(root, chosen.videos, chosen.suffixes, chosen.prefixes)
    values = _joined(list(load_list(root / _QUESTIONS)), list(load_list(root / _ANSWERS)), root)

    def make(entry: Entry) -> Item:
        question, answer = entry.text("question"), _answer(entry)
        prompt = instruction.replace(QUESTION, question)
        return Item(f"{which}/{entry.number}", which, footage.clip(entry), question, answer, prompt)

    items, faults = gather(values, f"{_QUESTIONS}, entry", make)
    if not items:
        reason = f": {faults[0].where} {faults[0].message}" if faults else ""
        raise UsageError(
            f"no question of {chosen.title} in {shown_name(root)} can be asked{reason}", _layout(chosen)
        )
    return Benchmark(f"videoqa-{which}", items, MANNER, [*faults, *footage.faults()])


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
        if not is_folder(data):
            raise UsageError(f"there is no folder {shown_name(data)}", _layout(chosen))
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
            f"{shown_name(root)} has {len(questions)} questions, {len(answers)} answers and no id for each",
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


def tasks(said: Sequence[Said], instructions: Instructions) -> list[Task]:
    """Return what a judge is to be asked: nothing about answers without words."""
    return [
        Task(
            each.item.id,
            each.item.id,
            _DIMENSION,
            instructions[_DIMENSION].messages(
                question=each.item.question, answer=each.item.answer, prediction=each.text or ""
            ),
        )
        for each in said
        if is_spoken(each)
    ]


def score(
    benchmark: Benchmark, said: Sequence[Said], verdicts: Mapping[str, Judgement] | None = None
) -> Result:
    """Score what was said: by a judge's verdicts, as far as there are, or by matching words.

    Args:
        benchmark: What was asked.
        said: What was said to its items.
        verdicts: The judge's, by item; None: words are matched.
    """
    if verdicts is None:
        found = [_matched(each) for each in said]
        scoring, averages, notes = "word match, no judge", [Average("word match", _share(found))], [_MATCHED]
    else:
        found = [_judged(each, verdicts.get(each.item.id)) for each in said]
        scoring, notes = judges(verdicts.values(), found)
        averages = [Average("accuracy", _share(found)), _mean_score(found)]
    return Result(
        benchmark=benchmark.name,
        scoring=scoring,
        unit="%",
        groups=_groups(found),
        averages=averages,
        verdicts=found,
        faults=benchmark.faults,
        notes=[*notes, _LOWEST],
    )


def _judged(said: Said, judgement: Judgement | None) -> Verdict:
    if not is_spoken(said):
        return unspoken(said)
    if judgement is None:
        return Verdict(said, "unjudged", 0.0)
    meaning = judgement.meaning
    if meaning.score is None or meaning.pred is None:
        return not_understood(said, judgement)
    kind: Kind = "right" if meaning.pred == "yes" else "wrong"
    return Verdict(said, kind, meaning.score, key=judgement.key)


def _matched(said: Said) -> Verdict:
    if not is_spoken(said):
        return unspoken(said)
    is_right = is_match(said.item.answer, said.text or "")
    return Verdict(said, "right" if is_right else "wrong", float(is_right))


def _groups(verdicts: Sequence[Verdict]) -> list[Group]:
    by_group: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        by_group.setdefault(verdict.said.item.group, []).append(verdict)
    return [Group(name, len(_counted(each)), _share(each), counts(each)) for name, each in by_group.items()]


def _counted(verdicts: Sequence[Verdict]) -> list[Verdict]:
    return [verdict for verdict in verdicts if verdict.kind != "unjudged"]


def _share(verdicts: Sequence[Verdict]) -> float | None:
    """Per cent right."""
    share = mean([float(verdict.kind == "right") for verdict in _counted(verdicts)])
    return None if share is None else 100 * share


def _mean_score(verdicts: Sequence[Verdict]) -> Average:
    return Average("mean score", mean([verdict.score for verdict in _counted(verdicts)]), "from 0 to 5")
