"""Multiple-choice questions: how an entry of a file poses one, and how it is put to a checkpoint.

What `mc` and `mvbench` share; which files there are, and what questions are called, is theirs.
"""

from dataclasses import dataclass
from pathlib import Path
from string import ascii_uppercase

from pllava_cli.evaluation.benchmarks.entry import Entry
from pllava_cli.evaluation.items import Item, Manner
from pllava_cli.evaluation.reading import EntryError, shown
from pllava_cli.multiple_choice import REPLY_START, as_prompt
from pllava_cli.phrases import counted

SYSTEM = (
    "This video comes with a question and a few answers, one of which is right. "
    "See what happens, what comes before what and why, how each thing looks and where it goes, "
    "and what everyone does and how they hold themselves. Answer with the option that the video bears out."
)
"""System text of multiple choice unless the user gives another."""
MANNER = Manner(SYSTEM, answer_start=REPLY_START)
"""Source of everything but the words: magic-research/PLLaVA (6f49fd2), tasks/eval/mvbench."""
MOST_CANDIDATES = len(ascii_uppercase)

Window = tuple[float | None, float | None]
"""The part of a clip that is asked about, in seconds; None: its beginning, its end."""


@dataclass(frozen=True)
class Posed:
    """A question, what may be chosen, and which of that is right."""

    question: str
    candidates: tuple[str, ...]
    answer: str

    @classmethod
    def of(cls, entry: Entry, *, may_repeat: bool = False) -> "Posed":
        """Read what an entry poses.

        Args:
            entry: An object of a benchmark's file.
            may_repeat: Whether two candidates may be the same: then the choice of either is right.

        Raises:
            EntryError: Something of it is missing or wrong.
        """
        question, candidates = entry.text("question"), entry.texts("candidates")
        if not 2 <= len(candidates) <= MOST_CANDIDATES:
            raise EntryError(
                f"has {counted(len(candidates), 'candidate')}; 2 to {MOST_CANDIDATES} have letters"
            )
        if len(set(candidates)) < len(candidates) and not may_repeat:
            twice = next(each for each in candidates if candidates.count(each) > 1)
            raise EntryError(f"has the candidate {shown(twice)} twice")
        return cls(question, candidates, _answer(entry, candidates))

    def item(self, id: str, group: str, clip: Path, window: Window = (None, None)) -> Item:
        """Return it as a question about a clip, or a part of one."""
        start_s, end_s = window
        return Item(
            id=id,
            group=group,
            clip=clip,
            question=self.question,
            answer=self.answer,
            prompt=as_prompt(self.question, self.candidates),
            candidates=self.candidates,
            start_s=start_s,
            end_s=end_s,
        )


def window(entry: Entry) -> Window:
    """Return the part of the clip that an entry asks about.

    Raises:
        EntryError: It is none.
    """
    start_s = entry.seconds("start") if "start" in entry else None
    end_s = entry.seconds("end") if "end" in entry else None
    if end_s is not None and end_s <= (start_s or 0.0):
        raise EntryError(f"ends at {end_s:g} s, which is not after its start at {start_s or 0.0:g} s")
    return start_s, end_s


def _answer(entry: Entry, candidates: tuple[str, ...]) -> str:
    """The right candidate, which an entry names or gives the place of."""
    answer = entry.value("answer")
    if isinstance(answer, int) and not isinstance(answer, bool):
        if not 0 <= answer < len(candidates):
            raise EntryError(
                f"answer is {answer}; the candidates are counted from 0 to {len(candidates) - 1}"
            )
        return candidates[answer]
    answer = entry.text("answer")
    if answer not in candidates:
        raise EntryError(f"answer is {shown(answer)}, which is not among the candidates")
    return answer
