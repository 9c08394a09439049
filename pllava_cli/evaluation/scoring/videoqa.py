"""Open-ended questions about videos: by a judge, or by matching words.

A judge says whether an answer is right and how near it comes, by which the paper reports these sets.
Without one, words are matched, which needs nothing but is a figure of its own.
"""

from collections.abc import Mapping, Sequence

from pllava_cli.evaluation.items import Average, Benchmark, Group, Kind, Result, Said, Verdict
from pllava_cli.evaluation.judging.instructions import Instructions
from pllava_cli.evaluation.judging.judgements import Judgement, Task
from pllava_cli.evaluation.scoring.verdicts import (
    counts,
    is_spoken,
    judges,
    mean,
    not_understood,
    that_count,
    unspoken,
)
from pllava_cli.evaluation.scoring.word_match import is_match

_DIMENSION = "videoqa"

_MATCHED = (
    "Scored without a judge: an answer is right if the words of the correct one occur in it, one behind the "
    "other; letter case, articles, punctuation and how numbers up to ten are written do not matter. Synonyms "
    "count as wrong, and a negation may count as right: this is not comparable with published figures, all "
    "of which are a judge's."
)
_LOWEST = "Answers that are empty, and clips that could not be shown, count as wrong, with the score 0."


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
    benchmark: Benchmark, said: Sequence[Said], judgements: Mapping[str, Judgement] | None = None
) -> Result:
    """Score what was said: by a judge's verdicts, as far as there are, or by matching words.

    Args:
        benchmark: What was asked.
        said: What was said to its items.
        judgements: The judge's, by item; None: words are matched.
    """
    if judgements is None:
        found = [_matched(each) for each in said]
        scoring, averages, notes = "word match, no judge", [Average("word match", _share(found))], [_MATCHED]
    else:
        found = [_judged(each, judgements.get(each.item.id)) for each in said]
        scoring, notes = judges(judgements.values(), found)
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
    return [Group(name, len(that_count(each)), _share(each), counts(each)) for name, each in by_group.items()]


def _share(verdicts: Sequence[Verdict]) -> float | None:
    """Per cent right."""
    share = mean([float(verdict.kind == "right") for verdict in that_count(verdicts)])
    return None if share is None else 100 * share


def _mean_score(verdicts: Sequence[Verdict]) -> Average:
    return Average(
        "mean score", mean([verdict.score for verdict in that_count(verdicts)]), "from 0 to 5", unit="of 5"
    )
