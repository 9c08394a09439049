"""Packets of H.264 and HEVC: which pictures may start a run, and which nobody refers to.

Both standards write into each packet's first bytes what other pictures may do with it. That is all
that is read here: the headers up to the first slice, never the slice. What the headers may say is
held against the track's description, so that a stream which changes its parameters midway is refused.

Source: ITU-T H.264, 7.3.1, 7.4.1.2, D.2.8 and Annex B of ISO/IEC 14496-15 for the records; ITU-T H.265,
7.3.1.2, 7.4.2.2 and table 7-1.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from pllava_cli.video.colour import UNSPECIFIED
from pllava_cli.video.index import SpliceRefused, read_exactly
from pllava_cli.video.pictures import Picture, Start
from pllava_cli.video.sps import MAX_UNIT_BYTES, BitReader, unescape

MAX_UNITS = 256
"""NAL units looked at before a packet's first slice."""

_RECOVERY_POINT, _ALTERNATIVE_TRANSFER = 6, 147


@dataclass(frozen=True)
class DecoderRecord:
    """The parameter sets in an `avcC` or `hvcC` box."""

    length_bytes: int
    """Bytes of the length in front of every NAL unit of the stream."""
    sets: frozenset[bytes]
    """Every parameter set, as a NAL unit; some writers leave zeros behind it, which are not part of it."""
    sps: tuple[bytes, ...]
    """The sequence parameter sets, as they stand in the record."""


def parse_record(record: bytes, codec: str) -> DecoderRecord:
    """Read the decoder configuration record of `h264` or `hevc`.

    Raises:
        SpliceRefused: The record is broken or names no parameter set.
    """
    try:
        units = list(_avcc_units(record) if codec == "h264" else _hvcc_units(record))
        length_bytes = (record[4 if codec == "h264" else 21] & 3) + 1
    except (IndexError, struct.error) as error:
        raise SpliceRefused("a broken decoder record") from error
    sps_kind = 7 if codec == "h264" else 33
    sps = tuple(unit for unit in units if unit_kind(unit, codec) == sps_kind)
    if not sps or length_bytes == 3:
        raise SpliceRefused("the track's description has no sequence parameters")
    return DecoderRecord(length_bytes, frozenset(unit.rstrip(b"\0") for unit in units), sps)


def _counted(record: bytes, at: int, count: int) -> Iterator[tuple[bytes, int]]:
    for _ in range(count):
        (size,) = struct.unpack_from(">H", record, at)
        unit = record[at + 2 : at + 2 + size]
        if size < 2 or len(unit) != size:
            raise SpliceRefused("a broken decoder record")
        at += 2 + size
        yield unit, at


def _avcc_units(record: bytes) -> Iterator[bytes]:
    at = 5
    for mask in (31, 255):
        count, at = record[at] & mask, at + 1
        for unit, following in _counted(record, at, count):
            at = following
            yield unit


def _hvcc_units(record: bytes) -> Iterator[bytes]:
    at = 23
    for _ in range(record[22]):
        (count,) = struct.unpack_from(">H", record, at + 1)
        at += 3
        for unit, following in _counted(record, at, count):
            at = following
            yield unit


def unit_kind(unit: bytes, codec: str) -> int:
    """The type of a NAL unit."""
    return unit[0] & 31 if codec == "h264" else unit[0] >> 1 & 63


def leading_units(
    file: BinaryIO, offset: int, size: int, record: DecoderRecord, codec: str
) -> Iterator[tuple[bytes, int, int]]:
    """Yield the NAL units of a packet up to its first slice: header (2 bytes), position, length.

    Raises:
        SpliceRefused: The packet's lengths do not add up, or there is no slice in it.
    """
    at, end = offset, offset + size
    for _ in range(MAX_UNITS):
        if at + record.length_bytes + 2 > end:
            break
        head = read_exactly(file, at, record.length_bytes + 2)
        length = int.from_bytes(head[:-2], "big")
        at += record.length_bytes
        if length < 2 or at + length > end:
            break
        yield head[-2:], at, length
        kind = unit_kind(head[-2:], codec)
        if kind in range(1, 6) if codec == "h264" else kind < 32:
            return
        at += length
    raise SpliceRefused("a packet without a picture, or a broken one")


