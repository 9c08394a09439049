"""One clip opened by whichever decoder can show it: OpenCV, or PyAV where that cannot.

What is then done with its pictures is a subclass's matter: frames are taken (`decode`), or shots found
(`shots`). Runs inside the decode worker.
"""

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from pllava_cli.errors import ClipError
from pllava_cli.video.capture import CvPictures
from pllava_cli.video.ffmpeg_log import FfmpegLog
from pllava_cli.video.index import SpliceRefused
from pllava_cli.video.limits import MAX_PICTURE_PIXELS
from pllava_cli.video.probe import is_mp4, plain_name, shown_name
from pllava_cli.video.report import ClipHeader, Method
from pllava_cli.video.scan import NothingDecodedError, Pictures, UnshowableError

INSTALL_AV_HINT = "pip install 'pllava[av]'"
DAMAGED_HINT = "check that it plays, or convert it: ffmpeg -i CLIP converted.mp4"

Read = TypeVar("Read")


class Opening(ABC, Generic[Read]):
    """One clip, and the ways to read it."""

    def __init__(self, clip: Path, log: FfmpegLog, progress: Callable[[], None] = lambda: None) -> None:
        """Prepare to read; nothing is opened yet.

        Args:
            clip: Absolute path of a regular file.
            log: Where FFmpeg's messages go.
            progress: Called while the work goes on.
        """
        self.clip = clip
        self.name = shown_name(clip)
        self.log = log
        self.progress = progress

    @abstractmethod
    def _walk(self, pictures: Pictures, method: Method) -> Read:
        """Read the clip picture by picture.

        Raises:
            NothingDecodedError: Not a single picture could be decoded.
            UnshowableError: This decoder cannot show the clip rightly.
        """

    def _splice(self, header: ClipHeader) -> Read:
        """Read only what the frames depend on, where that is enough.

        Raises:
            SpliceRefused: It is not, or the clip is not one that can be read so.
        """
        raise SpliceRefused("every picture is wanted")

    def read(self) -> Read:
        """Read the clip.

        Raises:
            ClipError: The clip cannot be decoded, or what is asked of it cannot be had.
        """
        self.log.clear()
        with plain_name(self.clip) as target:
            try:
                return self._read_with_opencv(target)
            except UnshowableError as cause:
                return self._read_with_pyav(target, cause)

    def _read_with_opencv(self, target: str) -> Read:
        """Read by OpenCV.

        Raises:
            UnshowableError: OpenCV cannot show this clip rightly.
        """
        with contextlib.closing(CvPictures(self.clip, target, self.log)) as pictures:
            self._check_picture(pictures.header)
            try:
                return self._splice(pictures.header)
            except SpliceRefused:
                self.log.clear()
            try:
                return self._walk(pictures, "scan")
            except NothingDecodedError:
                if pictures.header.codec == "av1":
                    raise UnshowableError("OpenCV cannot decode its AV1 pictures", needs_av=True) from None
                raise UnshowableError("no picture in it can be decoded") from None

    def _read_with_pyav(self, target: str, cause: UnshowableError) -> Read:
        """Read by PyAV what OpenCV cannot show because of `cause`."""
        try:
            from pllava_cli.video.pyav import AvPictures
        except ImportError:
            raise self._error(cause.reason, INSTALL_AV_HINT if cause.needs_av else DAMAGED_HINT) from None
        try:
            with contextlib.closing(AvPictures(self.clip, target)) as pictures:
                self._check_picture(pictures.header)
                return self._walk(pictures, "pyav")
        except NothingDecodedError:
            raise self._error("no picture in it can be decoded") from None
        except UnshowableError as second:
            raise self._error(second.reason) from None

    def _check_picture(self, header: ClipHeader) -> None:
        if header.width_px * header.height_px > MAX_PICTURE_PIXELS:
            size = f"{header.width_px}x{header.height_px}"
            raise self._error(
                f"its pictures of {size} are larger than {MAX_PICTURE_PIXELS // 1_000_000} megapixels",
                "scale it down: ffmpeg -i CLIP -vf scale=1920:-2 smaller.mp4",
            )

    def _error(self, reason: str, hint: str = DAMAGED_HINT) -> ClipError:
        if is_mp4(self.clip) and b"moov atom not found" in self.log.text():
            reason = "its index (moov) is missing, as in a recording that was cut off"
        return ClipError(f"{self.name}: {reason}", hint)
