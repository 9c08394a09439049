"""Reading the frames of one clip, in this process: the fast exact way, or the simple one.

The fast way (splicing) refuses whatever it does not fully understand, and then the simple one (scanning)
reads the whole clip. Both share the index arithmetic, so that the same frames come out whichever way was
taken, and whichever decoder (`opening`). Runs inside the decode worker.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil

from pllava_cli.errors import ClipError
from pllava_cli.phrases import counted
from pllava_cli.video.ffmpeg_log import FfmpegLog
from pllava_cli.video.index import SpliceRefused
from pllava_cli.video.limits import MAX_FRAMES_BYTES, MAX_FRAMES_SHARE
from pllava_cli.video.opening import Opening
from pllava_cli.video.report import ClipHeader, DecodeReport, Method, Timeline, make_report
from pllava_cli.video.sampling import Selection, choose
from pllava_cli.video.scan import Frames, Pictures, scan
from pllava_cli.video.splice import open_spliced


def new_frames(shape: tuple[int, ...]) -> Frames:
    """Allocate frames in this process's own memory."""
    return np.empty(shape, np.uint8)


class ClipReader(Opening[tuple[Frames, DecodeReport]]):
    """One clip, and one selection of its frames.

    `read` returns the frames, uint8 RGB `[n, H, W, 3]` upright, and how they were found; it raises a
    ClipError too if the segment lies outside the clip.
    """

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
        super().__init__(clip, log, progress)
        self.selection = selection
        self.allocate = allocate

    def _splice(self, header: ClipHeader) -> tuple[Frames, DecodeReport]:
        """Read only what the frames depend on.

        Raises:
            SpliceRefused: The clip is not one that can be read so.
        """
        spliced = open_spliced(self.clip)
        timeline = Timeline(spliced.times_s, complete=True)
        choice = choose(timeline.times_s, self.selection, header.fps, header.hidden)
        report = make_report(header, self.selection, choice, timeline, "splice")
        check_start(self.name, self.selection, report.duration_s)
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

    def _walk(self, pictures: Pictures, method: Method) -> tuple[Frames, DecodeReport]:
        found = scan(pictures, self.selection, self._allocate, self.progress)
        report = make_report(pictures.header, self.selection, found.choice, found.timeline, method)
        check_start(self.name, self.selection, report.duration_s)
        return found.frames, report

    def _allocate(self, shape: tuple[int, ...]) -> Frames:
        return allocated(self.name, shape, self.allocate)


def check_start(name: str, selection: Selection, duration_s: float) -> None:
    """Make sure that a segment starts within its clip, whose name is for the message.

    Raises:
        ClipError: It does not.
    """
    start_s = selection.start_s
    if start_s is not None and start_s > 0 and start_s >= duration_s:
        raise ClipError(
            f"{name} is {duration_s:.3f} s long, the segment starts at {start_s:g} s",
            "choose an earlier start",
        )


def allocated(name: str, shape: tuple[int, ...], allocate: Callable[[tuple[int, ...]], Frames]) -> Frames:
    """Make the array for a clip's frames.

    Args:
        name: The clip's, for the message.
        shape: `[n, H, W, 3]`.
        allocate: Makes it.

    Raises:
        ClipError: It takes more than a share of the memory that is free now.
    """
    n, height, width, channels = shape
    size = n * height * width * channels
    try:
        if size > _frames_limit():
            raise MemoryError
        return allocate(shape)
    except (MemoryError, OSError):
        of = f"of {width}x{height}"
        taken = counted(n, f"frame {of} takes", f"frames {of} take")
        raise ClipError(
            f"{name}: {taken} {size / 1e9:.1f} GB, more than there is",
            "ask for fewer frames, or scale the clip down",
        ) from None


def _frames_limit() -> int:
    """Bytes that the frames of one call may take: a share of the memory that is free now."""
    return min(MAX_FRAMES_BYTES, int(psutil.virtual_memory().available * MAX_FRAMES_SHARE))
