"""MPEG-4 part 2 in MP4: that its pictures are whole frames, and that its headers never change.

The codec of DivX, Xvid and early phones. Its pictures are not marked as unreferenced, so a run is
everything from a keyframe to the wanted picture.

Source: ISO/IEC 14496-2, 6.2.3 (video object layer) and 6.2.5; ISO/IEC 14496-1, 7.2.6 (descriptors).
"""

import re

from pllava_cli.video.boxes import ENTRY_HEADER, boxes
from pllava_cli.video.index import PacketIndex, SpliceRefused
from pllava_cli.video.sps import BitReader

MIN_PACKET_BYTES = 16
"""Packets below this may be "not coded" pictures, which a decoder passes over."""

_LAYER = re.compile(rb"\x00\x00\x01[\x20-\x2f](.*?)(?=\x00\x00\x01|\Z)", re.DOTALL)
_VISUAL, _RECTANGULAR, _EXTENDED_ASPECT, _INTRA = 0x20, 0, 15, 0


def check_mpeg4(index: PacketIndex, first_head: bytes) -> None:
    """Refuse streams that are interlaced, not MPEG-4 part 2, or that skip pictures.

    Args:
        index: The clip's index.
        first_head: The beginning of its first packet.

    Raises:
        SpliceRefused: The stream is one of these.
    """
    descriptors = boxes(index.sample_entry[ENTRY_HEADER:]).get(b"esds", [b""])[0]
    if _object_type(descriptors) != _VISUAL:
        raise SpliceRefused("a codec that is not MPEG-4 part 2")
    layers = _LAYER.findall(descriptors) + _LAYER.findall(first_head)
    if not layers or not all(map(_is_progressive, layers)):
        raise SpliceRefused("the video may be interlaced")
    if index.sizes.min() < MIN_PACKET_BYTES:
        raise SpliceRefused("pictures may be left out of the stream")


def mpeg4_identity(head: bytes) -> bytes:
    """The layer headers in front of an intra picture."""
    headers, _, picture = head.partition(b"\0\0\1\xb6")
    if not picture or picture[0] >> 6 != _INTRA:
        raise SpliceRefused("a keyframe that is none")
    return b"".join(_LAYER.findall(headers))


def _object_type(esds: bytes) -> int:
    """The codec named in an elementary stream descriptor; descriptor lengths take one to four bytes."""
    length = rb"[\x80-\xff]*[\x00-\x7f]"
    match = re.match(rb".{4}\x03" + length + rb".{2}\x00\x04" + length + rb"(.)", esds, re.DOTALL)
    return match[1][0] if match else 0


def _is_progressive(layer: bytes) -> bool:
    bits = BitReader(layer)
    bits.u(1 + 8)
    version = 1
    if bits.u(1):
        version = bits.u(4)
        bits.u(3)
    if bits.u(4) == _EXTENDED_ASPECT:
        bits.u(16)
    if bits.u(1):
        bits.u(3)
        if bits.u(1):
            bits.u(79)
    if bits.u(2) != _RECTANGULAR or version > 5:
        raise SpliceRefused("pictures of arbitrary shape")
    bits.u(1)
    resolution = bits.u(16)
    bits.u(1)
    if bits.u(1):
        bits.u(max(1, (resolution - 1).bit_length()))
    bits.u(1 + 13 + 1 + 13 + 1)
    return not bits.u(1)
