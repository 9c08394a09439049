"""A folder of frames as a clip: pictures numbered from 1, taken from a video three times a second.

The form in which MVBench keeps the clips of its episodic reasoning (TVQA): `00001.jpg`, `00002.jpg`, ...
The number in a picture's name says when it is shown, so that a picture that is missing is an error and
not an earlier end. Runs inside the decode worker.
"""

import os
import re
from collections.abc import Callable
from pathlib import Path
from stat import S_ISREG

import cv2
import numpy as np

from pllava_cli.errors import ClipError
from pllava_cli.video.decode import allocated, check_start, new_frames
from pllava_cli.video.limits import MAX_PICTURE_FILE_BYTES, MAX_PICTURE_PIXELS, MAX_PICTURES
from pllava_cli.video.probe import shown_name
from pllava_cli.video.report import ClipHeader, DecodeReport, Timeline, make_report
from pllava_cli.video.sampling import Choice, Selection, numbered_indices
from pllava_cli.video.scan import Frames

FRAMES_FPS = 3.0
"""Pictures a second of a folder of frames. Source: tvqa/frames_fps3_hq of MVBench (OpenGVLab/MVBench)."""
CODEC = "images"
"""What a report says in place of a codec's name."""
HINT = "take the frames from the video again: ffmpeg -i CLIP -vf fps=3 FOLDER/%05d.jpg"

_PICTURE = re.compile(r"(?!\.).*?(\d{1,9})\.(?:jpe?g|png)", re.ASCII | re.IGNORECASE | re.DOTALL)
"""Hidden files are none: other systems leave such ones beside the pictures."""
_LOOK_EVERY = 1000
"""Names between two signs of life: over a network a folder may list slowly."""


class FolderReader:
    """One folder of frames, and one selection of them.

    Args:
        folder: Its absolute path.
        selection: How many frames, and of which segment.
        allocate: Makes the array for the frames from its shape.
        progress: Called while the work goes on.
    """

    def __init__(
        self,
        folder: Path,
        selection: Selection,
        allocate: Callable[[tuple[int, ...]], Frames] = new_frames,
        progress: Callable[[], None] = lambda: None,
    ) -> None:
        self.folder, self.selection = folder, selection
        self.allocate, self.progress = allocate, progress
        self.name = shown_name(folder)

    def read(self) -> tuple[Frames, DecodeReport]:
        """Read the frames.

        Returns:
            Uint8 RGB `[n, H, W, 3]`, upright, and how they were found; its indices are the pictures'
            numbers, counted from 1.

        Raises:
            ClipError: There are no pictures, one of them is missing, cannot be read or is of another size,
                or the segment lies behind the last one.
        """
        names = self._names()
        selection, count = self.selection, len(names)
        check_start(self.name, selection, count / FRAMES_FPS)
        numbers = numbered_indices(count, selection.n, FRAMES_FPS, selection.start_s, selection.end_s)
        frames = self._frames(names, numbers)
        height, width = frames.shape[1:3]
        header = ClipHeader(CODEC, width, height, 0, FRAMES_FPS, count, lists_pictures=False, hidden=None)
        choice = Choice(numbers, [number - 1 for number in numbers])
        timeline = Timeline(np.arange(count) / FRAMES_FPS, complete=True)
        return frames, make_report(header, selection, choice, timeline, "images")

    def _names(self) -> list[str]:
        """Return the names of the pictures in the order of their numbers, which leave no gap."""
        found: dict[int, str] = {}
        try:
            with os.scandir(self.folder) as entries:
                for seen, entry in enumerate(entries):
                    if seen % _LOOK_EVERY == 0:
                        self.progress()
                    self._note(found, entry.name)
        except OSError as error:
            raise ClipError(
                f"{self.name} cannot be read: {error.strerror or error}", "check the folder's permissions"
            ) from None
        if not found:
            raise ClipError(
                f"{self.name} is a folder without numbered pictures (00001.jpg, ...)",
                "name a video file, or a folder of frames",
            )
        first = min(found.keys() & {0, 1}, default=1)
        gap = next((number for number in range(first, first + len(found)) if number not in found), None)
        if gap is not None:
            raise ClipError(f"{self.name}: picture {gap} is missing among {len(found)}", HINT)
        return [found[number] for number in range(first, first + len(found))]

    def _note(self, found: dict[int, str], name: str) -> None:
        match = _PICTURE.fullmatch(name)
        if match is None:
            return
        number = int(match[1])
        if number in found:
            names = " and ".join(sorted(map(shown_name, (found[number], name))))
            raise ClipError(f"{self.name}: {names} have the same number", "leave one of them in the folder")
        if len(found) == MAX_PICTURES:
            raise ClipError(f"{self.name} holds more than {MAX_PICTURES} pictures", "split the folder")
        found[number] = name

    def _frames(self, names: list[str], numbers: list[int]) -> Frames:
        frames: Frames | None = None
        for row, number in enumerate(numbers):
            self.progress()
            if frames is not None and number == numbers[row - 1]:
                frames[row] = frames[row - 1]
                continue
            file = self.folder / names[number - 1]
            picture = _picture(file)
            if frames is None:
                frames = allocated(self.name, (len(numbers), *picture.shape), self.allocate)
            if picture.shape != frames.shape[1:]:
                sizes = [f"{shape[1]}x{shape[0]}" for shape in (picture.shape, frames.shape[1:])]
                raise ClipError(f"{shown_name(file)} is {sizes[0]}, pictures before it are {sizes[1]}", HINT)
            frames[row] = picture
        assert frames is not None  # there is at least one number
        return frames


def _picture(file: Path) -> Frames:
    """Read a picture as upright RGB `[H, W, 3]`.

    Raises:
        ClipError: It cannot be read.
    """
    raw = _bytes(file)
    try:
        image = cv2.imdecode(np.frombuffer(raw, np.uint8), cv2.IMREAD_COLOR) if raw else None
    except cv2.error:  # so it says that it is too large
        image = None
        reason = f"cannot be read as a picture of at most {MAX_PICTURE_PIXELS // 1_000_000} megapixels"
    else:
        reason = "cannot be read as a picture" if raw else "is empty (0 bytes)"
    if image is None:
        raise ClipError(f"{shown_name(file)} {reason}", HINT)
    if image.shape[0] * image.shape[1] > MAX_PICTURE_PIXELS:
        raise ClipError(
            f"{shown_name(file)} is larger than {MAX_PICTURE_PIXELS // 1_000_000} megapixels", HINT
        )
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


def _bytes(file: Path) -> bytes:
    """Read a file that may be anything, a pipe too."""
    try:
        status = file.stat()
        if not S_ISREG(status.st_mode):
            raise ClipError(f"{shown_name(file)} is no file", HINT)
        if status.st_size > MAX_PICTURE_FILE_BYTES:
            raise ClipError(
                f"{shown_name(file)} is larger than {MAX_PICTURE_FILE_BYTES >> 20} MiB, too large a picture",
                HINT,
            )
        return file.read_bytes()
    except OSError as error:
        raise ClipError(f"{shown_name(file)} cannot be read: {error.strerror or error}", HINT) from None
