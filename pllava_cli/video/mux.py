"""A new MP4 index over bytes that lie elsewhere: how packets are handed to the decoder without copying.

The header written here stands in front of the clip itself (FFmpeg's `concat:` protocol joins the two),
and its sample table points into the clip. So a splice of any size costs a few kilobytes, and only
packets that had to be changed are carried along, in the header's own media box. Times are positions:
packet ranks on a grid of `TICK_MS`, so that the decoder's clock says which picture it is showing.

Source: ISO/IEC 14496-12.
"""

import struct
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from pllava_cli.video.boxes import box, full_box
from pllava_cli.video.index import PacketIndex

TICK_MS = 40.0
"""Distance of two pictures in a splice; an ordinary rate, so that no reader finds it odd."""

_IDENTITY = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)


def splice_header(
    index: PacketIndex,
    packets: NDArray[np.intp],
    ranks: NDArray[np.int64],
    replaced: Mapping[int, bytes],
    file_size: int,
) -> bytes:
    """Build what precedes the clip: `ftyp`, `moov`, and the head of an `mdat` that spans the clip.

    Args:
        index: The clip's index.
        packets: Packet numbers to decode, in decoding order.
        ranks: Position of each of these in the order of showing, a permutation of 0..len - 1.
        replaced: Packets whose bytes are not the file's.
        file_size: Length of the clip in bytes.
    """
    payload = b"".join(replaced.values())
    sizes = index.sizes[packets].copy()
    offsets = index.offsets[packets].copy()
    in_clip = np.ones(packets.size, np.bool_)
    at = 0
    for packet, data in replaced.items():
        where = packets == packet
        sizes[where], offsets[where], in_clip[where] = len(data), at, False
        at += len(data)
    # The index's own length does not depend on the offsets in it, so it is built twice.
    head = index.brand + _moov(packets.size, _tables(index, packets, ranks, sizes, offsets))
    base = len(head) + 16
    offsets += np.where(in_clip, base + len(payload), base)
    media = struct.pack(">I4sQ", 1, b"mdat", 16 + len(payload) + file_size)
    movie = _moov(packets.size, _tables(index, packets, ranks, sizes, offsets))
    return index.brand + movie + media + payload


def _moov(count: int, tables: bytes) -> bytes:
    """The movie's box: one track of so many pictures, around its sample tables."""
    stamps = struct.pack(">IIII", 0, 0, round(1000 / TICK_MS), count)
    rate_and_volume = struct.pack(">IH10x", 1 << 16, 1 << 8)
    movie = full_box(b"mvhd", stamps, rate_and_volume, _IDENTITY, bytes(24), struct.pack(">I", 2))
    enabled = struct.pack(">IIIIII", 3, 0, 0, 1, 0, count)
    track = box(b"tkhd", enabled, bytes(16), _IDENTITY, bytes(8))
    media = box(
        b"mdia",
        full_box(b"mdhd", stamps, struct.pack(">HH", 0x55C4, 0)),
        full_box(b"hdlr", struct.pack(">4s4s12xx", bytes(4), b"vide")),
        box(b"minf", tables),
    )
    return box(b"moov", movie, box(b"trak", track, media))


def _tables(
    index: PacketIndex,
    packets: NDArray[np.intp],
    ranks: NDArray[np.int64],
    sizes: NDArray[np.int64],
    offsets: NDArray[np.int64],
) -> bytes:
    """The sample tables: one packet a chunk, one tick a packet."""
    count = packets.size
    # Shown no earlier than decoded, and never at 0, which OpenCV takes for "not known".
    shifts = ranks - np.arange(count)
    shifts += 1 - shifts.min()
    keys = np.flatnonzero(index.is_key[packets]) + 1
    runs = np.stack([np.ones(count, np.int64), shifts], axis=1)
    return box(
        b"stbl",
        full_box(b"stsd", struct.pack(">I", 1), index.sample_entry),
        full_box(b"stts", struct.pack(">III", 1, count, 1)),
        full_box(b"ctts", struct.pack(">I", count), runs.astype(">u4").tobytes()),
        full_box(b"stss", struct.pack(">I", keys.size), keys.astype(">u4").tobytes()),
        full_box(b"stsc", struct.pack(">IIII", 1, 1, 1, 1)),
        full_box(b"stsz", struct.pack(">II", 0, count), sizes.astype(">u4").tobytes()),
        full_box(b"co64", struct.pack(">I", count), offsets.astype(">u8").tobytes()),
    )
