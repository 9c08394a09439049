"""The fast exact way to a clip's pictures: decode only what the wanted ones depend on.

Seeking with OpenCV is slow and, in some files, wrong. Here the container's index says which packets a
picture depends on; a small new index over exactly these packets is put in front of the clip, and OpenCV
decodes that from front to back. No seek is made, so none can miss: every picture is told by its position
in the splice, and anything unexpected raises `SpliceRefused`, upon which the caller decodes the whole clip.
"""

import math
import os
import stat
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np
from numpy.typing import NDArray

from pllava_cli.video.boxes import show_kind
from pllava_cli.video.index import PacketIndex, SpliceRefused, check_times
from pllava_cli.video.keyframes import mark_hidden
from pllava_cli.video.limits import MAX_PICTURE_PIXELS, MAX_THREADS
from pllava_cli.video.matroska import read_matroska
from pllava_cli.video.mp4 import read_mp4
from pllava_cli.video.mux import TICK_MS, splice_header
from pllava_cli.video.plan import plan_captures
from pllava_cli.video.probe import MP4_BOXES
from pllava_cli.video.streams import Stream, open_stream

MAX_REPLACED_BYTES = 256 << 20
"""Most bytes of rewritten packets carried in a splice's header."""

_TURNS = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}

Frames = NDArray[np.uint8]


def open_spliced(path: Path) -> "SplicedClip":
    """Read a clip's index.

    Raises:
        SpliceRefused: The clip is not one that can be spliced; the message says why.
    """
    with _opened(path) as (file, status):
        head = file.read(12)
        if head[4:8] in MP4_BOXES:
            index = read_mp4(file, status.st_size)
        elif head[:4] == b"\x1a\x45\xdf\xa3":
            index = read_matroska(file, status.st_size)
        else:
            raise SpliceRefused(f"no index is read from files that begin with {show_kind(head[:4])}")
        index = check_times(mark_hidden(index, file))
        open_stream(index, file)
        return SplicedClip(path, _identity(status), index)


class SplicedClip:
    """A clip whose index is known, so that its pictures can be had one by one."""

    def __init__(self, path: Path, identity: tuple[int, ...], index: PacketIndex) -> None:
        self._path = path
        self._identity = identity
        self.index = index
        """The container's index."""
        self.times_s = index.times_s
        """float64 [m]: shown time of every picture, in shown order, from the first one's."""

    def read(
        self,
        indices: Sequence[int],
        rotation_deg: int = 0,
        *,
        allocate: Callable[[tuple[int, ...]], Frames] | None = None,
        on_progress: Callable[[], None] | None = None,
    ) -> Frames:
        """Decode the pictures with the given positions in shown order.

        Args:
            indices: Ascending and distinct.
            rotation_deg: Clockwise turn that makes pictures upright: 0, 90, 180 or 270.
            allocate: Makes the array that is returned, given its shape; by default ordinary memory.
            on_progress: Called after every decoded picture, so that a long decode can be told from a
                hung one.

        Returns:
            uint8 RGB [k, H, W, 3], upright.

        Raises:
            SpliceRefused: The clip changed, or a picture did not come when the index says it would.
        """
        wanted = self.index.shown[np.asarray(indices, np.intp)]
        with _opened(self._path) as (file, status):
            if _identity(status) != self._identity:
                raise SpliceRefused("the clip was changed meanwhile")
            stream = open_stream(self.index, file)
            captures = plan_captures(self.index, stream, wanted.tolist())
            frames = _Frames(wanted, rotation_deg, allocate or _allocate)
            for packets in captures:
                with _spliced(self.index, stream, packets, file, self._path) as address:
                    _decode(address, self._in_order(packets), frames, on_progress)
            return frames.all()

    def _in_order(self, packets: NDArray[np.intp]) -> list[tuple[int, int]]:
        """Rank and packet of each picture the decoder gives out, as they come."""
        order = np.argsort(self.index.pts[packets], kind="stable")
        ranked = enumerate(packets[order].tolist())
        return [(rank, packet) for rank, packet in ranked if not self.index.is_hidden[packet]]

    def plan(self, indices: Sequence[int]) -> list[NDArray[np.intp]]:
        """Packet numbers that `read` decodes for these pictures, one array for each decoder."""
        with _opened(self._path) as (file, _):
            wanted = self.index.shown[np.asarray(indices, np.intp)].tolist()
            return plan_captures(self.index, open_stream(self.index, file), wanted)


