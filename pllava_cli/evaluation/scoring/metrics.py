"""BLEU, ROUGE-L and CIDEr-D of captions, by the library whose figures the field's tables hold.

pycocoevalcap is coco-caption's code, unchanged in its numbers. Its scorers are plain Python; they are
given words that were cut beforehand, and nothing of it that needs a network is imported.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from pllava_cli.errors import UsageError
from pllava_cli.evaluation.scoring.java import LIBRARY

TIMES = 100.0
"""Figures are given times 100, as tables print them."""
NGRAMS = 4


@dataclass(frozen=True)
class Figures:
    """What captions come to, times 100."""

    bleu: tuple[float, ...]
    """BLEU-1 to BLEU-4, of all captions together."""
    rouge_l: float
    """Mean over clips."""
    cider_d: float | None
    """Mean over clips; None of a single clip: in a set of one no word tells it from others."""
    rouge_l_each: tuple[float, ...]
    cider_d_each: tuple[float, ...]


def check_library() -> None:
    """See that the library is there.

    Raises:
        UsageError: It is not.
    """
    if find_spec(LIBRARY) is None:
        raise _missing("is not installed")


def library() -> str:
    """The library's name and version, for a report."""
    try:
        return f"{LIBRARY} {version(LIBRARY)}"
    except PackageNotFoundError:  # on the path without having been installed
        return LIBRARY


def measure(references: Sequence[Sequence[str]], captions: Sequence[str]) -> Figures:
    """Compare captions with what people say.

    Args:
        references: Of each clip at least one text, words with a space between them.
        captions: One of each clip, cut into words in the same way; empty: nothing was said.

    Raises:
        UsageError: The library is not there, or another than is known.
    """
    try:
        from pycocoevalcap.bleu.bleu import Bleu
        from pycocoevalcap.cider.cider import Cider
        from pycocoevalcap.rouge.rouge import Rouge
    except ImportError as error:
        raise _missing(f"cannot be imported ({error})") from None
    people = {at: list(texts) for at, texts in enumerate(references)}
    said = {at: [text] for at, text in enumerate(captions)}
    bleu, _ = Bleu(NGRAMS).compute_score(people, said, verbose=0)
    rouge, rouge_each = Rouge().compute_score(people, said)
    cider, cider_each = Cider(n=NGRAMS).compute_score(people, said)
    return Figures(
        bleu=tuple(TIMES * float(each) for each in bleu),
        rouge_l=TIMES * float(rouge),
        cider_d=TIMES * float(cider) if len(captions) > 1 else None,
        rouge_l_each=tuple(TIMES * float(each) for each in rouge_each),
        cider_d_each=tuple(TIMES * float(each) for each in cider_each),
    )


def _missing(what: str) -> UsageError:
    return UsageError(
        f"captions are scored by {LIBRARY}, which {what}", "install it: pip install 'pllava[eval]'"
    )
