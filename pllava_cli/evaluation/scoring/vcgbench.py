"""The Video-ChatGPT benchmark: what a judge is asked of the answers, and what its scores come to.

An answer to a generic question is judged in three dimensions, one to a temporal question in one. Of the
third file each entry asks the same thing twice, and both answers are judged together, each beside its own
question; the reference puts each beside the other's (magic-research/PLLaVA 6f49fd2, tasks/eval/vcgbench).
"""

from collections.abc import Mapping, Sequence

from pllava_cli.evaluation.benchmarks.vcgbench import CONSISTENCY, DIMENSIONS, Dimension, entry_of
from pllava_cli.evaluation.items import Average, Benchmark, Group, Kind, Result, Said, Verdict
from pllava_cli.evaluation.judging.instructions import Instructions, Messages
from pllava_cli.evaluation.judging.judgements import Judgement, Task
from pllava_cli.evaluation.scoring.verdicts import (
    is_spoken,
    judged_group,
    judges,
    mean,
    not_understood,
    unspoken,
)

RIGHT_ABOVE = 3
"""Answers of a higher score are counted as right, as in the reference; no score depends on it."""
_AVERAGES = (
    "The averages that the paper prints for PLLaVA (3.12, 3.27 and 3.48) weight each dimension by its judged "
    "answers; those that it prints for all other methods are plain means of the five dimensions (arXiv "
    "2404.16994, table 2; magic-research/PLLaVA issue 55). Compare only like with like."
)
_LOWEST = (
    "Answers that are empty, and clips that could not be shown, have the score 0; the judge is not asked."
)


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


def _messages(dimension: Dimension, answers: Sequence[Said], instructions: Instructions) -> Messages:
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
            found.setdefault(entry_of(each.item), []).append(each)
    return {entry: each for entry, each in found.items() if len(each) == (2 if part == CONSISTENCY else 1)}


def score(benchmark: Benchmark, said: Sequence[Said], judgements: Mapping[str, Judgement]) -> Result:
    """Score what was said, as far as it is judged.

    Args:
        benchmark: What was asked.
        said: What was said to its items.
        judgements: The judge's, by task.
    """
    found = {dimension: _verdicts(dimension, said, judgements) for dimension in DIMENSIONS}
    everything = [verdict for each in found.values() for verdict in each]
    groups = [judged_group(dimension.name, each) for dimension, each in found.items()]
    scoring, notes = judges(judgements.values(), everything)
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


def _verdicts(
    dimension: Dimension, said: Sequence[Said], judgements: Mapping[str, Judgement]
) -> list[Verdict]:
    entries = _entries(dimension.part, said).items()
    return [_verdict(dimension, each, judgements.get(_task_id(dimension, entry))) for entry, each in entries]


def _verdict(dimension: Dimension, answers: Sequence[Said], judgement: Judgement | None) -> Verdict:
    """The verdict on an answer, or on a pair: that stands by the first of it, or by the one that lacks."""
    lacking = next((each for each in answers if not is_spoken(each)), None)
    if lacking is not None:
        return unspoken(lacking, dimension.name)
    note = "; ".join([dimension.name, *map(_asked_too, answers[1:])])
    if judgement is None:
        return Verdict(answers[0], "unjudged", 0.0, note)
    if judgement.meaning.score is None:
        return not_understood(answers[0], judgement, note)
    value = judgement.meaning.score
    kind: Kind = "right" if value > RIGHT_ABOVE else "wrong"
    return Verdict(answers[0], kind, value, note, judgement.key)


def _asked_too(second: Said) -> str:
    """Tell of a pair's other answer, which the verdict is on as well."""
    return f"asked also “{second.item.question}”, said “{second.text}”"


def _averages(groups: Sequence[Group]) -> list[Average]:
    """The two averages that go by one name elsewhere, if there is something in each dimension."""
    values = [group.value for group in groups if group.value is not None]
    lacking = ", ".join(group.name for group in groups if group.value is None)
    note = f"there is nothing of {lacking}" if lacking else ""
    if not values:
        note = "nothing is judged yet"
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
