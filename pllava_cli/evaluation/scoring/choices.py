"""What the replies to multiple-choice questions come to, by one of two rules of `chosen_option`."""

from collections import Counter
from collections.abc import Sequence
from statistics import fmean
from string import ascii_uppercase
from typing import get_args

from pllava_cli.evaluation.items import NOT_ANSWERED, Average, Benchmark, Group, Kind, Result, Said, Verdict
from pllava_cli.evaluation.scoring.chosen_option import Scoring, names_a_letter, reference, strict
from pllava_cli.evaluation.scoring.verdicts import is_spoken, unspoken
from pllava_cli.multiple_choice import REPLY_START
from pllava_cli.phrases import share

TASK_MEAN, ITEM_MEAN = "mean over tasks", "mean over items"
MVBENCH_TASKS, MVBENCH_QUESTIONS = 20, 4000
"""Of the whole benchmark: 200 a task. Source: https://arxiv.org/abs/2311.17005."""
RULES: dict[Scoring, str] = {
    "strict": (
        "Strict scoring: a reply must name one option, by its letter or its words; the reference's rule asks "
        "only that the first word and the right letter overlap, so that (A)(B) counts for either."
    ),
    "reference": (
        "Scored by the reference's rule: right if the first word and the right option's letter overlap, so "
        "that (A)(B) counts for either; strict scoring counts such replies as wrong."
    ),
}
"""How the two rules differ, for whoever compares figures."""


def score(benchmark: Benchmark, said: Sequence[Said], scoring: Scoring) -> Result:
    """Score what was said to multiple-choice questions.

    Args:
        benchmark: What was asked.
        said: What was said, in the benchmark's order; it may lack items that were not reached, or hold them
            as not answered yet: these count as nothing.
        scoring: By which rule.

    Returns:
        A row a task in the benchmark's order, with per cent right of all that was asked.
    """
    said = [each for each in said if each.error != NOT_ANSWERED]
    verdicts = [_verdict(each, scoring) for each in said]
    by_task: dict[str, list[Verdict]] = {item.group: [] for item in benchmark.items}
    for verdict in verdicts:
        by_task[verdict.said.item.group].append(verdict)
    groups = [_group(name, own) for name, own in by_task.items() if own]
    return Result(
        benchmark=benchmark.name,
        scoring=scoring,
        unit="%",
        groups=groups,
        averages=_averages(groups, said),
        verdicts=verdicts,
        faults=benchmark.faults,
        notes=_notes(benchmark, said, groups, scoring),
    )


def _verdict(said: Said, scoring: Scoring) -> Verdict:
    item = said.item
    if said.text is None or not is_spoken(said):
        return unspoken(said)
    right = max(place for place, text in enumerate(item.candidates) if text == item.answer)
    if scoring == "reference":
        prediction = REPLY_START[-1] + said.text  # the model was made to begin at the bracket
        if not names_a_letter(prediction):
            return Verdict(said, "unparsed", 0.0, "the first word has none of the letters A to G")
        return _right_or_wrong(said, reference(prediction, f"({ascii_uppercase[right]}) {item.answer}"))
    chosen = strict(said.text, item.candidates)
    if chosen is None:
        return Verdict(said, "unparsed", 0.0, "no option can be read, or more than one")
    return _right_or_wrong(
        said, item.candidates[chosen] == item.answer, f"read as ({ascii_uppercase[chosen]})"
    )


def _right_or_wrong(said: Said, is_right: bool, note: str = "") -> Verdict:
    return Verdict(said, "right" if is_right else "wrong", float(is_right), note)


def _group(name: str, verdicts: Sequence[Verdict]) -> Group:
    found = Counter(each.kind for each in verdicts)
    kinds: tuple[Kind, ...] = get_args(Kind)
    counts = {kind: found[kind] for kind in kinds if found[kind]}
    return Group(name, len(verdicts), 100 * found["right"] / len(verdicts), counts)


def _averages(groups: Sequence[Group], said: Sequence[Said]) -> list[Average]:
    """Both means, each with what guessing would come to."""
    if not groups:
        return [Average(TASK_MEAN, None), Average(ITEM_MEAN, None)]
    right = sum(group.counts.get("right", 0) for group in groups)
    by_task: dict[str, list[float]] = {}
    for each in said:
        by_task.setdefault(each.item.group, []).append(100 / len(each.item.candidates))
    task_chance = fmean([fmean(each) for each in by_task.values()])
    item_chance = fmean([each for chances in by_task.values() for each in chances])
    return [
        Average(TASK_MEAN, fmean([group.value or 0.0 for group in groups]), f"guessing: {task_chance:.1f} %"),
        Average(ITEM_MEAN, 100 * right / len(said), f"guessing: {item_chance:.1f} %"),
    ]


def _notes(
    benchmark: Benchmark, said: Sequence[Said], groups: Sequence[Group], scoring: Scoring
) -> list[str]:
    lost = Counter[Kind]()
    for group in groups:
        lost.update(group.counts)
    notes = [
        RULES[scoring],
        "Whatever was asked is counted. Among what is not right "
        f"{lost['failed']} failed, {lost['empty']} said nothing and {lost['unparsed']} chose nothing.",
    ]
    if said:
        chance = fmean([100 / len(each.item.candidates) for each in said])
        notes.append(f"Chance level: {chance:.1f} % of the items would be right by guessing.")
    if len(said) < len(benchmark.items):
        notes.append(f"Only {share(len(said), len(benchmark.items), 'question', 'was', 'were')} asked.")
    if benchmark.name == "mvbench":
        notes.append(
            "Published averages are over items; over the whole benchmark, with as many questions in every "
            "task, both means are the same."
        )
        if len(groups) < MVBENCH_TASKS or len(said) < MVBENCH_QUESTIONS:
            notes.append(
                f"Not the whole benchmark: {len(groups)} of {MVBENCH_TASKS} tasks, "
                f"{len(said)} of {MVBENCH_QUESTIONS} questions."
            )
    return notes
