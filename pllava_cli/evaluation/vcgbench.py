"""The Video-ChatGPT benchmark, as PLLaVA's paper reports it: open answers about 500 clips, scored by a judge.

    DATA/Zero_Shot_QA/Benchmarking_QA/generic_qa.json, temporal_qa.json, consistency_qa.json
    DATA/Videos/Benchmarking/v_XXXXXXXXXXX.mp4

An answer to a generic question is judged in three dimensions, one to a temporal question in one. Of the
third file each entry asks the same thing twice, and both answers are judged together, each beside its own
question; the reference puts each beside the other's (magic-research/PLLaVA 6f49fd2, tasks/eval/vcgbench).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pllava_cli.errors import UsageError
from pllava_cli.evaluation.footage import Footage
from pllava_cli.evaluation.items import (
    Average,
    Benchmark,
    Fault,
    Group,
    Item,
    Kind,
    Manner,
    Result,
    Said,
    Verdict,
)
from pllava_cli.evaluation.judgements import (
    Judgement,
    Task,
    is_spoken,
    judged_group,
    judges,
    mean,
    not_understood,
    unspoken,
)
from pllava_cli.evaluation.reading import Entry, gather, is_folder, is_there, load_list
from pllava_cli.evaluation.wording import Instructions
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
    """Of `wording.PLACEHOLDERS`."""
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

RIGHT_ABOVE = 3
"""Answers of a higher score are counted as right, as in the reference; no score depends on it."""

_ROOTS = ("", "VCGBench", "DATAS/VCGBench")
_QUESTIONS = ("Zero_Shot_QA/Benchmarking_QA", "Benchmarking_QA", "")
_VIDEOS = ("Videos/Benchmarking", "Videos", "Test_Videos")
_SUFFIXES = (".mp4", ".mkv", ".avi", ".mov", ".webm")
_LAYOUT = (
    "DATA holds Zero_Shot_QA/Benchmarking_QA/ with generic_qa.json, temporal_qa.json and "
    "consistency_qa.json, and the clips in Videos/Benchmarking/"
)
_AVERAGES = (
    "The averages that the paper prints for PLLaVA (3.12, 3.27 and 3.48) weight each dimension by its judged "
    "answers; those that it prints for all other methods are plain means of the five dimensions (arXiv "
    "2404.16994, table 2; magic-research/PLLaVA issue 55). Compare only like with like."
)
_LOWEST = (
    "Answers that are empty, and clips that could not be shown, have the score 0; the judge is not asked."
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
    footage = Footage(root, _VIDEOS, _SUFFIXES)
    items: list[Item] = []
    faults: list[Fault] = []
    for part in PARTS:
        made, wrong = _read_part(questions, part, footage)
        items += made
        faults += wrong
    if not items:
        raise UsageError(
            f"no question in {shown_name(questions)} can be asked"
            + (f": {faults[0].where} {faults[0].message}" if faults else ""),
            _LAYOUT,
        )
    return Benchmark(NAME, items, MANNER, [*faults, *footage.faults()])


def _places(data: Path) -> tuple[Path, Path]:
    """Return the benchmark's folder, and the one that holds its questions."""
    for root in _ROOTS:
        for below in _QUESTIONS:
            folder = data / root / below
            if any(is_there(folder / _file(part)) for part in PARTS):
                return data / root, folder
    if not is_folder(data):
        raise UsageError(f"there is no folder {shown_name(data)}", _LAYOUT)
    raise UsageError(f"{shown_name(data)} holds none of the files of the Video-ChatGPT benchmark", _LAYOUT)


def _file(part: str) -> str:
    return f"{part}_qa.json"


def _read_part(folder: Path, part: str, footage: Footage) -> tuple[list[Item], list[Fault]]:
    name = _file(part)
    try:
        values = load_list(folder / name)
    except UsageError as error:
        lost = ", ".join(each.name for each in DIMENSIONS if each.part == part)
        return [], [Fault(name, f"cannot be read, so {lost} cannot be judged: {error.message}")]
    made, faults = gather(values, f"{name}, entry", lambda entry: list(_items(part, entry, footage)))
    return [item for items in made for item in items], faults


