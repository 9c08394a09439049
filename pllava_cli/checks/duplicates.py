"""Texts that are nearly the same, found among many without comparing each with each.

MinHash (Broder 1997, On the resemblance and containment of documents) estimates how many phrases two
texts share; texts that agree in one of several bands of their signatures are compared (Leskovec et al.,
Mining of Massive Datasets, section 3.4). The time grows with the number of texts, also where thousands
of them are equal: of each group a few are compared with all others, not all with all.
"""

import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

SHINGLE_WORDS = 3
"""Length of the phrases whose set stands for a text."""
SIMILAR = 0.8
"""Share of common phrases, estimated, from which on two texts are nearly the same."""
_HASHES = 128  # the estimate's standard error at 0.8 is sqrt(0.8 * 0.2 / 128) = 0.035
_BANDS = 32  # of 4 hashes: texts that share 0.8 meet in one of them but for a chance of 5e-8
_ROUNDS = 8  # texts of a band's group that are compared with the rest of it
_SEED = 20240416

Signature = NDArray[np.uint32]


def _odd_numbers(count: int) -> NDArray[np.uint64]:
    return np.random.default_rng(_SEED).integers(0, 1 << 64, count, dtype=np.uint64) | np.uint64(1)


_FACTORS = _odd_numbers(_HASHES)


def signature(said: Sequence[str]) -> Signature:
    """Return the MinHash signature [128] of a text.

    Args:
        said: Its words, at least one; fewer than a phrase's count as one phrase.
    """
    padded = [*said, *[""] * (SHINGLE_WORDS - len(said))]
    encoded = "\n".join(padded).encode("utf-8", "surrogatepass").split(b"\n")
    hashes = np.fromiter(map(zlib.crc32, encoded), np.uint64, len(encoded))
    count = len(hashes) - SHINGLE_WORDS + 1
    shingles = _combined([hashes[at : at + count] for at in range(SHINGLE_WORDS)])
    lowest: NDArray[np.uint64] = (shingles[:, None] * _FACTORS).min(0)
    return (lowest >> np.uint64(32)).astype(np.uint32)


def near_duplicates(signatures: Sequence[Signature], clips: Sequence[int]) -> dict[int, int]:
    """Find texts that are nearly the same over different clips.

    Args:
        signatures: Of the texts.
        clips: A number for each text's clip: texts of one clip may well be alike.

    Returns:
        For each text found, by its index, the index of one of another clip that it is alike.
    """
    alike: dict[int, int] = {}
    if len(signatures) < 2:
        return alike
    matrix, clip = np.stack(signatures), np.asarray(clips)
    is_found = np.zeros(len(matrix), bool)
    for group in _groups(matrix, is_found):
        for _ in range(_ROUNDS):
            is_like = (matrix[group] == matrix[group[0]]).mean(1) >= SIMILAR
            for one, other in _pairs(group[is_like], clip):
                alike.setdefault(one, other)
            is_found[group[is_like]] |= np.unique(clip[group[is_like]]).size > 1
            group = group[~is_like]
            if len(group) < 2 or is_found[group].all():
                break
    return alike


def _groups(matrix: NDArray[np.uint32], is_found: NDArray[np.bool_]) -> Iterator[NDArray[np.intp]]:
    """Yield the indices of texts that agree in a band, unless all have been found by then."""
    width = _HASHES // _BANDS
    for band in range(_BANDS):
        values = _combined([matrix[:, band * width + at].astype(np.uint64) for at in range(width)])
        order = np.argsort(values, kind="stable")
        starts = np.flatnonzero(np.append(True, values[order][1:] != values[order][:-1]))
        for group in _split(order, starts):
            if not is_found[group].all():
                yield group


def _split(order: NDArray[np.intp], starts: NDArray[np.intp]) -> Iterator[NDArray[np.intp]]:
    ends = np.append(starts[1:], len(order))
    for index in np.flatnonzero(ends - starts > 1):
        yield order[starts[index] : ends[index]]


def _pairs(group: NDArray[np.intp], clip: NDArray[Any]) -> Iterator[tuple[int, int]]:
    """Pair each text with the first of another clip, if there is one."""
    first = group[0]
    others = group[clip[group] != clip[first]]
    if not others.size:
        return
    for one in group:
        yield int(one), int(others[0] if clip[one] == clip[first] else first)


def _combined(columns: Sequence[NDArray[np.uint64]]) -> NDArray[np.uint64]:
    """Make one number of each row, in which the order of the columns counts."""
    whole = np.zeros_like(columns[0])
    for column, factor in zip(columns, _FACTORS, strict=False):
        whole += _mixed(column * factor)
    return _mixed(whole)


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Spread every bit over all: the finaliser of SplitMix64 (Steele 2014, 10.1145/2660193.2660195)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
