"""Judged answers as verdicts, and how these are counted: the same for every judged benchmark."""

from collections import Counter
from collections.abc import Iterable, Sequence

from pllava_cli.evaluation.items import NOT_ANSWERED, Group, Kind, Said, Verdict
from pllava_cli.evaluation.judging.judgements import Judgement
from pllava_cli.phrases import counted

NOTE = (
    "Scores of a judge depend on which model judges, down to its snapshot, and on how it is asked: compare "
    "them only with scores of the same judge and the same instructions."
)
"""Source: the same predictions, judged months apart, moved by 8 points of accuracy (mbzuai-oryx/Video-ChatGPT
issue 28); FreeVA (arXiv 2405.07798) makes it a finding."""
NO_JUDGE = "judge: none yet"
"""What scores are by before any judge was asked."""
_SHOWN = 200
"""Characters of a reply that was not understood, in a verdict's note; the store has all of it."""


def is_spoken(said: Said) -> bool:
    """Whether there are words to judge."""
    return said.text is not None and bool(said.text.strip())


def unspoken(said: Said, note: str = "") -> Verdict:
    """The verdict on an answer without words: the lowest score, and nobody is asked; none on one to come."""
    parts = [part for part in (note, said.error) if part]
    kind: Kind = "empty" if said.text is not None else "unjudged" if said.error == NOT_ANSWERED else "failed"
    return Verdict(said, kind, 0.0, ": ".join(parts))


def not_understood(said: Said, judgement: Judgement, note: str = "") -> Verdict:
    """The verdict where the judge's reply cannot be read: the lowest score, as the reference counts it."""
    reply = " ".join(judgement.reply.split())
    shown = f"{reply[:_SHOWN]}..." if len(reply) > _SHOWN else reply
    parts = [
        part for part in (note, f"the judge's reply was not understood: {shown or 'it is empty'}") if part
    ]
    return Verdict(said, "unparsed", 0.0, ": ".join(parts), judgement.key)


def judged_group(name: str, verdicts: Sequence[Verdict]) -> Group:
    """The mean score of the answers that count."""
    found = that_count(verdicts)
    return Group(name, len(found), mean([verdict.score for verdict in found]), counts(verdicts))


def that_count(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """The answers that count: those that are judged, and those that need no judge.

    As long as none is judged that is to be, there are none: those without words would be all of a figure.
    """
    found = [verdict for verdict in verdicts if verdict.kind != "unjudged"]
    is_begun = any(verdict.kind in ("right", "wrong", "unparsed") for verdict in found)
    return found if is_begun or len(found) == len(verdicts) else []


def counts(verdicts: Iterable[Verdict]) -> dict[Kind, int]:
    """How many of each kind there are."""
    return dict(Counter(verdict.kind for verdict in verdicts))


def mean(values: Sequence[float]) -> float | None:
    """The mean; None of nothing."""
    return sum(values) / len(values) if values else None


def judges(judgements: Iterable[Judgement], verdicts: Sequence[Verdict]) -> tuple[str, list[str]]:
    """Say who judged, as the name of the scoring, and what is to be noted of that."""
    names = sorted({each.judge for each in judgements})
    missing = sum(verdict.kind == "unjudged" for verdict in verdicts)
    notes = []
    if missing:
        told = counted(
            f"{missing:,}", "answer is not judged yet, and counts", "answers are not judged yet, and count"
        )
        notes.append(f"{told} as nothing.")
    if not names:
        return NO_JUDGE, notes
    lost = sum(verdict.kind == "unparsed" for verdict in verdicts)
    if lost:
        told = counted(
            f"{lost:,}",
            "of the judge's replies was not understood",
            "of the judge's replies were not understood",
        )
        notes.append(f"{told}: such answers count as wrong, with the score 0, as the reference has it.")
    if len(names) > 1:
        notes.append(f"The verdicts come from more than one judge: {', '.join(names)}.")
    return f"judge: {', '.join(names)}", [*notes, NOTE]
