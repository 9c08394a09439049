"""What the packets of VP8, VP9, Motion JPEG and ProRes say of themselves in their first bytes.

For a keyframe that is its identity, which holds format and size. Two keyframes with one identity are decoded
alike, wherever in the clip a decoder starts. A packet that the container calls a keyframe, but that is none,
is refused: containers are not always right.
"""

from dataclasses import replace
from typing import BinaryIO

import numpy as np

from pllava_cli.video.colour import check_matrix
from pllava_cli.video.index import PacketIndex, SpliceRefused, read_exactly


def vp8_identity(head: bytes) -> bytes:
    """The size in a VP8 keyframe header (RFC 6386, 9.1)."""
    if len(head) < 10 or head[0] & 1 or head[3:6] != b"\x9d\x01\x2a":
        raise SpliceRefused("a keyframe that is none")
    return head[6:10]


def vp9_identity(head: bytes) -> bytes:
    """Format and size in a VP9 keyframe header (VP9 bitstream specification, 6.2).

    With profile 0 the size ends after 68 bits; other profiles have a little more before it, so a few
    bits behind the size are compared too, which can only refuse more.
    """
    if len(head) < 11:
        raise SpliceRefused("a keyframe that is none")
    is_inter = head[0] & (2 if head[0] & 0x30 == 0x30 else 4)
    if is_inter or head[1:4] != b"\x49\x83\x42":
        raise SpliceRefused("a keyframe that is none")
    if head[0] & 0x30:
        return head[1:10]
    return head[1:8] + bytes((head[8] & 0xF0,))


def mjpeg_identity(head: bytes) -> bytes:
    """The size in a JPEG's frame header (ITU-T T.81, B.2.2); interlaced ones are refused."""
    at = 2
    while at + 9 <= len(head) and head[at] == 255:
        marker, length = head[at + 1], int.from_bytes(head[at + 2 : at + 4], "big")
        if marker == 0xE0 and head[at + 4 : at + 8] == b"AVI1":
            break
        if marker in (0xC0, 0xC1, 0xC2):
            return head[at + 4 : at + 9]
        at += 2 + length
    raise SpliceRefused("a JPEG of an unusual kind")


def prores_identity(head: bytes) -> bytes:
    """Format and size in a ProRes frame header (SMPTE RDD 36, 5.1.1); interlaced ones are refused."""
    if len(head) < 28 or head[4:8] != b"icpf" or head[20] & 12:
        raise SpliceRefused("an interlaced or unusual ProRes picture")
    check_matrix(head[24])
    return head[16:21]


def mark_hidden(index: PacketIndex, file: BinaryIO) -> PacketIndex:
    """The index with hidden pictures marked: VP8 and VP9 keep some only to refer to them."""
    if index.codec not in ("vp8", "vp9"):
        return index
    is_hidden = _is_hidden_vp8 if index.codec == "vp8" else _is_hidden_vp9
    ends = zip(index.offsets.tolist(), (index.offsets + index.sizes - 1).tolist(), strict=True)
    return replace(index, is_hidden=np.array([is_hidden(file, first, last) for first, last in ends]))


def _is_hidden_vp8(file: BinaryIO, first: int, last: int) -> bool:
    """RFC 6386, 9.1: the show_frame bit."""
    return not read_exactly(file, first, 1)[0] & 16


def _is_hidden_vp9(file: BinaryIO, first: int, last: int) -> bool:
    """VP9 bitstream specification, 6.2 and annex B: a superframe ends in a picture that is shown."""
    head = read_exactly(file, first, 1)[0]
    shows = head & 5 if head & 0x30 == 0x30 else head & 10
    return not shows and read_exactly(file, last, 1)[0] & 0xE0 != 0xC0
