"""How right captions and answers about the world of shapes are: counts of what was right, of how many.

Captions are compared as facts, so any wording of the truth is right. Shares are kept as counts, from
which tables, intervals and sums over clips are computed afterwards.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from pllava_cli.evaluation.scoring.intervals import NORMAL_95, wilson
from pllava_cli.multiple_choice import REPLY_START
from pllava_cli.shapes.captions import Facts, Told, read

CAPTION_FIGURES = (
    "all right",
    "colour",
    "shape",
    "size",
    "motion",
    "hallucinated",
    "things",
    "background",
    "exact",
    "empty",
    "looping",
    "cut off",
)
"""What is counted of captions, in the order of the tables; `score_caption` says what each is."""


@dataclass(frozen=True)
class Tally:
    """So many right of so many."""

    right: int = 0
    of: int = 0

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(self.right + other.right, self.of + other.of)

    @property
    def share(self) -> float:
        """From 0 to 1; NaN of nothing."""
        return self.right / self.of if self.of else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """The share's 95 % confidence interval (Wilson)."""
        return wilson(self.right, self.of)


Tallies = dict[str, Tally]


@dataclass(frozen=True)
class Asked:
    """An open question or a multiple-choice item, and what was answered."""

    kind: str
    """A kind of open question, or a sub-task of multiple choice."""
    question: str
    answer: str
    said: str
    candidates: tuple[str, ...] = ()
    """Of multiple choice."""


@dataclass(frozen=True)
class Said:
    """All that was said about a clip."""

    seed: int
    truth: Facts
    caption: str
    tokens: int
    """Length of the caption."""
    stopped: str
    """Why the caption ended: "eos", "length" or "repetition"."""
    elapsed_s: float
    """Seconds for everything: decoding, encoding and all answers."""
    questions: tuple[Asked, ...] = ()
    items: tuple[Asked, ...] = ()


@dataclass
class Figures:
    """What a setting came to over some clips."""

    clips: int = 0
    tokens: int = 0
    """Of all captions together."""
    elapsed_s: float = 0.0
    """Of all clips together, as if one after the other."""
    caption: Tallies = field(default_factory=dict)
    actions: Tallies = field(default_factory=dict)
    """By kind of action: of the things that do it, those of which a caption tells all doings right."""
    questions: Tallies = field(default_factory=dict)
    """By kind of open question."""
    items: Tallies = field(default_factory=dict)
    """By sub-task of multiple choice."""
    chances: dict[str, float] = field(default_factory=dict)
    """By sub-task: the sum over its items of 1 / candidates."""

    @property
    def mean_tokens(self) -> float:
        """Mean length of a caption, in tokens."""
        return self.tokens / self.clips if self.clips else math.nan

    @property
    def mean_choice(self) -> float:
        """Multiple choice right, averaged over sub-tasks."""
        return _mean(tally.share for tally in self.items.values())

    @property
    def mean_chance(self) -> float:
        """What guessing would come to, averaged over sub-tasks."""
        return _mean(self.chance(task) for task in self.items)

    @property
    def choice_spread(self) -> float:
        """Half the 95 % confidence interval of `mean_choice`, from the sub-tasks' own variances."""
        variances = [tally.share * (1 - tally.share) / tally.of for tally in self.items.values()]
        return NORMAL_95 * math.sqrt(sum(variances)) / len(variances) if variances else math.nan

    @property
    def open_questions(self) -> Tally:
        """All open questions together."""
        return sum(self.questions.values(), Tally())

    def chance(self, task: str) -> float:
        """What guessing would come to in a sub-task."""
        return self.chances[task] / self.items[task].of


def _mean(shares: Iterable[float]) -> float:
    known = list(shares)
    return sum(known) / len(known) if known else math.nan


def score_caption(truth: Facts, caption: str) -> tuple[Tallies, Tallies]:
    """Compare a caption with the truth.

    Returns:
        The figures of `CAPTION_FIGURES` but the last two, then `Figures.actions`. Counted of the true
        things: "all right" if the caption tells of one with the same colour, shape, size and doings;
        "colour" and "shape" if it names as many of that colour or shape; "size" and "motion" if it tells
        them right of a thing of that colour and shape. Of the things told: "hallucinated" if none is of
        that colour and shape, or it was told before. Of captions: "things" if all are right and none was
        made up, "background", "exact" if both, and "empty".
    """
    told = read(caption)
    by_name = {thing[1:3]: thing for thing in reversed(told.things)}
    matched = [(thing, by_name.get(thing[1:3])) for thing in truth.things]
    motion_right = [other is not None and thing[3] == other[3] for thing, other in matched]
    things = len(truth.things)
    made_up = Counter(thing[1:3] for thing in told.things) - Counter(thing[1:3] for thing in truth.things)
    things_right, background_right = truth.things == told.things, truth.background == told.background
    figures = {
        "all right": Tally(_common(truth.things, told.things), things),
        "colour": Tally(_common(*([thing[1] for thing in each.things] for each in (truth, told))), things),
        "shape": Tally(_common(*([thing[2] for thing in each.things] for each in (truth, told))), things),
        "size": Tally(sum(other is not None and thing[0] == other[0] for thing, other in matched), things),
        "motion": Tally(sum(motion_right), things),
        "hallucinated": Tally(made_up.total(), len(told.things)),
        "things": Tally(things_right, 1),
        "background": Tally(background_right, 1),
        "exact": Tally(things_right and background_right, 1),
        "empty": Tally(not caption.strip(), 1),
    }
    return figures, _by_action(truth.things, motion_right)


def _common(one: Iterable[object], other: Iterable[object]) -> int:
    return (Counter(one) & Counter(other)).total()


def _by_action(things: Iterable[Told], right: Iterable[bool]) -> Tallies:
    found: Tallies = {}
    for thing, is_right in zip(things, right, strict=True):
        for kind in {happening[0] for happening in thing[3]}:
            found[kind] = found.get(kind, Tally()) + Tally(is_right, 1)
    return found


def same_answer(answer: str, said: str) -> bool:
    """Whether two answers are the same words, apart from case, signs and space."""
    return _words(answer) == _words(said)


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def chose(said: str, candidates: tuple[str, ...]) -> str | None:
    """The candidate that a reply chooses by its letter; `said` may lack the reply's start."""
    found = re.match(r"\s*\(?\s*([A-Za-z])\b", said.removeprefix(REPLY_START))
    number = ord(found[1].upper()) - ord("A") if found else len(candidates)
    return candidates[number] if number < len(candidates) else None


def figures_of(said: Iterable[Said]) -> Figures:
    """Count what was said about clips."""
    figures = Figures()
    for each in said:
        _add(figures, each)
    return figures


def _add(figures: Figures, said: Said) -> None:
    figures.clips += 1
    figures.tokens += said.tokens
    figures.elapsed_s += said.elapsed_s
    caption, actions = score_caption(said.truth, said.caption)
    caption["looping"] = Tally(said.stopped == "repetition", 1)
    caption["cut off"] = Tally(said.stopped == "length", 1)
    _add_all(figures.caption, caption)
    _add_all(figures.actions, actions)
    for each in said.questions:
        _add_all(figures.questions, {each.kind: Tally(same_answer(each.answer, each.said), 1)})
    for each in said.items:
        right = chose(each.said, each.candidates) == each.answer
        _add_all(figures.items, {each.kind: Tally(right, 1)})
        figures.chances[each.kind] = figures.chances.get(each.kind, 0.0) + 1 / len(each.candidates)


def _add_all(tallies: Tallies, more: Tallies) -> None:
    for name, tally in more.items():
        tallies[name] = tallies.get(name, Tally()) + tally
