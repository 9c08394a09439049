"""What the splice tests share: a full decode to compare with, and which clips are spliced."""

import subprocess
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

SPLICED = (
    "h264_bframes.mp4", "h264_short_gop.mp4", "h264_no_b.mp4", "h264_intra.mp4", "h264_open_gop.mp4",
    "h264_deep_b.mp4", "h264_intra_refresh.mp4", "h264_long.mp4", "h264_refs.mkv", "hevc_open_gop.mp4",
    "hevc_closed.mp4", "hevc_main10.mp4", "hevc_temporal_layers.mp4", "vp8.webm", "vp9.webm", "vp9.mp4",
    "mpeg4.mp4", "mjpeg.mov", "prores.mov", "alpha_prores.mov", "h264.mkv", "audio_first.mkv",
    "faststart.mp4", "negative_cts.mp4", "vfr.mp4", "vfr.mkv", "gap.mp4", "slideshow.mp4", "ntsc.mp4",
    "fps240.mp4", "trimmed.mp4", "delayed.mp4", "delayed_with_audio.mp4", "rotated90.mp4", "rotated180.mp4",
    "rotated270.mp4", "sar.mp4", "odd_size.webm", "odd_444.mp4", "tiny.mp4", "tall.mp4", "h264_10bit.mp4",
    "gray.mp4", "full_range.mp4", "bt709.mp4", "alpha_vp9.webm", "one_frame.mp4", "two_frames.mp4",
    "fragmented.mp4", "fragmented_long.mp4", "av1.mp4", "av1.webm",
    "one_frame.webm", "audio_video.mp4", "cover_art.mp4", "no_extension", "percent_%03d.mp4", "-dash.mp4",
)  # fmt: skip
"""Clips of the corpus that are read the fast way, and shown by OpenCV as they are."""

REFUSED = {
    "interlaced_h264.mp4": "interlaced", "two_videos.mp4": "2 video tracks", "audio_only.mp4": "0 video",
    "no_moov.mp4": "no moov", "header_only.mp4": "does not have", "cut_half.mp4": "does not have",
    "cut_half.mkv": "cut", "empty.mp4": "begin with", "text.mp4": "begin with", "zeros.mp4": "begin with",
    "noise.mp4": "begin with", "h264.ts": "begin with", "animated.gif": "begin with",
}  # fmt: skip
"""Clips that must not be, and a part of the reason."""


@dataclass(frozen=True)
class Decoded:
    """Every picture of a clip, as OpenCV's front-to-back decode shows it."""

    times_s: NDArray[np.float64]
    frames: list[NDArray[np.uint8]]
    rotation_deg: int


@lru_cache(maxsize=4)
def decode_all(path: Path) -> Decoded:
    """Decode a clip by grabbing every picture; nine failures in a row are its end."""
    capture = cv2.VideoCapture(str(path.absolute()), cv2.CAP_FFMPEG)
    times, frames, failures = [], [], 0
    while failures < 9:
        if not capture.grab():
            failures += 1
            continue
        failures = 0
        times.append(capture.get(cv2.CAP_PROP_POS_MSEC) / 1000)
        frames.append(cv2.cvtColor(capture.retrieve()[1], cv2.COLOR_BGR2RGB))
    if not frames and "av1" in path.name:
        pytest.skip("this OpenCV has no AV1 decoder")
    return Decoded(np.array(times), frames, int(capture.get(cv2.CAP_PROP_ORIENTATION_META)))


def ffmpeg(*arguments: str | Path) -> bytes:
    """Run ffmpeg and return what it writes to its standard output."""
    command = ["ffmpeg", "-nostdin", "-v", "error", "-y", *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True).stdout
