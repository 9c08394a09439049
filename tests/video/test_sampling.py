"""The index arithmetic against recorded values of the reference, and where it has none."""

import itertools
import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pllava_cli.video.sampling import (
    Selection,
    bounded_indices,
    choose,
    is_constant_rate,
    numbered_indices,
    uniform_indices,
)

RECORDED = json.loads((Path(__file__).parents[1] / "data" / "frame_indices.json").read_text())


@pytest.mark.parametrize("key", RECORDED["uniform"])
def test_uniform_indices_are_the_recorded_ones(key: str) -> None:
    count, n = map(int, key.split("/"))
    assert uniform_indices(count, n) == RECORDED["uniform"][key]


@pytest.mark.parametrize("row", RECORDED["bounded"])
def test_bounded_indices_are_the_recorded_ones(row: dict) -> None:
    indices = bounded_indices(row["count"], row["n"], row["fps"], row["start_s"], row["end_s"])
    assert indices == row["indices"]


@pytest.mark.parametrize("clip", RECORDED["clips"].values(), ids=list(RECORDED["clips"]))
def test_indices_of_the_published_clips(clip: dict) -> None:
    assert uniform_indices(clip["listed"], 16) == clip["indices"]
    assert bounded_indices(clip["listed"], 16, clip["fps"], *clip["segment_s"]) == clip["segment_indices"]


@pytest.mark.parametrize("n", [1, 4, 8, 16, 32, 100])
@pytest.mark.parametrize("count", [1, 2, 3, 16, 17, 149, 3000])
def test_without_bounds_both_rules_agree(count: int, n: int) -> None:
    indices = uniform_indices(count, n)
    assert bounded_indices(count, n, 29.97) == indices
    assert len(indices) == n
    assert indices == sorted(indices)
    assert indices[0] >= 0 and indices[-1] < count


def test_segment_ends_outside_the_clip_are_clamped() -> None:
    assert bounded_indices(100, 4, 25, 3.99, 1000) == [99] * 4
    assert bounded_indices(100, 4, 25, 0, 1000) == uniform_indices(100, 4)


def test_varying_rate_takes_the_segment_by_true_times() -> None:
    times_s = np.concatenate([np.arange(75) / 30, 10 + np.arange(75, 150) / 30])
    choice = choose(times_s, Selection(4, 2.0, 13.0), fps=10)
    first, last = 60, 90  # at 2.0 s and at 13.0 s
    step = (last - first) / 4
    assert choice.indices == [int(first + step / 2 + round(step * i)) for i in range(4)]
    assert choice.shown == choice.indices


def test_a_rate_that_starts_to_vary_after_the_segment_does_not_matter() -> None:
    times_s = np.concatenate([np.arange(100) / 25, 100 + np.arange(50)])
    assert choose(times_s, Selection(8, 1.0, 3.0), 25).indices == bounded_indices(150, 8, 25, 1.0, 3.0)
    assert not is_constant_rate(times_s, 25)


def test_a_hidden_picture_counts_as_in_the_reference() -> None:
    times_s = np.arange(159) / 25
    recorded = RECORDED["clips"]["cooking.mp4"]["indices"]
    for hidden, before in (("first", 1), ("last", 0)):
        choice = choose(times_s, Selection(16), 25, hidden)
        assert choice.indices == recorded
        assert choice.shown == [index - before for index in recorded]
    every = choose(times_s, Selection(1000), 25, "last")
    assert max(every.indices) == 159
    assert max(every.shown) == 158


@pytest.mark.parametrize("indices", [bounded_indices, numbered_indices])
@pytest.mark.parametrize(("fps", "far"), [(30.0, 1.7e308), (30.0, math.inf), (1e300, 1e9)])
def test_times_beyond_all_numbers_are_clamped_like_others(
    indices: Callable[..., list[int]], fps: float, far: float
) -> None:
    count = 100
    assert indices(count, 4, fps, far, far) == indices(count, 4, 30.0, 1000.0, 1000.0)
    assert indices(count, 4, fps, -far, far) == indices(count, 4, 30.0)
    assert indices(count, 4, fps, None, -far) == indices(count, 4, 30.0, None, 0.0)


@pytest.mark.parametrize("fps", [23.976, 25.0, 0.1])
def test_which_frame_a_time_names_is_as_in_the_reference(fps: float) -> None:
    """`round(t * fps)`, then brought within the clip."""
    count, n = 50, 5
    for start_s, end_s in itertools.product([0.0, 0.02, 0.5, 0.98, 1.0, 1.94, 1.99, 2.0, 7.5], repeat=2):
        first, last = min(round(start_s * fps), count - 1), min(round(end_s * fps), count - 1)
        step = (max(first, last) - first) / n
        expected = [int(first + step / 2 + round(step * at)) for at in range(n)]
        assert bounded_indices(count, n, fps, start_s, end_s) == expected
