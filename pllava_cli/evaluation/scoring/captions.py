"""Captions against those that people wrote: BLEU, ROUGE-L, CIDEr-D, and METEOR where it can be had.

Every clip counts: one without a caption is scored as an empty text, which shares no word with anything.
The figures depend on how texts are cut into words and on which clips are compared; both stand beside them.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from statistics import fmean

from pllava_cli.evaluation.benchmarks import splits
from pllava_cli.evaluation.items import Benchmark, Group, Kind, Result, Said, Verdict
from pllava_cli.evaluation.scoring import metrics, tokenising
from pllava_cli.evaluation.scoring.java import JavaError
from pllava_cli.evaluation.scoring.meteor import meteor
from pllava_cli.evaluation.scoring.metrics import Figures
from pllava_cli.evaluation.scoring.tokenising import Way
from pllava_cli.phrases import counted, share

METRICS = ("BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L", "CIDEr-D")
METEOR = "METEOR"
FEW = 50
"""Of fewer clips, each one makes up more than 2 % of a figure."""


def score(benchmark: Benchmark, said: Sequence[Said], way: Way = "auto") -> Result:
    """Compare what was said with what people say.

    Args:
        benchmark: What was asked.
        said: An answer to each of its items, or to some: figures are then of those.
        way: How texts are cut into words.

    Returns:
        A group for each metric, times 100; of each clip a verdict whose score is its CIDEr-D.

    Raises:
        UsageError: The library is not installed.
        JavaError: The way is `ptb`, which cannot be gone here.
    """
    metrics.check_library()
    cut = _cut(said, way)
    figures = metrics.measure(cut.people, cut.captions) if cut.kept else None
    groups, notes = _groups(cut, figures), _notes(cut, benchmark, said)
    if cut.kept:
        try:
            groups.append(_group(METEOR, cut, metrics.TIMES * meteor(cut.people, cut.captions)))
        except JavaError as error:
            notes.append(f"{METEOR} is left out: {error}.")
    return Result(
        benchmark=benchmark.name,
        scoring=f"{metrics.library()}; {cut.way}",
        unit="",
        groups=groups,
        averages=(),
        verdicts=list(_verdicts(said, cut, figures)),
        faults=benchmark.faults,
        notes=notes,
    )


@dataclass(frozen=True)
class _Cut:
    """Captions and what people say, as words."""

    way: str
    kept: list[int]
    """Which of the answers have something to be compared with."""
    people: list[list[str]]
    """Of each of these what people say."""
    captions: list[str]
    """Of each of these what was said; empty: nothing."""
    lost: int
    """Answers that have not: nothing of what people say is a word."""
    kinds: Mapping[Kind, int]


def _cut(said: Sequence[Said], way: Way) -> _Cut:
    references = [each.item.references or (each.item.answer,) for each in said]
    flat = [text for people in references for text in people]
    tokenised = tokenising.tokenise([*flat, *(each.text or "" for each in said)], way)
    rest = iter(tokenised.texts)
    # A text without words would equal a caption without any.
    people = [[text for text in islice(rest, len(each)) if text] for each in references]
    captions = list(rest)
    kept = [at for at, texts in enumerate(people) if texts]
    return _Cut(
        way=tokenised.way,
        kept=kept,
        people=[people[at] for at in kept],
        captions=[captions[at] for at in kept],
        lost=len(said) - len(kept),
        kinds=Counter(_kind(said[at]) for at in kept),
    )


def _kind(said: Said) -> Kind:
    if said.text is None:
        return "failed"
    return "measured" if said.text.strip() else "empty"


def _groups(cut: _Cut, figures: Figures | None) -> list[Group]:
    values = [*figures.bleu, figures.rouge_l, figures.cider_d] if figures else [None] * len(METRICS)
    return [_group(name, cut, value) for name, value in zip(METRICS, values, strict=True)]


def _group(name: str, cut: _Cut, value: float | None) -> Group:
    return Group(name, len(cut.kept), value, cut.kinds)


def _verdicts(said: Sequence[Said], cut: _Cut, figures: Figures | None) -> Iterator[Verdict]:
    """Yield a verdict on each answer: none is right or wrong, so the score is all there is."""
    places = {at: place for place, at in enumerate(cut.kept)}
    for at, each in enumerate(said):
        kind, place = _kind(each), places.get(at)
        if figures is None or place is None:
            yield Verdict(each, kind, 0.0, "left out: nothing of what people say is a word")
            continue
        rouge_l, cider_d = figures.rouge_l_each[place], figures.cider_d_each[place]
        why = {"failed": f"; {each.error}", "empty": "; nothing was said"}.get(kind, "")
        why += "; said to be of a part of the clip" if each.is_of_part else ""
        yield Verdict(each, kind, cider_d, f"CIDEr-D {cider_d:.1f}, ROUGE-L {rouge_l:.1f}{why}")


def _notes(cut: _Cut, benchmark: Benchmark, said: Sequence[Said]) -> list[str]:
    """What a reader must know to compare the figures."""
    of, asked = len(cut.kept), len(benchmark.items)
    thing = "segment" if any(item.end_s is not None for item in benchmark.items) else "clip"
    notes = [
        "Figures are times 100, as tables print them: CIDEr-D ends at 1000, the others at 100.",
        f"They were computed by {metrics.library()}, whose CIDEr-D is what most tables call CIDEr.",
        f"Tokeniser: {cut.way}.",
        f"CIDEr-D weighs words by how few {thing}s of this set are described with them: compare it only over"
        f" the same {thing}s, cut into words by the same tokeniser.",
    ]
    if of:
        counts = [len(texts) for texts in cut.people]
        notes.append(
            f"References of a {thing}: {min(counts)} to {max(counts)}, {fmean(counts):.1f} on average."
        )
    if of == 1:
        notes.append(f"CIDEr-D of a single {thing} is nothing: no word tells it from others.")
    if of < FEW:
        notes.append(f"{counted(of, thing)}: figures of fewer than {FEW} mean little.")
    if of + cut.lost < asked:
        notes.append(f"Only {share(of + cut.lost, asked, thing, 'was', 'were')} asked about.")
    if cut.kinds.get("failed"):
        advice = splits.advice(benchmark, {each.item.id for each in said if each.text is None})
        notes.append(
            f"{counted(cut.kinds['failed'], thing)} without a caption: scored as an empty text"
            + (f"; {advice}." if advice else ".")
        )
    if cut.kinds.get("empty"):
        notes.append(f"{counted(cut.kinds['empty'], thing)} with an empty caption: scored as that.")
    of_parts = sum(each.is_of_part and each.text is not None for each in said)
    if of_parts:
        told = counted(of_parts, "caption is said to be of a part", "captions are said to be of a part")
        notes.append(f"{told} of the clip, and compared with what people say of all of it.")
    if cut.lost:
        notes.append(
            f"{counted(cut.lost, thing)} left out: nothing of what people say is a word to the tokeniser."
        )
    return notes