def read_picture(file: BinaryIO, offset: int, size: int, record: DecoderRecord, codec: str) -> Picture:
    """Read what a packet says about its picture.

    Raises:
        SpliceRefused: The packet is broken, or changes the stream's parameters.
    """
    picture = _h264_picture if codec == "h264" else _hevc_picture
    parameter_sets = (7, 8) if codec == "h264" else (32, 33, 34)
    messages: set[int] = set()
    tags: list[tuple[int, int]] = []
    for head, at, length in leading_units(file, offset, size, record, codec):
        kind = unit_kind(head, codec)
        if kind in parameter_sets:
            tags.append((at - offset, length))
            if length > MAX_UNIT_BYTES or read_exactly(file, at, length).rstrip(b"\0") not in record.sets:
                raise SpliceRefused("the stream changes its parameters midway")
        elif kind == (6 if codec == "h264" else 39) and length <= MAX_UNIT_BYTES:
            found = _messages(read_exactly(file, at, length)[1 if codec == "h264" else 2 :])
            messages |= found
            if _ALTERNATIVE_TRANSFER in found:
                tags.append((at - offset, length))
    return picture(head, _RECOVERY_POINT in messages, tuple(tags))


def without_transfer(message: bytes) -> bytes:
    """A supplemental unit whose alternative transfer function is "unspecified", which decoders ignore."""
    return re.sub(rb"\x93\x01[\x10\x12]", bytes((_ALTERNATIVE_TRANSFER, 1, UNSPECIFIED)), message)


def _h264_picture(head: bytes, recovers: bool, tags: tuple[tuple[int, int], ...]) -> Picture:
    kind, importance = head[0] & 31, head[0] >> 5 & 3
    if kind not in (1, 5):
        raise SpliceRefused("a partitioned or unusual picture")
    start = Start.CLOSED if kind == 5 else Start.OPEN if recovers else Start.NO
    return Picture(start, is_reference=importance > 0, layer=0, tags=tags)


def _hevc_picture(head: bytes, recovers: bool, tags: tuple[tuple[int, int], ...]) -> Picture:
    kind, layer = head[0] >> 1 & 63, (head[1] & 7) - 1
    if head[0] & 1 or head[1] >> 3:
        raise SpliceRefused("a picture of an upper view or scale")
    start = Start.CLOSED if kind in (19, 20) else Start.OPEN if 16 <= kind <= 21 else Start.NO
    # Below 16, even numbers are the pictures no other of the same temporal layer refers to.
    return Picture(start, is_reference=kind >= 16 or kind % 2 == 1, layer=layer, tags=tags)


def _messages(body: bytes) -> set[int]:
    """Types of the supplemental messages in a unit; of recovery points only exact, immediate ones."""
    found: set[int] = set()
    body = unescape(body)
    at = 0
    while at + 2 < len(body):
        numbers = []
        for _ in range(2):
            number = 0
            while at < len(body) and body[at] == 255:
                number, at = number + 255, at + 1
            number += body[at] if at < len(body) else 0
            at += 1
            numbers.append(number)
        kind, size = numbers
        if kind != _RECOVERY_POINT or _is_exact(body[at : at + size]):
            found.add(kind)
        at += size
    return found


def _is_exact(payload: bytes) -> bool:
    """Whether a recovery point promises exact pictures from here on (H.264, D.2.8)."""
    bits = BitReader(payload + bytes(8))
    pictures_to_wait, is_exact, is_broken = bits.ue(), bits.u(1), bits.u(1)
    return pictures_to_wait == 0 and bool(is_exact) and not is_broken