class _Frames:
    """The array being filled; its size is known once the first picture is."""

    def __init__(self, wanted: NDArray[np.intp], rotation_deg: int, allocate: Callable[..., Frames]) -> None:
        self._allocate = allocate
        self.rows = {int(packet): row for row, packet in enumerate(wanted)}
        self._turn = _TURNS.get(rotation_deg)
        self._turned: Any = None
        self._frames: Frames | None = None
        self._filled = 0

    def put(self, row: int, picture: Any) -> None:
        """Store a picture as OpenCV hands it out, BGR and as coded."""
        if self._turn is not None:
            picture = self._turned = cv2.rotate(picture, self._turn, self._turned)
        if self._frames is None:
            self._frames = self._allocate((len(self.rows), *picture.shape))
        if picture.dtype != np.uint8 or picture.shape != self._frames.shape[1:]:
            raise SpliceRefused("the picture size changes midway")
        cv2.cvtColor(picture, cv2.COLOR_BGR2RGB, dst=self._frames[row])
        self._filled += 1

    def all(self) -> Frames:
        """The frames, once every one is there."""
        if self._frames is None or self._filled != len(self.rows):
            raise SpliceRefused("not every picture came")
        return self._frames


def _allocate(shape: tuple[int, ...]) -> Frames:
    return np.empty(shape, np.uint8)


def _decode(
    address: str, pictures: Sequence[tuple[int, int]], frames: _Frames, on_progress: Callable[[], None] | None
) -> None:
    """Decode one splice up to its last wanted picture, and store the wanted ones."""
    threads = min(MAX_THREADS, cv2.getNumberOfCPUs())
    capture = cv2.VideoCapture(address, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, threads])
    try:
        if not capture.isOpened():
            raise SpliceRefused("OpenCV cannot open the splice")
        sides = capture.get(cv2.CAP_PROP_FRAME_WIDTH), capture.get(cv2.CAP_PROP_FRAME_HEIGHT)
        if math.prod(sides) > MAX_PICTURE_PIXELS:
            raise SpliceRefused("the picture is too large")
        picture = None
        missing = sum(packet in frames.rows for _, packet in pictures)
        for rank, packet in pictures:
            if not missing:
                return
            if not capture.grab() or abs(capture.get(cv2.CAP_PROP_POS_MSEC) - rank * TICK_MS) > TICK_MS / 4:
                raise SpliceRefused("a picture did not come when the index says it would")
            row = frames.rows.get(packet)
            if row is not None:
                ok, picture = capture.retrieve(picture)
                if not ok:
                    raise SpliceRefused("a picture could not be converted")
                frames.put(row, picture)
                missing -= 1
            if on_progress:
                on_progress()
    except cv2.error as error:
        raise SpliceRefused("OpenCV failed on a picture") from error
    finally:
        capture.release()


@contextmanager
def _spliced(
    index: PacketIndex, stream: Stream, packets: NDArray[np.intp], file: BinaryIO, path: Path
) -> Iterator[str]:
    """Write a splice's header where OpenCV can read it; gives the address of header and clip joined."""
    replaced = {int(p): data for p in packets if (data := stream.replacement(int(p))) is not None}
    if sum(map(len, replaced.values())) > MAX_REPLACED_BYTES:
        raise SpliceRefused("too many packets would have to be rewritten")
    ranks = np.empty(packets.size, np.int64)
    ranks[np.argsort(index.pts[packets], kind="stable")] = np.arange(packets.size)
    described = replace(index, sample_entry=stream.sample_entry)
    header = splice_header(described, packets, ranks, replaced, os.fstat(file.fileno()).st_size)
    if hasattr(os, "memfd_create") and Path("/proc/self/fd").is_dir():
        with os.fdopen(os.memfd_create("pllava-splice"), "wb") as memory:
            memory.write(header)
            memory.flush()
            yield f"concat:/proc/self/fd/{memory.fileno()}|/proc/self/fd/{file.fileno()}"
        return
    if "|" in str(path):
        raise SpliceRefused("a name that cannot be joined to another")
    with tempfile.TemporaryDirectory(prefix="pllava-") as folder:
        name = Path(folder, "splice")
        name.write_bytes(header)
        yield f"concat:{name}|{path.absolute()}"


@contextmanager
def _opened(path: Path) -> Iterator[tuple[BinaryIO, os.stat_result]]:
    """The clip, open for reading, and what the file system says of it."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise SpliceRefused("not a regular file")
        with path.open("rb") as file:
            yield file, os.fstat(file.fileno())
    except OSError as error:
        raise SpliceRefused(f"the file cannot be read: {error.strerror}") from error


def _identity(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
