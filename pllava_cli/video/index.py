"""What a container says about its one video track: where each packet lies and when it is shown.

Both container readers (`mp4`, `matroska`) end in the same table, and everything after them knows no
container any more. The table is read, bounded and checked as a whole before anything trusts it: a
clip that is in any way unusual is refused, and the caller decodes it from front to back instead.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

MAX_PACKETS = 10_000_000
"""46 hours at 60 pictures a second; a table that claims more is refused before it is expanded."""
MIN_DISTANCE_S = 1e-5
"""Pictures closer together have no times of their own: nothing films at 100,000 pictures a second."""


class SpliceRefused(Exception):  # noqa: N818 - a refusal is an answer, not an error
    """The fast path does not apply to this clip, or something did not match; `str()` is the reason."""


class Packets(NamedTuple):
    """What a table of packets holds: arrays of one length, in decoding order, as in `PacketIndex`."""

    pts: NDArray[np.int64]
    offsets: NDArray[np.int64]
    sizes: NDArray[np.int64]
    is_key: NDArray[np.bool_]


@dataclass(frozen=True)
class PacketIndex:
    """The packets of a clip's video track, all arrays of length n and in decoding order."""

    codec: str
    """`h264`, `hevc`, `vp8`, `vp9`, `av1`, `mpeg4`, `mjpeg`, or `prores`."""
    sample_entry: bytes
    """The track's description as an ISO base media sample entry (one child of an `stsd` box)."""
    brand: bytes
    """The file's own `ftyp` box, or one made for it: QuickTime and ISO entries are read differently."""
    tick_s: float
    """Length of one unit of `pts` in seconds."""
    pts: NDArray[np.int64]
    """When each packet's picture is shown, in ticks."""
    offsets: NDArray[np.int64]
    """Position of each packet's first byte in the file."""
    sizes: NDArray[np.int64]
    """Length of each packet in bytes."""
    is_key: NDArray[np.bool_]
    """Whether decoding may start at the packet."""
    is_shown: NDArray[np.bool_]
    """False for pictures outside the edit list: decoded, but not part of the clip."""
    is_hidden: NDArray[np.bool_]
    """True for pictures that the decoder never gives out, only there to be referred to."""

    @cached_property
    def shown(self) -> NDArray[np.intp]:
        """Packet numbers of the shown pictures, in the order of their time."""
        packets = np.flatnonzero(self.is_shown & ~self.is_hidden)
        return packets[np.argsort(self.pts[packets], kind="stable")]

    @cached_property
    def times_s(self) -> NDArray[np.float64]:
        """Shown time of every picture in shown order, from the first one's."""
        pts = self.pts[self.shown]
        times: NDArray[np.float64] = (pts - pts[0]) * self.tick_s
        return times

    @cached_property
    def keys(self) -> NDArray[np.intp]:
        """Packet numbers of the keyframes."""
        return np.flatnonzero(self.is_key)


def check_bytes(index: PacketIndex, file_size: int) -> PacketIndex:
    """Return the index if its packets lie within the file and the first is a keyframe.

    Raises:
        SpliceRefused: They do not, or there are none.
    """
    if not index.sizes.size or index.sizes.min() <= 0 or index.offsets.min() < 0:
        raise SpliceRefused("the index names no packets, or empty ones")
    if (index.offsets > file_size - index.sizes).any():
        raise SpliceRefused("the index names bytes that the file does not have")
    if not index.is_key[0]:
        raise SpliceRefused("the first packet is no keyframe")
    return index


def check_times(index: PacketIndex) -> PacketIndex:
    """Return the index if its shown pictures have times of their own, none before the first keyframe's.

    Raises:
        SpliceRefused: Two share one time, or the first refers to something that is not in the file.
    """
    if not index.shown.size or (np.diff(index.times_s) < MIN_DISTANCE_S).any():
        raise SpliceRefused("no picture is shown, or two at the same time")
    first = index.shown[0]
    key = index.keys[np.searchsorted(index.keys, first, side="right") - 1]
    if index.pts[first] < index.pts[key]:
        raise SpliceRefused("the first picture refers to one before the first keyframe")
    return index


def read_exactly(file: BinaryIO, offset: int, size: int) -> bytes:
    """Read `size` bytes at `offset`, or refuse."""
    file.seek(offset)
    data = file.read(size)
    if len(data) != size:
        raise SpliceRefused("the file ends too early")
    return data
