"""Frames for a report: some of the very frames that were seen, from files and from parts of them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pllava_cli.errors import ClipError, UsageError
from pllava_cli.evaluation import report
from pllava_cli.evaluation.report.examples import evenly
from pllava_cli.evaluation.report.thumbnails import PICTURES, seen_frames
from pllava_cli.video.reader import sample_frames
from tests.clips import write_clip
from tests.evaluation.reports import check_alone
from tests.evaluation.results import percent, verdict


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "a.mp4", 5, frames=50)


@pytest.mark.parametrize(("start_s", "end_s"), [(None, None), (1.0, 3.5)])
def test_they_are_of_those_that_were_seen(clip: Path, start_s: float | None, end_s: float | None) -> None:
    seen, times, _ = sample_frames(clip, 16, start_s, end_s)
    said = verdict(1, clip=str(clip)).said
    item = replace(said.item, start_s=start_s, end_s=end_s)
    shown = seen_frames(replace(said, item=item, timestamps_s=tuple(times)), 6)
    assert len(shown) == 6
    for frame, expected in zip(shown, [seen[at] for at in (0, 3, 6, 9, 12, 15)], strict=True):
        assert np.array_equal(frame, expected)


def test_where_times_are_not_known_they_are_spread_over_the_part(clip: Path) -> None:
    said = replace(verdict(1, clip=str(clip)).said, timestamps_s=())
    assert len(seen_frames(said, 3)) == 3


def test_frames_at_other_times_than_those_that_were_seen_are_none_of_them(clip: Path) -> None:
    """As of a caption that was made of a part of the clip, and is compared as one of the whole."""
    _, times, _ = sample_frames(clip, 8, 2.0, None)
    said = verdict(1, clip=str(clip)).said
    whole = replace(said, item=replace(said.item, start_s=None, end_s=None), timestamps_s=tuple(times))
    with pytest.raises(ClipError, match="other frames of it were seen"):
        seen_frames(whole, 6)


def test_a_page_does_not_call_frames_seen_of_which_nobody_knows_it(clip: Path, tmp_path: Path) -> None:
    one = verdict(1, clip=str(clip))
    report.write(tmp_path / "run", percent([replace(one, said=replace(one.said, timestamps_s=()))]))
    page = check_alone((tmp_path / "run" / "report.html").read_text())
    assert page.tags["img"] == PICTURES and not page.tags["figcaption"]
    assert "which of them were seen is not known" in page.text


def test_a_clip_that_is_gone_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        seen_frames(verdict(1, clip=str(tmp_path / "gone.mp4")).said, 3)


@pytest.mark.parametrize(
    ("count", "most", "chosen"),
    [(0, 6, []), (3, 6, [0, 1, 2]), (16, 1, [8]), (16, 2, [0, 15]), (7, 4, [0, 2, 4, 6])],
)
def test_choosing_evenly(count: int, most: int, chosen: list[int]) -> None:
    assert evenly(range(count), most) == chosen
