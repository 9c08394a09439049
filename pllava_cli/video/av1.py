"""AV1 packets: the sequence header of a keyframe, and whether a picture is kept for others to refer to.

AV1 says for every frame which of the eight reference slots it is stored in, and all that a later frame
takes over (pixels, motion, probabilities) it takes from a slot. So a frame that is stored in none can be
left out, unlike in VP9, where probabilities have slots of their own.

Source: AV1 bitstream and decoding process specification, 5.3 (units), 5.5 (sequence header), 5.9.2
(frame header) and 7.20 (reference frame update).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from pllava_cli.video.index import SpliceRefused, read_exactly
from pllava_cli.video.sps import BitReader

MAX_UNITS = 1024
"""Units looked at in one packet."""
MAX_SEQUENCE_BYTES = 1024
"""Sequence headers of real streams have about a dozen bytes."""

_SEQUENCE, _FRAME_HEADER, _FRAME, _REDUNDANT_HEADER = 1, 3, 6, 7
_KEY, _INTRA_ONLY, _SWITCH = 0, 2, 3
_HEADER_BYTES = 32
"""As much of a frame as its first fields can take."""
_SELECT = 2
"""A choice that the sequence header leaves to every frame."""


@dataclass(frozen=True)
class Unit:
    """One open bitstream unit of a packet."""

    kind: int
    has_extension: bool
    at: int
    """Position of its contents in the file."""
    size: int


def units(file: BinaryIO, offset: int, size: int) -> Iterator[Unit]:
    """The units of a packet.

    Raises:
        SpliceRefused: Their lengths do not add up.
    """
    at, end = offset, offset + size
    for _ in range(MAX_UNITS):
        if at == end:
            return
        head = read_exactly(file, at, min(10, end - at))
        has_extension = bool(head[0] & 4)
        length, used = _leb128(head[1 + has_extension :])
        at += 1 + has_extension + used
        if not head[0] & 2 or at + length > end:
            break
        yield Unit(head[0] >> 3 & 15, has_extension, at, length)
        at += length
    raise SpliceRefused("a broken AV1 packet")


def _leb128(data: bytes) -> tuple[int, int]:
    value = 0
    for used, byte in enumerate(data[:8]):
        value |= (byte & 127) << 7 * used
        if byte < 128:
            return value, used + 1
    raise SpliceRefused("a broken AV1 packet")


def keyframe_sequence(file: BinaryIO, offset: int, size: int) -> bytes:
    """The sequence header in the packet of a keyframe that is shown at once.

    Raises:
        SpliceRefused: The packet is none.
    """
    sequence = b""
    for unit in units(file, offset, size):
        if unit.kind == _SEQUENCE and unit.size <= MAX_SEQUENCE_BYTES:
            sequence = read_exactly(file, unit.at, unit.size)
        elif unit.kind in (_FRAME_HEADER, _FRAME):
            # Not "show an existing one", of type key, shown: the four bits are 0, 00, 1.
            if not sequence or not unit.size or read_exactly(file, unit.at, 1)[0] >> 4 != 1:
                break
            return sequence
    raise SpliceRefused("a keyframe that is none")


@dataclass(frozen=True)
class SequenceHeader:
    """What is needed of a sequence header to find a frame's reference slots."""

    frame_id_bits: int
    screen_content: int
    integer_motion: int
    order_hint_bits: int


def parse_sequence(data: bytes) -> SequenceHeader | None:
    """Read a sequence header; None where it has features with which frames are not looked into.

    These are still pictures, decoder models (which put more into every frame's header) and scalability.
    """
    bits = BitReader(data + bytes(8))
    bits.u(3 + 1)
    if bits.u(1) or (bits.u(1) and _has_decoder_model(bits)):
        return None
    has_delays, points = bits.u(1), bits.u(5)
    if points or bits.u(12):
        return None
    if bits.u(5) > 7:
        bits.u(1)
    if has_delays and bits.u(1):
        bits.u(4)
    bits.u(bits.u(4) + 1 + bits.u(4) + 1)
    frame_id_bits = bits.u(4) + bits.u(3) + 3 if bits.u(1) else 0
    bits.u(3 + 4)
    has_order_hint = bits.u(1)
    bits.u(2 * has_order_hint)
    screen_content = _SELECT if bits.u(1) else bits.u(1)
    integer_motion = _SELECT
    if screen_content:
        integer_motion = _SELECT if bits.u(1) else bits.u(1)
    order_hint_bits = bits.u(3) + 1 if has_order_hint else 0
    return SequenceHeader(frame_id_bits, screen_content, integer_motion, order_hint_bits)


def _has_decoder_model(bits: BitReader) -> bool:
    """Walk through the timing information, up to whether a decoder model follows."""
    bits.u(32 + 32)
    if bits.u(1):
        bits.ue()
    return bool(bits.u(1))


def is_unreferenced(file: BinaryIO, offset: int, size: int, sequence: SequenceHeader) -> bool:
    """Whether a packet holds one frame, and that is stored in no reference slot."""
    kinds = (_FRAME_HEADER, _FRAME, _REDUNDANT_HEADER)
    frames = [unit for unit in units(file, offset, size) if unit.kind in kinds]
    if len(frames) != 1 or frames[0].has_extension:
        return False
    head = read_exactly(file, frames[0].at, min(_HEADER_BYTES, frames[0].size))
    return _refresh_flags(BitReader(head + bytes(_HEADER_BYTES)), sequence) == 0


def _refresh_flags(bits: BitReader, sequence: SequenceHeader) -> int:
    """The slots that a frame is stored in, one bit each; all where it is not looked into."""
    if bits.u(1):
        return 0xFF
    kind, is_shown = bits.u(2), bits.u(1)
    if kind in (_SWITCH, _KEY) or not is_shown:
        return 0xFF
    is_resilient = bits.u(1)
    bits.u(1)
    allows_screen_content = bits.u(1) if sequence.screen_content == _SELECT else sequence.screen_content
    if allows_screen_content and sequence.integer_motion == _SELECT:
        bits.u(1)
    bits.u(sequence.frame_id_bits + 1 + sequence.order_hint_bits)
    if kind != _INTRA_ONLY and not is_resilient:
        bits.u(3)
    return bits.u(8)
