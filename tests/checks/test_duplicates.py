"""Near-duplicates: found at any place among many, never within one clip, never among different texts."""

from random import Random

import numpy as np
import pytest

from pllava_cli.checks.duplicates import near_duplicates, signature

WORDS = [f"word{number}" for number in range(2000)]


def said(seed: int, count: int = 80) -> list[str]:
    return Random(seed).choices(WORDS, k=count)


def changed(words: list[str], places: int, seed: int) -> list[str]:
    """The same words, but for some of them."""
    random, words = Random(seed), list(words)
    for place in random.sample(range(len(words)), places):
        words[place] = f"new{seed}-{place}"
    return words


def resemblance(one: list[str], other: list[str]) -> float:
    first, second = (set(zip(each, each[1:], each[2:], strict=False)) for each in (one, other))
    return len(first & second) / len(first | second)


def test_signatures_estimate_resemblance() -> None:
    for places in (0, 1, 2, 4, 8, 16):
        pairs = [(said(seed), changed(said(seed), places, seed)) for seed in range(20)]
        estimated = np.mean([(signature(a) == signature(b)).mean() for a, b in pairs])
        exact = np.mean([resemblance(a, b) for a, b in pairs])
        assert estimated == pytest.approx(exact, abs=0.04)


def test_different_texts_are_not_alike() -> None:
    texts = [said(seed) for seed in range(300)]
    assert near_duplicates([signature(each) for each in texts], range(300)) == {}


def test_alike_texts_are_found_wherever_they_are() -> None:
    texts = [said(seed) for seed in range(300)]
    texts[250], texts[299] = changed(texts[10], 1, 1), changed(texts[10], 1, 2)
    texts[77] = list(texts[76])
    found = near_duplicates([signature(each) for each in texts], range(300))
    assert found.keys() == {10, 250, 299, 76, 77}
    assert found[76] == 77 and found[77] == 76
    assert all(found[each] in {10, 250, 299} - {each} for each in (10, 250, 299))


def test_texts_of_one_clip_may_be_alike() -> None:
    signatures = [signature(said(1))] * 3
    assert near_duplicates(signatures, [5, 5, 5]) == {}
    assert near_duplicates(signatures, [5, 5, 6]) == {0: 2, 1: 2, 2: 0}


def test_short_texts() -> None:
    texts = [["bird"], ["bird"], ["bird", "flies"], ["dog"], ["flies", "bird"]]
    assert near_duplicates([signature(each) for each in texts], range(5)) == {0: 1, 1: 0}
    assert near_duplicates([], []) == {}
    assert near_duplicates([signature(["a"])], [0]) == {}


def test_thousands_of_equal_and_of_pairwise_equal_texts_end() -> None:
    equal = [signature(said(1))] * 5_000
    assert len(near_duplicates(equal, range(5_000))) == 5_000
    pairs = [signature(said(number // 2, 12)) for number in range(2_000)]
    assert len(near_duplicates(pairs, range(2_000))) == 2_000


def test_the_same_in_every_process() -> None:
    """Findings must not change from run to run: no hash of Python's own takes part."""
    assert int(signature(["a", "red", "bird"])[0]) == 21493245
