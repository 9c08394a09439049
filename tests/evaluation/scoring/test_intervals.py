"""Confidence intervals: known values, and what must hold of any."""

from random import Random
from statistics import fmean

import pytest

from pllava_cli.evaluation.scoring.intervals import wilson, wilson_of_mean


@pytest.mark.parametrize(
    ("right", "of", "interval"),
    [
        (8, 10, (0.4902, 0.9433)),
        (0, 10, (0.0, 0.2775)),
        (10, 10, (0.7225, 1.0)),
        (50, 100, (0.4038, 0.5962)),
        (0, 0, (0.0, 1.0)),
    ],
)
def test_wilson(right: int, of: int, interval: tuple[float, float]) -> None:
    assert wilson(right, of) == pytest.approx(interval, abs=5e-5)


def test_the_mean_of_one_share_is_that_share() -> None:
    assert wilson_of_mean([(30, 40)]) == pytest.approx(wilson(30, 40))


def test_the_mean_of_equal_shares_is_as_sure_as_all_together() -> None:
    assert wilson_of_mean([(20, 40)] * 5) == pytest.approx(wilson(100, 200))


def test_shares_that_differ_among_groups_but_not_within_are_surer() -> None:
    low, high = wilson_of_mean([(2, 200), (198, 200)])
    wide_low, wide_high = wilson(200, 400)
    assert wide_low < low < 0.5 < high < wide_high


def test_a_small_group_makes_a_mean_unsure() -> None:
    low, high = wilson_of_mean([(1, 2), (500, 1000)])
    wide_low, wide_high = wilson(501, 1002)
    assert low < wide_low < wide_high < high


@pytest.mark.parametrize(("sizes", "rates"), [((1, 199), (0.5, 0.5)), ((2, 3, 2), (0.9, 0.1, 0.6))])
def test_the_true_mean_of_small_groups_is_within(sizes: tuple[int, ...], rates: tuple[float, ...]) -> None:
    """One answer is right or wrong: that its share varies, it cannot tell by itself."""
    random = Random(1)
    drawn = [
        [
            (sum(random.random() < rate for _ in range(size)), size)
            for size, rate in zip(sizes, rates, strict=True)
        ]
        for _ in range(200)
    ]
    intervals = [wilson_of_mean(tallies) for tallies in drawn]
    assert sum(low <= fmean(rates) <= high for low, high in intervals) >= 180


def test_all_right_is_not_certain() -> None:
    low, high = wilson_of_mean([(10, 10), (10, 10)])
    assert (low, high) == pytest.approx(wilson(20, 20))
    assert wilson_of_mean([]) == (0.0, 1.0)
