"""`--every` and `--shots`: lengths of time, and where a clip is cut."""

from itertools import pairwise

import pytest

from pllava_cli.batch.segments import every, parse_length, shots
from pllava_cli.errors import ClipError, UsageError
from pllava_cli.records import Segment


@pytest.mark.parametrize(
    ("text", "length_s"),
    [
        ("10s", 10),
        ("1m", 60),
        ("2min", 120),
        ("1.5h", 5400),
        ("0.5", 0.5),
        (".5", 0.5),
        ("90", 90),
        (" 10 s ", 10),
    ],
)
def test_lengths(text: str, length_s: float) -> None:
    assert parse_length(text) == length_s


@pytest.mark.parametrize(
    "text", ["", "s", "0", "0.05", "-1", "1e3", "10x", "10ss", "nan", "inf", "1:30", "٣", "1" * 5000]
)
def test_what_is_no_length(text: str) -> None:
    with pytest.raises(UsageError, match="--every"):
        parse_length(text)


@pytest.mark.parametrize(
    ("duration_s", "length_s", "bounds"),
    [
        (30, 10, [0, 10, 20, 30]),
        (35, 10, [0, 10, 20, 30, 35]),
        (32, 10, [0, 10, 20, 30, 32]),  # a fifth is enough
        (31.9, 10, [0, 10, 20, 31.9]),
        (30.04, 10, [0, 10, 20, 30.04]),  # the odd frame at the end
        (10, 10, [0, 10]),
        (11, 10, [0, 11]),
        (4, 10, [0, 4]),
        (0.5, 10, [0, 0.5]),
        (1, 0.1, [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1]),
    ],
)
def test_where_a_clip_is_cut(duration_s: float, length_s: float, bounds: list[float]) -> None:
    segments = every(duration_s, length_s)
    assert [(each.start_s, each.end_s) for each in segments] == list(pairwise(bounds))
    assert [each.index for each in segments] == list(range(len(segments)))


@pytest.mark.parametrize("length_s", [0.1, 0.3, 1 / 3, 7, 10])
def test_segments_cover_the_clip_and_are_about_as_long_as_asked(length_s: float) -> None:
    for duration_s in (0.01, 0.99 * length_s, length_s, 1.21 * length_s, 29.97, 30.03, 1234.567):
        segments = every(duration_s, length_s)
        assert segments[0].start_s == 0 and segments[-1].end_s == duration_s
        for one, two in pairwise(segments):
            assert one.end_s == two.start_s
        if duration_s >= length_s:
            for each in segments:
                assert each.start_s is not None and each.end_s is not None
                assert 0.19 * length_s < each.end_s - each.start_s < 1.21 * length_s


@pytest.mark.parametrize("duration_s", [None, 0.0, -1.0, float("nan"), float("inf"), 1e12])
def test_clips_that_cannot_be_cut(duration_s: float | None) -> None:
    with pytest.raises(ClipError):
        every(duration_s, 1.0)


def test_shots_are_numbered() -> None:
    assert shots([(0, 1.5), (1.6, 4)]) == [Segment(0, 0, 1.5), Segment(1, 1.6, 4)]
    assert shots([]) == [Segment()]
    with pytest.raises(ClipError, match="more than 100000 shots"):
        shots([(0, 1)] * 100_001)
