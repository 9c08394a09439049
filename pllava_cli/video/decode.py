"""Reading the frames of one clip, in this process: the fast exact way, the simple one, or PyAV.

The fast way (splicing) refuses whatever it does not fully understand, and then the simple one (scanning)
reads the whole clip. PyAV is asked last, where OpenCV cannot show the clip rightly. All three share the
index arithmetic, so that the same frames come out whichever way was taken. Runs inside the decode worker.
"""

import contextlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil

from pllava_cli.errors import ClipError
from pllava_cli.video.capture import CvPictures
from pllava_cli.video.ffmpeg_log import FfmpegLog
from pllava_cli.video.limits import MAX_FRAMES_BYTES, MAX_FRAMES_SHARE, MAX_PICTURE_PIXELS
from pllava_cli.video.probe import is_mp4, plain_name, shown_name
from pllava_cli.video.report import ClipHeader, DecodeReport, Method, Timeline, make_report
from pllava_cli.video.sampling import Selection, choose
from pllava_cli.video.scan import Frames, NothingDecodedError, Pictures, UnshowableError, scan
from pllava_cli.video.splice import SpliceRefused, open_spliced

INSTALL_AV_HINT = "pip install 'pllava[av]'"
DAMAGED_HINT = "check that it plays, or convert it: ffmpeg -i CLIP converted.mp4"


def new_frames(shape: tuple[int, ...]) -> Frames:
    """Allocate frames in this process's own memory."""
    return np.empty(shape, np.uint8)


class ClipReader:
    """One clip, one selection, and the ways to read it."""

    def __init__(
        self,
        clip: Path,
        selection: Selection,
        log: FfmpegLog,
        allocate: Callable[[tuple[int, ...]], Frames] = new_frames,
        progress: Callable[[], None] = lambda: None,
    ) -> None:
        """Prepare to read; nothing is opened yet.

        Args:
            clip: Absolute path of a regular file.
            selection: How many frames, and of which segment.
            log: Where FFmpeg's messages go.
            allocate: Makes the array for the frames from its shape.
            progress: Called while the work goes on.
        """
        self.clip = clip
        self.name = shown_name(clip)
        self.selection = selection
        self.log = log
        self.allocate = allocate
        self.progress = progress

    def read(self) -> tuple[Frames, DecodeReport]:
        """Return the frames, uint8 RGB `[n, H, W, 3]` upright, and how they were found.

        Raises:
            ClipError: The clip cannot be decoded, or the segment lies outside it.
        """
        self.log.clear()
        with plain_name(self.clip) as target:
            try:
                return self.read_with_opencv(target)
            except UnshowableError as cause:
                return self.read_with_pyav(target, cause)

    def read_with_opencv(self, target: str) -> tuple[Frames, DecodeReport]:
        """Read by OpenCV.

        Raises:
            UnshowableError: OpenCV cannot show this clip rightly.
        """
        with contextlib.closing(CvPictures(self.clip, target, self.log)) as pictures:
            try:
                return self._splice(pictures.header)
            except SpliceRefused:
                self.log.clear()
            try:
                return self._scan(pictures, "scan")
            except NothingDecodedError:
                if pictures.header.codec == "av1":
                    raise UnshowableError("OpenCV cannot decode its AV1 pictures", needs_av=True) from None
                raise UnshowableError("no picture in it can be decoded") from None

    def read_with_pyav(self, target: str, cause: UnshowableError) -> tuple[Frames, DecodeReport]:
        """Read by PyAV what OpenCV cannot show because of `cause`."""
        try:
            from pllava_cli.video.pyav import AvPictures
        except ImportError:
            raise self._error(cause.reason, INSTALL_AV_HINT if cause.needs_av else DAMAGED_HINT) from None
        try:
            with contextlib.closing(AvPictures(self.clip, target)) as pictures:
                return self._scan(pictures, "pyav")
        except NothingDecodedError:
            raise self._error("no picture in it can be decoded") from None
        except UnshowableError as second:
            raise self._error(second.reason) from None

    def _splice(self, header: ClipHeader) -> tuple[Frames, DecodeReport]:
        """Read only what the frames depend on.

        Raises:
            SpliceRefused: The clip is not one that can be read so.
        """
        self._check_picture(header)
        spliced = open_spliced(self.clip)
        timeline = Timeline(spliced.times_s, complete=True)
        choice = choose(timeline.times_s, self.selection, header.fps, header.hidden)
        report = make_report(header, self.selection, choice, timeline, "splice")
        self._check_segment(report)
        distinct, rows = np.unique(choice.shown, return_inverse=True)
        frames: Frames | None = None

        def allocate(shape: tuple[int, ...]) -> Frames:
            nonlocal frames
            frames = self._allocate((len(rows), *shape[1:]))
            return frames[: shape[0]]

        spliced.read(distinct.tolist(), header.rotation_deg, allocate=allocate, on_progress=self.progress)
        if frames is None or self.log.shows_failed_conversion():
            raise SpliceRefused("its pictures are interlaced")
        # The distinct frames stand at the front; from the back each finds its place, repeated or not.
        for row in range(len(rows) - 1, -1, -1):
            if rows[row] != row:
                frames[row] = frames[rows[row]]
        return frames, report

    def _scan(self, pictures: Pictures, method: Method) -> tuple[Frames, DecodeReport]:
        self._check_picture(pictures.header)
        found = scan(pictures, self.selection, self._allocate, self.progress)
        report = make_report(pictures.header, self.selection, found.choice, found.timeline, method)
        self._check_segment(report)
        return found.frames, report

    def _check_picture(self, header: ClipHeader) -> None:
        if header.width_px * header.height_px > MAX_PICTURE_PIXELS:
            size = f"{header.width_px}x{header.height_px}"
            raise self._error(
                f"its pictures of {size} are larger than {MAX_PICTURE_PIXELS // 1_000_000} megapixels",
                "scale it down: ffmpeg -i CLIP -vf scale=1920:-2 smaller.mp4",
            )

    def _check_segment(self, report: DecodeReport) -> None:
        start_s = self.selection.start_s
        if start_s is not None and start_s > 0 and start_s >= report.duration_s:
            raise ClipError(
                f"{self.name} is {report.duration_s:.3f} s long, the segment starts at {start_s:g} s",
                "choose an earlier start",
            )

    def _allocate(self, shape: tuple[int, ...]) -> Frames:
        n, height, width, channels = shape
        size = n * height * width * channels
        try:
            if size > _frames_limit():
                raise MemoryError
            return self.allocate(shape)
        except (MemoryError, OSError):
            raise self._error(
                f"{n} frames of {width}x{height} take {size / 1e9:.1f} GB, more than there is",
                "ask for fewer frames, or scale the clip down",
            ) from None

    def _error(self, reason: str, hint: str = DAMAGED_HINT) -> ClipError:
        if is_mp4(self.clip) and b"moov atom not found" in self.log.text():
            reason = "its index (moov) is missing, as in a recording that was cut off"
        return ClipError(f"{self.name}: {reason}", hint)


def _frames_limit() -> int:
    """Bytes that the frames of one call may take: a share of the memory that is free now."""
    return min(MAX_FRAMES_BYTES, int(psutil.virtual_memory().available * MAX_FRAMES_SHARE))
