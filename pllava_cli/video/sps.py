"""Sequence parameter sets of H.264 and HEVC: the few facts about the whole stream that matter here.

Whether pictures can be interlaced (OpenCV shows those wrongly), how colours are tagged, and where the
tags lie in the bits, so that they can be rewritten. Nothing else is kept, but everything before the
colour tags has to be walked through, since nothing in a parameter set has a fixed place.

Source: ITU-T H.264, 7.3.2.1.1 and annex E.1; ITU-T H.265, 7.3.2.2, 7.3.3, 7.3.4, 7.3.7 and annex E.2.
"""

import re
from dataclasses import dataclass

from pllava_cli.video.colour import UNSPECIFIED
from pllava_cli.video.index import SpliceRefused

MAX_UNIT_BYTES = 4096
"""Parameter sets of real streams have 20 to 200 bytes."""

_H264_WITH_CHROMA = {100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135}
"""Values of profile_idc whose parameter sets carry the chroma format (H.264, 7.3.2.1.1)."""


@dataclass(frozen=True)
class ColourTags:
    """How the numbers of a picture are to be understood, as code points of ITU-T H.273."""

    primaries: int
    transfer: int
    matrix: int


@dataclass(frozen=True)
class SequenceParameters:
    """What a sequence parameter set says about its pictures."""

    is_progressive: bool
    """Every picture is a whole frame, and nothing in the stream can say otherwise."""
    colour: ColourTags | None
    """The colour tags, where the set has any."""
    colour_at: int
    """Bit of the first tag, counted from the start of the unescaped unit."""


