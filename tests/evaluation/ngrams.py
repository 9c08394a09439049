"""The metrics again, written from their papers in the plainest way: what the library is held against."""

from collections import Counter
from collections.abc import Iterator, Sequence
from math import exp, log, prod, sqrt

Words = Sequence[str]


def ngrams(words: Words, n: int) -> Iterator[tuple[str, ...]]:
    return (tuple(words[at : at + n]) for at in range(len(words) - n + 1))


def bleu(people: Sequence[Sequence[str]], captions: Sequence[str], most: int) -> float:
    """BLEU of a corpus (Papineni et al. 2002), the closest reference's length for brevity."""
    said = [caption.split() for caption in captions]
    references = [[text.split() for text in texts] for texts in people]
    precisions = []
    for n in range(1, most + 1):
        right = total = 0
        for caption, texts in zip(said, references, strict=True):
            found = Counter(ngrams(caption, n))
            most_often = Counter[tuple[str, ...]]()
            for text in texts:
                most_often |= Counter(ngrams(text, n))
            right += (found & most_often).total()
            total += found.total()
        precisions.append(right / total if total else 0.0)
    length = sum(map(len, said))
    closest = sum(
        min((abs(len(text) - len(caption)), len(text)) for text in texts)[1]
        for caption, texts in zip(said, references, strict=True)
    )
    brevity = 1.0 if length >= closest else exp(1 - closest / length) if length else 0.0
    return brevity * prod(precisions) ** (1 / most)


def longest_common(one: Words, other: Words) -> int:
    row = [0] * (len(other) + 1)
    for word in one:
        before = row
        row = [0]
        for at, against in enumerate(other):
            row.append(before[at] + 1 if word == against else max(row[at], before[at + 1]))
    return row[-1]


def rouge_l(people: Sequence[str], caption: str, beta: float = 1.2) -> float:
    """F of the longest common subsequence (Lin 2004): the best precision with the best recall."""
    said = caption.split()
    common = [(longest_common(text.split(), said), len(text.split())) for text in people]
    precision = max(count / len(said) for count, _ in common) if said else 0.0
    recall = max(count / length for count, length in common)
    if not precision or not recall:
        return 0.0
    return (1 + beta**2) * precision * recall / (recall + beta**2 * precision)


def cider_d(people: Sequence[Sequence[str]], captions: Sequence[str], sigma: float = 6.0) -> list[float]:
    """CIDEr-D of each clip (Vedantam et al. 2015), lengths counted in pairs of words as its code does."""
    documents = Counter(
        gram
        for texts in people
        for gram in {gram for text in texts for n in (1, 2, 3, 4) for gram in ngrams(text.split(), n)}
    )

    def weights(text: str, n: int) -> dict[tuple[str, ...], float]:
        rarity = log(len(people))
        counts = Counter(ngrams(text.split(), n))
        return {gram: count * (rarity - log(max(1, documents[gram]))) for gram, count in counts.items()}

    def alike(caption: str, text: str, n: int) -> float:
        ours, theirs = weights(caption, n), weights(text, n)
        norm = sqrt(sum(x * x for x in ours.values())) * sqrt(sum(x * x for x in theirs.values()))
        dot = sum(min(value, theirs.get(gram, 0.0)) * theirs.get(gram, 0.0) for gram, value in ours.items())
        longer = max(len(caption.split()) - 1, 0) - max(len(text.split()) - 1, 0)
        return exp(-(longer**2) / (2 * sigma**2)) * (dot / norm if norm else 0.0)

    return [
        10 * sum(alike(caption, text, n) for text in texts for n in (1, 2, 3, 4)) / 4 / len(texts)
        for caption, texts in zip(captions, people, strict=True)
    ]
