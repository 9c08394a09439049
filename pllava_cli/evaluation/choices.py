"""Which option a reply chooses, and what that makes of a multiple-choice benchmark.

There are two rules. `reference` gives the verdict that the published figures were made with, its
looseness included. `strict` reads exactly one option or none:

1. The reply begins with an option's letter, in brackets or not: `B`, `(B)`, `B) Down.`, `**B.** Down.`
   The letter is followed by a bracket, a full stop, a colon, a comma, white space or the end, so that
   `because` is no B. `A` before another word is the article (`A man walks`), unless that word is one that
   goes on about an option (`A because ...`) or the rest is just what option A says (`A Up.`).
2. Or it says which one it is: `Answer: B`, `the answer is (B)`, `option B`.
3. Or it is, in other words than a letter, just what one candidate says: case, spaces, brackets and full
   stops around it set aside.

What is said after the letter does not matter, save that a reply which names another option too, as
`(A)(B)`, `A or B` or `A) Up. B) Down.`, chooses none.
"""

import re
from collections import Counter
from collections.abc import Sequence
from string import ascii_uppercase
from typing import Literal, get_args

from pllava_cli.evaluation.items import Average, Benchmark, Group, Kind, Result, Said, Verdict
from pllava_cli.multiple_choice import REPLY_START

Scoring = Literal["strict", "reference"]
"""How the option that an answer chooses is read."""

REFERENCE_LETTERS = "abcdefg"
"""Source: the reference's verdicts (magic-research/PLLaVA, 6f49fd2), where `(H)` is never right."""
TASK_MEAN, ITEM_MEAN = "mean over tasks", "mean over items"
MVBENCH_TASKS, MVBENCH_QUESTIONS = 20, 4000
"""Of the whole benchmark: 200 a task. Source: https://arxiv.org/abs/2311.17005."""

_OPENING = r"[\s(\[{*_`\"'#>-]*+"
_CLOSING = r"[\s)\]}*_`\"'.:]*+"
_LETTER = rf"{_OPENING}(?P<letter>[A-Za-z])(?=[\s)\]}}.:,/*_`\"]|$)(?!\.[a-z])"
"""An option's letter as it may stand; not that of `e.g.`"""
_START = re.compile(_LETTER)
_SAYING = re.compile(
    r"\b(?i:answer|option|choice)\b[*_]*+(?:\s++(?i:is|would\s++be|should\s++be)\b)?\s*+[:=]?" + _LETTER
)
_BESIDE = re.compile(rf"{_CLOSING}(?:[,/&+]|\b(?i:and|or)\b)?{_LETTER}")
"""Another letter right behind the first one."""
_BRACKETED = re.compile(r"(?<![A-Za-z0-9])(?P<letter>[A-Za-z])[)\]]")
_ARTICLE = re.compile(r"[^\S\n]+(?!(?:is|and|or|because|since|but)\b)\w", re.IGNORECASE)
"""What follows the letters that are English words too, A and I, where they are meant as words."""
_AROUND = " \t\n()[]{}\"'*_`.:"


def reference(prediction: str, truth: str) -> bool:
    """Return the reference's verdict on a reply.

    Its oddities are kept: only the first word counts, words are what single spaces part,
    and parts of the right option count as right, so that `(A)(B)` is right whether A or B is.

    Args:
        prediction: The reply, with the bracket that the reply is made to begin with.
        truth: The right option: `(A) text`.

    Source: magic-research/PLLaVA (6f49fd2), tasks/eval/mvbench; written from a description of its rule.
    """
    if not _names_a_letter(prediction):
        return False
    said, right = _first_word(prediction), _first_word(truth)
    return said.replace(".", "") in right or right in said


def strict(reply: str, candidates: Sequence[str]) -> int | None:
    """Return the place of the candidate that a reply chooses; None: it chooses none, or several.

    Args:
        reply: What was said, with or without the bracket before the letter.
        candidates: What may be chosen, at most 26.
    """
    named = _named(reply, candidates)
    if not named:
        return _worded(reply, candidates)
    place = min(named)
    return place if len(named) == 1 and place < len(candidates) else None


def score(benchmark: Benchmark, said: Sequence[Said], scoring: Scoring) -> Result:
    """Score what was said to multiple-choice questions.

    Args:
        benchmark: What was asked.
        said: What was said, in the benchmark's order; it may lack items that were not reached.
        scoring: By which rule.

    Returns:
        A row a task in the benchmark's order, with per cent right of all that was asked.
    """
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
    if said.text is None:
        return Verdict(said, "failed", 0.0, said.error or "")
    if not said.text.strip():
        return Verdict(said, "empty", 0.0)
    right = max(place for place, text in enumerate(item.candidates) if text == item.answer)
    if scoring == "reference":
        prediction = REPLY_START[-1] + said.text  # the model was made to begin at the bracket
        if not _names_a_letter(prediction):
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
    task_chance = _mean([_mean(each) for each in by_task.values()])
    item_chance = _mean([each for chances in by_task.values() for each in chances])
    return [
        Average(TASK_MEAN, _mean([group.value or 0.0 for group in groups]), f"guessing: {task_chance:.1f} %"),
        Average(ITEM_MEAN, 100 * right / len(said), f"guessing: {item_chance:.1f} %"),
    ]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


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
        chance = _mean([100 / len(each.item.candidates) for each in said])
        notes.append(f"Chance level: {chance:.1f} % of the items would be right by guessing.")
    if len(said) < len(benchmark.items):
        notes.append(f"Only {len(said)} of {len(benchmark.items)} questions were asked.")
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


def _names_a_letter(prediction: str) -> bool:
    """Whether the reference looks at a reply at all."""
    return any(letter in _first_word(prediction) for letter in REFERENCE_LETTERS)


def _first_word(text: str) -> str:
    return text.lower().split(" ")[0]


def _named(reply: str, candidates: Sequence[str]) -> set[int]:
    """The places of the options that a reply names by letter, which may be more than there are."""
    start = _START.match(reply)
    if start is not None and (place := _place(start["letter"])) < len(candidates):
        rest = reply[start.end() :]
        if _plain(rest) == _plain(candidates[place]):
            return {place}
        if not _is_word(start):
            return {place} | _further(rest, len(candidates))
    named = set()
    for said in _SAYING.finditer(reply):
        if not _is_word(said):
            named |= {_place(said["letter"])} | _further(reply[said.end() :], len(candidates))
    return named


def _place(letter: str) -> int:
    return ascii_uppercase.index(letter.upper())


def _is_word(letter: re.Match[str]) -> bool:
    """Whether a letter by itself is a word of the sentence it stands in."""
    return letter["letter"] in "AaIi" and _ARTICLE.match(letter.string, letter.end()) is not None


def _further(rest: str, count: int) -> set[int]:
    """Options that are named behind the first one: at once, or anywhere in brackets."""
    found = {_place(each["letter"]) for each in _BRACKETED.finditer(rest)}
    beside = _BESIDE.match(rest)
    if beside is not None and not _is_word(beside):
        found.add(_place(beside["letter"]))
    return {place for place in found if place < count}


def _worded(reply: str, candidates: Sequence[str]) -> int | None:
    """The one candidate whose very words a reply is."""
    words = _plain(reply)
    found = [place for place, candidate in enumerate(candidates) if words and _plain(candidate) == words]
    return found[0] if len(found) == 1 else None


def _plain(text: str) -> str:
    return " ".join(text.casefold().strip(_AROUND).split())
