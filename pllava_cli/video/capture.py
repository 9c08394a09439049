"""A clip's pictures through OpenCV. Imported only inside the decode worker.

OpenCV reports trouble nowhere but in FFmpeg's log: of an interlaced picture (4.13 and later) it says
that it was converted and leaves the old pixels. So the log is read back after every conversion.
"""

import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from pllava_cli.video.editlist import hidden_picture
from pllava_cli.video.ffmpeg_log import FfmpegLog
from pllava_cli.video.limits import MAX_FRAMES_EXPECTED, MAX_THREADS
from pllava_cli.video.probe import is_mp4
from pllava_cli.video.report import ClipHeader
from pllava_cli.video.scan import Frames, UnshowableError

CODECS = {
    "avc1": "h264",
    "av01": "av1",
    "hvc1": "hevc",
    "hev1": "hevc",
    "vp80": "vp8",
    "vp90": "vp9",
    "vp09": "vp9",
    "fmp4": "mpeg4",
    "mp4v": "mpeg4",
    "xvid": "mpeg4",
    "mpg1": "mpeg1video",
    "mpg2": "mpeg2video",
    "mjpg": "mjpeg",
    "mpng": "png",
    "hfyu": "huffyuv",
    "theo": "theora",
    "apch": "prores",
    "avdn": "dnxhd",
    "rle": "qtrle",
    "": "rawvideo",
}
"""FFmpeg's codec names for the codes that OpenCV reports, where the code is not the name already."""


class CvPictures:
    """The pictures of one clip, decoded by OpenCV's FFmpeg."""

    def __init__(self, clip: Path, target: str, log: FfmpegLog) -> None:
        """Open a clip.

        Args:
            clip: The file.
            target: The name by which OpenCV is to open it.
            log: Where FFmpeg's messages go.

        Raises:
            UnshowableError: OpenCV cannot open it.
        """
        self._clip = clip
        self._target = target
        self._log = log
        self._threads = min(MAX_THREADS, cv2.getNumberOfCPUs())
        self._capture: Any = None
        self.rewind()
        self.header = self._read_header()

    def close(self) -> None:
        """Release the file."""
        self._capture.release()

    def rewind(self) -> None:
        """Go back to before the first picture, by opening the clip anew: seeking is not exact."""
        if self._capture is not None:
            self._capture.release()
        self._capture = cv2.VideoCapture(
            self._target, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, self._threads]
        )
        if not self._capture.isOpened():
            raise UnshowableError("no video stream in it can be opened")

    def grab(self) -> bool:
        """Step to the next picture; False at the end and where data is damaged."""
        return bool(self._capture.grab())

    def time_s(self) -> float:
        """Shown time of the picture grabbed last, in seconds."""
        return float(self._capture.get(cv2.CAP_PROP_POS_MSEC)) / 1000

    def retrieve(self, out: Frames | None = None) -> Frames:
        """Convert the picture grabbed last to upright RGB `[H, W, 3]`, into `out` if given.

        Raises:
            UnshowableError: The conversion failed, by OpenCV's word or by FFmpeg's log.
        """
        image: Any = None
        try:
            converted, image = self._capture.retrieve(out)
        except cv2.error:
            converted = False
        if not converted or image is None:
            raise UnshowableError("its pictures cannot be converted")
        if self._log.shows_failed_conversion():
            raise UnshowableError("its pictures are interlaced", needs_av=True)
        if out is None or np.shares_memory(image, out):
            out = image
        elif image.shape != out.shape:
            image = cv2.resize(image, (out.shape[1], out.shape[0]), interpolation=cv2.INTER_AREA)
        cv2.cvtColor(image, cv2.COLOR_BGR2RGB, out)
        return out

    def _read_header(self) -> ClipHeader:
        get = self._capture.get
        code = max(0, int(get(cv2.CAP_PROP_FOURCC))).to_bytes(4, "little")
        name = code.decode("ascii", "replace").strip("\0 ").lower()
        count, fps = get(cv2.CAP_PROP_FRAME_COUNT), get(cv2.CAP_PROP_FPS)
        return ClipHeader(
            codec=CODECS.get(name, name),
            width_px=int(get(cv2.CAP_PROP_FRAME_WIDTH)),
            height_px=int(get(cv2.CAP_PROP_FRAME_HEIGHT)),
            rotation_deg=int(get(cv2.CAP_PROP_ORIENTATION_META)) % 360,
            fps=float(fps) if math.isfinite(fps) and fps > 0 else 0.0,
            frames_expected=int(count) if 0 < count <= MAX_FRAMES_EXPECTED else None,
            lists_pictures=is_mp4(self._clip),
            hidden=hidden_picture(self._clip),
        )