def _items(part: str, entry: Entry, footage: Footage) -> Iterator[Item]:
    clip, answer = footage.clip(entry), entry.text("A")
    keys = {"Q1": "/1", "Q2": "/2"} if part == CONSISTENCY else {"Q": ""}
    for key, ending in keys.items():
        question = entry.text(key)
        yield Item(f"{part}/{entry.number}{ending}", part, clip, question, answer, prompt=question)


def tasks(said: Sequence[Said], instructions: Instructions) -> list[Task]:
    """Return what a judge is to be asked: nothing about answers without words."""
    return [
        Task(
            _task_id(dimension, entry),
            entry,
            dimension.instruction,
            _messages(dimension, answers, instructions),
        )
        for dimension in DIMENSIONS
        for entry, answers in _entries(dimension.part, said).items()
        if all(map(is_spoken, answers))
    ]


def _messages(
    dimension: Dimension, answers: Sequence[Said], instructions: Instructions
) -> tuple[Mapping[str, str], ...]:
    values = {"answer": answers[0].item.answer}
    for ending, each in zip(("", "_2"), answers, strict=False):
        values |= {f"question{ending}": each.item.question, f"prediction{ending}": each.text or ""}
    return instructions[dimension.instruction].messages(**values)


def _task_id(dimension: Dimension, entry: str) -> str:
    return f"{dimension.instruction}:{entry}"


def _entries(part: str, said: Sequence[Said]) -> dict[str, list[Said]]:
    """Return a part's answers by entry; half a pair, as of a run over some of the items, is none."""
    found: dict[str, list[Said]] = {}
    for each in said:
        if each.item.group == part:
            entry = each.item.id.rpartition("/")[0] if part == CONSISTENCY else each.item.id
            found.setdefault(entry, []).append(each)
    return {entry: each for entry, each in found.items() if len(each) == (2 if part == CONSISTENCY else 1)}


def score(benchmark: Benchmark, said: Sequence[Said], verdicts: Mapping[str, Judgement]) -> Result:
    """Score what was said, as far as it is judged.

    Args:
        benchmark: What was asked.
        said: What was said to its items.
        verdicts: The judge's, by task.
    """
    found = {dimension: _verdicts(dimension, said, verdicts) for dimension in DIMENSIONS}
    everything = [verdict for each in found.values() for verdict in each]
    groups = [judged_group(dimension.name, each) for dimension, each in found.items()]
    scoring, notes = judges(verdicts.values(), everything)
    return Result(
        benchmark=benchmark.name,
        scoring=scoring,
        unit="of 5",
        groups=groups,
        averages=_averages(groups),
        verdicts=everything,
        faults=benchmark.faults,
        notes=[_AVERAGES, *notes, _LOWEST],
    )


def _verdicts(dimension: Dimension, said: Sequence[Said], verdicts: Mapping[str, Judgement]) -> list[Verdict]:
    entries = _entries(dimension.part, said).items()
    return [_verdict(dimension, each, verdicts.get(_task_id(dimension, entry))) for entry, each in entries]


def _verdict(dimension: Dimension, answers: Sequence[Said], judgement: Judgement | None) -> Verdict:
    """The verdict on an answer, or on a pair: that stands by the first of it, or by the one that lacks."""
    lacking = next((each for each in answers if not is_spoken(each)), None)
    if lacking is not None:
        return unspoken(lacking, dimension.name)
    if judgement is None:
        return Verdict(answers[0], "unjudged", 0.0, dimension.name)
    if judgement.meaning.score is None:
        return not_understood(answers[0], judgement, dimension.name)
    value = judgement.meaning.score
    kind: Kind = "right" if value > RIGHT_ABOVE else "wrong"
    return Verdict(answers[0], kind, value, dimension.name, judgement.key)


def _averages(groups: Sequence[Group]) -> list[Average]:
    """The two averages that go by one name elsewhere, if there is something in each dimension."""
    values = [group.value for group in groups if group.value is not None]
    lacking = ", ".join(group.name for group in groups if group.value is None)
    note = f"there is nothing of {lacking}" if lacking else ""
    weighted = [group.value * group.of for group in groups if group.value is not None]
    answers = sum(group.of for group in groups)
    return [
        Average("mean of the five dimensions", None if lacking else mean(values), note),
        Average(
            "mean over judged answers",
            None if lacking else sum(weighted) / answers,
            note or f"of {', '.join(f'{group.of:,}' for group in groups)} answers",
        ),
    ]
