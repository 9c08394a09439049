"""A clip's pictures through PyAV, for what OpenCV cannot show: interlaced video, AV1 in OpenCV 5.

PyAV is an optional extra. It brings an FFmpeg of its own, whose pictures equal OpenCV's byte for byte
for 8-bit 4:2:0 video, so a clip looks the same whichever of the two reads it.
"""

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np

from pllava_cli.video.editlist import hidden_picture
from pllava_cli.video.limits import MAX_FRAMES_EXPECTED, MAX_THREADS
from pllava_cli.video.probe import is_mp4
from pllava_cli.video.report import ClipHeader
from pllava_cli.video.scan import Frames, NothingDecodedError, UnshowableError


class AvPictures:
    """The pictures of one clip, decoded by PyAV."""

    def __init__(self, clip: Path, target: str) -> None:
        """Open a clip and decode its first picture, which alone tells the rotation.

        Args:
            clip: The file.
            target: The name by which FFmpeg is to open it.

        Raises:
            UnshowableError: PyAV cannot open it, or finds no video stream in it.
            NothingDecodedError: No picture could be decoded.
        """
        self._clip = clip
        self._target = target
        self._container: Any = None
        self._picture: Any = None
        self._first: Any = None
        self.rewind()
        self._first = next((picture for picture in self._pictures if picture is not None), None)
        if self._first is None:
            raise NothingDecodedError
        self.header = self._read_header()

    def close(self) -> None:
        """Release the file."""
        self._container.close()

    def rewind(self) -> None:
        """Go back to before the first picture."""
        if self._container is not None:
            self._container.close()
        try:
            self._container = av.open(self._target, options={"protocol_whitelist": "file"})
        except (av.FFmpegError, OSError, ValueError):
            raise UnshowableError("no video stream in it can be opened") from None
        self._stream = self._container.streams.best("video")
        if self._stream is None:
            self._container.close()
            raise UnshowableError("it holds no video stream")
        if self._stream.codec_context is None:
            self._container.close()
            raise UnshowableError("there is no decoder for its codec")
        self._stream.thread_type = "AUTO"
        self._stream.codec_context.thread_count = min(MAX_THREADS, os.cpu_count() or 1)
        self._pictures = self._decode()
        self._first = None

    def grab(self) -> bool:
        """Step to the next picture; False at the end and where data is damaged."""
        self._picture = self._first or next(self._pictures, None)
        self._first = None
        return self._picture is not None

    def time_s(self) -> float:
        """Shown time of the picture grabbed last, in seconds; NaN where the container has none."""
        return math.nan if self._picture.time is None else float(self._picture.time)

    def retrieve(self, out: Frames | None = None) -> Frames:
        """Convert the picture grabbed last to upright RGB `[H, W, 3]`, into `out` if given.

        Raises:
            UnshowableError: The conversion failed.
        """
        turns = self.header.rotation_deg // 90
        width, height = self.header.width_px, self.header.height_px
        if turns % 2:
            width, height = height, width
        try:
            picture = self._picture.to_ndarray(format="rgb24", width=width, height=height)
        except (av.FFmpegError, ValueError):
            raise UnshowableError("its pictures cannot be converted") from None
        upright = np.rot90(picture, -turns)
        if out is None:
            return np.ascontiguousarray(upright)
        out[...] = upright
        return out

    def _decode(self) -> Iterator[Any]:
        """Yield pictures in shown order, and None for each packet that cannot be decoded."""
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
                if packet is None:
                    return
                pictures = packet.decode()
            except (av.FFmpegError, ValueError):
                yield None
            else:
                yield from pictures

    def _read_header(self) -> ClipHeader:
        stream, first = self._stream, self._first
        rotation_deg = -round(first.rotation / 90) * 90 % 360
        width, height = first.width, first.height
        if rotation_deg % 180:
            width, height = height, width
        rate = stream.average_rate or stream.guessed_rate
        fps = float(rate) if rate else 0.0
        count = stream.frames
        if not count and self._container.duration:
            count = round(self._container.duration / av.time_base * fps)
        return ClipHeader(
            codec=stream.codec.canonical_name,
            width_px=width,
            height_px=height,
            rotation_deg=rotation_deg,
            fps=fps,
            frames_expected=count if 0 < count <= MAX_FRAMES_EXPECTED else None,
            lists_pictures=is_mp4(self._clip),
            hidden=hidden_picture(self._clip),
        )