class BitReader:
    """Reads bits, most significant first, and the Exp-Golomb codes of the H.26x standards."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "big")
        self._bits = 8 * len(data)
        self.at = 0

    def u(self, bits: int) -> int:
        """An unsigned number of so many bits."""
        self.at += bits
        if self.at > self._bits:
            raise SpliceRefused("a parameter set ends too early")
        return self._value >> (self._bits - self.at) & ((1 << bits) - 1)

    def ue(self) -> int:
        """An unsigned Exp-Golomb code."""
        zeros = 0
        while not self.u(1):
            zeros += 1
            if zeros > 32:
                raise SpliceRefused("a broken parameter set")
        return (1 << zeros) - 1 + self.u(zeros)

    def se(self) -> int:
        """A signed Exp-Golomb code."""
        code = self.ue()
        return (code + 1) // 2 if code & 1 else -(code // 2)

    def skip_ue(self, count: int) -> None:
        """Pass over so many Exp-Golomb codes."""
        if count > 1024:
            raise SpliceRefused("a broken parameter set")
        for _ in range(count):
            self.ue()


def unescape(unit: bytes) -> bytes:
    """Remove the bytes that keep start codes out of a NAL unit."""
    return unit.replace(b"\0\0\3", b"\0\0")


def escape(raw: bytes) -> bytes:
    """Put in the bytes that keep start codes out of a NAL unit."""
    return re.sub(rb"\0\0(?=[\0-\3])", b"\0\0\3", raw)


def parse_sps(unit: bytes, codec: str) -> SequenceParameters:
    """Read a sequence parameter set, given as a NAL unit of `h264` or `hevc`.

    Raises:
        SpliceRefused: The set is broken.
    """
    if len(unit) > MAX_UNIT_BYTES:
        raise SpliceRefused("a parameter set of unusual length")
    bits = BitReader(unescape(unit))
    return _parse_h264(bits) if codec == "h264" else _parse_hevc(bits)


def without_colour(unit: bytes, parameters: SequenceParameters) -> bytes:
    """The same parameter set with primaries and transfer "unspecified"; the matrix stays."""
    raw = unescape(unit)
    shift = 8 * len(raw) - parameters.colour_at - 16
    value = int.from_bytes(raw, "big")
    value = value & ~(0xFFFF << shift) | (UNSPECIFIED << 8 | UNSPECIFIED) << shift
    return escape(value.to_bytes(len(raw), "big"))


def _parse_h264(bits: BitReader) -> SequenceParameters:
    bits.u(8)
    profile = bits.u(8)
    bits.u(16)
    bits.ue()
    if profile in _H264_WITH_CHROMA:
        _h264_chroma(bits)
    bits.ue()
    order_type = bits.ue()
    if order_type == 0:
        bits.ue()
    elif order_type == 1:
        bits.u(1)
        bits.skip_ue(2)
        bits.skip_ue(bits.ue())
    bits.ue()
    bits.u(1)
    bits.skip_ue(2)
    frames_only = bits.u(1)
    if not frames_only:
        bits.u(1)
    bits.u(1)
    if bits.u(1):
        bits.skip_ue(4)
    if not bits.u(1):
        return SequenceParameters(bool(frames_only), None, 0)
    colour, at = _video_signal(bits)
    if bits.u(1):
        bits.u(65)
    has_buffers = [_h264_hrd(bits), _h264_hrd(bits)]
    if any(has_buffers):
        bits.u(1)
    field_timing = bits.u(1)
    return SequenceParameters(bool(frames_only and not field_timing), colour, at)


def _h264_chroma(bits: BitReader) -> None:
    chroma_format = bits.ue()
    if chroma_format == 3:
        bits.u(1)
    bits.skip_ue(2)
    bits.u(1)
    if not bits.u(1):
        return
    for matrix in range(12 if chroma_format == 3 else 8):
        if not bits.u(1):
            continue
        last = following = 8
        for _ in range(16 if matrix < 6 else 64):
            if following:
                following = (last + bits.se()) % 256
            last = following or last


def _h264_hrd(bits: BitReader) -> bool:
    """Walk through the buffering parameters, if there are any."""
    if not bits.u(1):
        return False
    buffers = bits.ue() + 1
    bits.u(8)
    for _ in range(min(buffers, 33)):
        bits.skip_ue(2)
        bits.u(1)
    bits.u(20)
    return True


def _video_signal(bits: BitReader) -> tuple[ColourTags | None, int]:
    """The part of the usability information both standards share, up to the chroma location."""
    if bits.u(1) and bits.u(8) == 255:
        bits.u(32)
    if bits.u(1):
        bits.u(1)
    colour, at = None, 0
    if bits.u(1):
        bits.u(4)
        if bits.u(1):
            at = bits.at
            colour = ColourTags(bits.u(8), bits.u(8), bits.u(8))
    if bits.u(1):
        bits.skip_ue(2)
    return colour, at


def _parse_hevc(bits: BitReader) -> SequenceParameters:
    bits.u(16 + 4)
    sub_layers = bits.u(3)
    bits.u(1)
    is_interlaced = _hevc_profile(bits, sub_layers)
    bits.ue()
    if bits.ue() == 3:
        bits.u(1)
    bits.skip_ue(2)
    if bits.u(1):
        bits.skip_ue(4)
    bits.skip_ue(2)
    order_bits = bits.ue() + 4
    bits.skip_ue(3 * (sub_layers + 1 if bits.u(1) else 1))
    bits.skip_ue(6)
    if bits.u(1) and bits.u(1):
        _hevc_scaling(bits)
    bits.u(2)
    if bits.u(1):
        bits.u(8)
        bits.skip_ue(2)
        bits.u(1)
    _hevc_reference_sets(bits)
    if bits.u(1):
        bits.u((order_bits + 1) * min(bits.ue(), 32))
    bits.u(2)
    if not bits.u(1):
        return SequenceParameters(not is_interlaced, None, 0)
    colour, at = _video_signal(bits)
    bits.u(1)
    field_sequence, field_timing = bits.u(1), bits.u(1)
    return SequenceParameters(not (is_interlaced or field_sequence or field_timing), colour, at)


def _hevc_profile(bits: BitReader, sub_layers: int) -> bool:
    """Walk through profile_tier_level; returns whether the source is said to be interlaced only."""
    bits.u(8 + 32)
    progressive, interlaced = bits.u(1), bits.u(1)
    bits.u(2 + 43 + 1 + 8)
    present = [(bits.u(1), bits.u(1)) for _ in range(sub_layers)]
    if sub_layers:
        bits.u(2 * (8 - sub_layers))
    for profile, level in present:
        bits.u(88 * profile + 8 * level)
    return bool(interlaced and not progressive)


def _hevc_scaling(bits: BitReader) -> None:
    for size in range(4):
        for _ in range(0, 6, 3 if size == 3 else 1):
            if not bits.u(1):
                bits.ue()
            else:
                bits.skip_ue(min(64, 1 << (4 + 2 * size)) + (size > 1))


def _hevc_reference_sets(bits: BitReader) -> None:
    sets = bits.ue()
    if sets > 64:
        raise SpliceRefused("a broken parameter set")
    pictures = 0
    for number in range(sets):
        if number and bits.u(1):
            bits.u(1)
            bits.ue()
            pictures = sum(bits.u(1) or bits.u(1) for _ in range(pictures + 1))
        else:
            before, after = bits.ue(), bits.ue()
            pictures = before + after
            if pictures > 16:
                raise SpliceRefused("a broken parameter set")
            for _ in range(pictures):
                bits.ue()
                bits.u(1)
