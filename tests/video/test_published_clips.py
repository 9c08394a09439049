"""The four example clips of the reference: recorded indices, and the recorded pictures to the byte."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from pllava_cli.video.capture import CvPictures
from pllava_cli.video.ffmpeg_log import FfmpegLog
from pllava_cli.video.reader import sample_frames
from pllava_cli.video.sampling import Selection
from pllava_cli.video.scan import Frames, scan

TESTS = Path(__file__).resolve().parents[1]
CLIPS = TESTS.parents[1] / "shared" / "clips"
RECORDED = json.loads((TESTS / "data" / "frame_indices.json").read_text())["clips"]

pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not CLIPS.is_dir(), reason=f"the example clips are not beside the checkout ({CLIPS})"),
]


def hashes(frames: Frames) -> list[str]:
    return [hashlib.sha256(frame.tobytes()).hexdigest()[:16] for frame in frames]


@pytest.mark.parametrize("name", RECORDED)
def test_indices_and_pictures_are_the_recorded_ones(name: str) -> None:
    recorded = RECORDED[name]
    frames, times, report = sample_frames(CLIPS / name, 16)
    assert report.indices == recorded["indices"]
    assert report.frames_header == recorded["listed"]
    assert report.fps == recorded["fps"]
    assert hashes(frames) == recorded["frame_sha256"]
    assert np.allclose(times, np.array(report.indices) / report.fps, atol=1.001 / report.fps)
    assert report.warnings == ()


@pytest.mark.parametrize("name", RECORDED)
def test_indices_of_a_segment_are_the_recorded_ones(name: str) -> None:
    recorded = RECORDED[name]
    _, times, report = sample_frames(CLIPS / name, 16, *recorded["segment_s"])
    assert report.indices == recorded["segment_indices"]
    assert recorded["segment_s"][0] - 0.1 <= times[0] and times[-1] <= recorded["segment_s"][1]


@pytest.mark.parametrize("selection", [Selection(16), Selection(16, 1.0, 4.0), Selection(400)], ids=str)
def test_the_hidden_picture_of_cooking_counts_in_splice_and_scan(selection: Selection) -> None:
    """Its edit list hides the first of 160 pictures; the recorded pictures come from all 160."""
    path = CLIPS / "cooking.mp4"
    frames, _, report = sample_frames(path, selection.n, selection.start_s, selection.end_s)
    found = scan(
        CvPictures(path, str(path), FfmpegLog()),
        selection,
        lambda shape: np.empty(shape, np.uint8),
        lambda: None,
    )
    assert report.method == "splice"
    assert found.choice.indices == report.indices
    assert (found.frames == frames).all()
