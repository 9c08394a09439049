"""The scan against scripted decoders: headers that lie, grabs that fail, times that are missing."""

import math

import numpy as np
import pytest

from pllava_cli.video.report import ClipHeader
from pllava_cli.video.sampling import Selection, bounded_indices, uniform_indices
from pllava_cli.video.scan import Frames, NothingDecodedError, scan, shown_times

FPS = 10.0


class ScriptedPictures:
    """A decoder whose picture i is filled with the value i, and whose grabs fail where told."""

    def __init__(
        self,
        count: int,
        promised: int | None,
        times: list[float] | None = None,
        fail_before: dict | None = None,
    ) -> None:
        self.header = ClipHeader("h264", 4, 2, 0, FPS, promised, lists_pictures=False, hidden=None)
        self.count = count
        self.times = times or [5 + i / FPS for i in range(count)]
        self.fail_before = fail_before or {}
        self.passes = 0
        self.retrieved: list[int] = []
        self.rewind()

    def rewind(self) -> None:
        self.passes += 1
        self.at = -1
        self.failures = dict(self.fail_before)

    def grab(self) -> bool:
        if self.failures.get(self.at + 1, 0):
            self.failures[self.at + 1] -= 1
            return False
        if self.at + 1 >= self.count:
            return False
        self.at += 1
        return True

    def time_s(self) -> float:
        return self.times[self.at]

    def retrieve(self, out: Frames | None = None) -> Frames:
        self.retrieved.append(self.at)
        out = np.empty((2, 4, 3), np.uint8) if out is None else out
        out[...] = self.at
        return out


def run(pictures: ScriptedPictures, selection: Selection):
    return scan(pictures, selection, lambda shape: np.zeros(shape, np.uint8), lambda: None)


def values(frames: Frames) -> list[int]:
    assert (frames == frames[:, :1, :1, :1]).all()
    return frames[:, 0, 0, 0].tolist()


@pytest.mark.parametrize("n", [1, 4, 16, 60])
@pytest.mark.parametrize("promised", [50, 100, 40, None, 51])
def test_frames_follow_the_true_count_whatever_the_header_says(promised: int | None, n: int) -> None:
    pictures = ScriptedPictures(50, promised)
    found = run(pictures, Selection(n))
    assert found.choice.indices == uniform_indices(50, n)
    assert values(found.frames) == found.choice.indices
    assert found.timeline.complete and found.timeline.count == 50
    assert found.timeline.times_s == pytest.approx(np.arange(50) / FPS)


def test_a_true_header_needs_one_pass_and_no_needless_conversion() -> None:
    pictures = ScriptedPictures(50, 50)
    run(pictures, Selection(8))
    assert pictures.passes == 1
    assert pictures.retrieved == uniform_indices(50, 8)


def test_a_wrong_header_needs_two() -> None:
    pictures = ScriptedPictures(50, 100)
    run(pictures, Selection(8))
    assert pictures.passes == 2


def test_eight_failed_grabs_are_damage_and_nine_the_end() -> None:
    found = run(ScriptedPictures(50, 50, fail_before={20: 8, 30: 1}), Selection(4))
    assert found.timeline.count == 50
    found = run(ScriptedPictures(50, 50, fail_before={20: 9}), Selection(4))
    assert found.timeline.count == 20
    assert values(found.frames) == uniform_indices(20, 4)


def test_a_segment_ends_the_scan_early() -> None:
    pictures = ScriptedPictures(200, 200)
    found = run(pictures, Selection(4, 1.0, 3.0))
    assert found.choice.indices == bounded_indices(200, 4, FPS, 1.0, 3.0)
    assert values(found.frames) == found.choice.indices
    assert not found.timeline.complete
    assert pictures.at < 40


def test_a_segment_of_a_clip_that_ends_before_it() -> None:
    found = run(ScriptedPictures(20, 200), Selection(4, 1.0, 9.0))
    assert values(found.frames) == bounded_indices(20, 4, FPS, 1.0, 9.0)


def test_nothing_decodable_is_said() -> None:
    with pytest.raises(NothingDecodedError):
        run(ScriptedPictures(0, 150), Selection(4))


def test_times_are_counted_where_the_container_has_none() -> None:
    for raw, step in (
        ([0.0] * 10, 0.1),
        ([math.nan] * 10, 0.1),
        ([0.5 * i for i in range(8)] + [0.0, 0.5], 0.5),
    ):
        timeline = shown_times(np.array(raw), FPS, complete=True)
        assert timeline.counted
        assert timeline.times_s == pytest.approx(np.arange(10) * step)
    timeline = shown_times(np.array([7.0, 7.1, 9.0]), FPS, complete=True)
    assert not timeline.counted
    assert timeline.times_s == pytest.approx([0, 0.1, 2.0])
