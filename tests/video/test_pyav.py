"""PyAV's pictures against OpenCV's: same order, same times, same bytes."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("av")

from pllava_cli.video.capture import CvPictures
from pllava_cli.video.ffmpeg_log import FfmpegLog
from pllava_cli.video.pyav import AvPictures
from pllava_cli.video.sampling import Selection
from pllava_cli.video.scan import NothingDecodedError, Pictures, Scanned, UnshowableError, scan


def scanned(pictures: Pictures, selection: Selection) -> Scanned:
    return scan(pictures, selection, lambda shape: np.empty(shape, np.uint8), lambda: None)


@pytest.mark.parametrize("selection", [Selection(16), Selection(5, 0.5, 1.5), Selection(1)], ids=str)
@pytest.mark.parametrize(
    "name",
    [
        "h264_bframes.mp4",
        "hevc_open_gop.mp4",
        "vp9.webm",
        "h264.ts",
        "vfr.mkv",
        "mpeg4_b.avi",
        "rotated90.mp4",
        "rotated180.mp4",
        "rotated270.mp4",
        "odd_444.mp4",
        "trimmed.mp4",
        "two_videos.mp4",
        "still.png",
    ],
)
def test_pictures_equal_those_of_opencv(corpus: Path, name: str, selection: Selection) -> None:
    path = corpus / name
    by_av = scanned(AvPictures(path, str(path)), selection)
    by_cv = scanned(CvPictures(path, str(path), FfmpegLog()), selection)
    assert by_av.choice == by_cv.choice
    shown = by_av.choice.shown
    assert np.allclose(by_av.timeline.times_s[shown], by_cv.timeline.times_s[shown], atol=1e-3)
    assert (by_av.frames == by_cv.frames).all()


def test_headers_agree(corpus: Path) -> None:
    for name in ("h264_bframes.mp4", "rotated90.mp4", "ntsc.mp4", "gap.mp4", "av1.mp4", "prores.mov"):
        path = corpus / name
        assert AvPictures(path, str(path)).header == CvPictures(path, str(path), FfmpegLog()).header, name


def test_what_is_no_video_is_said(corpus: Path) -> None:
    for name, kind in (
        ("noise.mp4", UnshowableError),
        ("audio_only.m4a", UnshowableError),
        ("header_only.mp4", NothingDecodedError),
    ):
        with pytest.raises(kind):
            AvPictures(corpus / name, str(corpus / name))
