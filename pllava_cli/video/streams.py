"""One codec's packets as the splicer sees them: their roles, and the bytes they are decoded from.

H.264, HEVC and AV1 say for every picture whether others refer to it, which is where most of the time is
saved. For the other codecs a run is a keyframe and everything up to the wanted picture. What could make
a decoder that starts in the middle differ from one that started at the beginning (another picture size,
other parameters) is checked at the start of each run against the first packet of the clip.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import BinaryIO

from pllava_cli.video import av1, keyframes
from pllava_cli.video.boxes import ENTRY_HEADER, boxes, map_children
from pllava_cli.video.colour import UNSPECIFIED, check_matrix, is_mapped, neutral_entry
from pllava_cli.video.index import PacketIndex, SpliceRefused, read_exactly
from pllava_cli.video.mpeg4 import check_mpeg4, mpeg4_identity
from pllava_cli.video.nal import parse_record, read_picture, without_transfer
from pllava_cli.video.pictures import Picture, Start
from pllava_cli.video.sps import parse_sps, without_colour

HEAD_BYTES = 4096
"""As much of a packet as its own headers are looked for in."""


class Stream(ABC):
    """The packets of a clip: how each is tied to others, and what to decode in its place."""

    sample_entry: bytes
    """The track's description, with colour tags that leave the pictures as they are."""

    def __init__(self, index: PacketIndex, file: BinaryIO) -> None:
        self._index = index
        self._file = file
        self._pictures: dict[int, Picture] = {}
        self.sample_entry = neutral_entry(index.sample_entry)

    def picture(self, packet: int) -> Picture:
        """What packet `packet` says about its picture."""
        if packet not in self._pictures:
            self._pictures[packet] = self._read_picture(packet)
        return self._pictures[packet]

    def replacement(self, packet: int) -> bytes | None:
        """Bytes to decode instead of the packet's own, if they have to differ."""
        return None

    @abstractmethod
    def _read_picture(self, packet: int) -> Picture:
        """Read from the packet what it says about its picture."""

    def _read(self, packet: int, size: int | None = None) -> bytes:
        offset, length = self._place(packet)
        return read_exactly(self._file, offset, min(length, size or length))

    def _place(self, packet: int) -> tuple[int, int]:
        return int(self._index.offsets[packet]), int(self._index.sizes[packet])


class NalStream(Stream):
    """H.264 and HEVC in length-prefixed NAL units."""

    def __init__(self, index: PacketIndex, file: BinaryIO) -> None:
        super().__init__(index, file)
        kind = b"avcC" if index.codec == "h264" else b"hvcC"
        records = boxes(index.sample_entry[ENTRY_HEADER:]).get(kind, [])
        if len(records) != 1:
            raise SpliceRefused("the track's description has no decoder record")
        self._record = parse_record(records[0], index.codec)
        self._neutral: dict[bytes, bytes] = {}
        for unit in self._record.sps:
            parameters = parse_sps(unit, index.codec)
            if not parameters.is_progressive:
                raise SpliceRefused("the video may be interlaced")
            colour = parameters.colour
            if colour:
                check_matrix(colour.matrix)
                if is_mapped(colour.primaries, colour.transfer):
                    self._neutral[unit] = without_colour(unit, parameters)
        self.sample_entry = map_children(self.sample_entry, {kind: self._neutral_record})
        self.picture(0)

    def replacement(self, packet: int) -> bytes | None:
        """The packet without the colour tags that it repeats."""
        tags = self.picture(packet).tags
        if not self._neutral or not tags:
            return None
        data, bytes_before = self._read(packet), self._record.length_bytes
        parts, done = [], 0
        for at, length in tags:
            unit = self._neutral_unit(data[at : at + length])
            parts += [data[done : at - bytes_before], len(unit).to_bytes(bytes_before, "big"), unit]
            done = at + length
        return b"".join(parts) + data[done:]

    def _neutral_unit(self, unit: bytes) -> bytes:
        for tagged, neutral in self._neutral.items():
            if unit.rstrip(b"\0") == tagged.rstrip(b"\0"):
                return neutral
        return unit if unit.rstrip(b"\0") in self._record.sets else without_transfer(unit)

    def _neutral_record(self, record: bytes) -> bytes:
        for unit, neutral in self._neutral.items():
            old, new = (len(part).to_bytes(2, "big") + part for part in (unit, neutral))
            record = record.replace(old, new)
        return record

    def _read_picture(self, packet: int) -> Picture:
        return read_picture(self._file, *self._place(packet), self._record, self._index.codec)


class KeyedStream(Stream):
    """Codecs whose packets only say whether they are keyframes."""

    def __init__(self, index: PacketIndex, file: BinaryIO, identity: Callable[[bytes], bytes]) -> None:
        super().__init__(index, file)
        self._identity = identity
        self._first = identity(self._read(0, HEAD_BYTES))

    def _read_picture(self, packet: int) -> Picture:
        if not self._index.is_key[packet]:
            return Picture(Start.NO, is_reference=True, layer=0)
        if self._identity(self._read(packet, HEAD_BYTES)) != self._first:
            raise SpliceRefused("the picture size or the stream's parameters change midway")
        return Picture(Start.CLOSED, is_reference=True, layer=0)


class Av1Stream(Stream):
    """AV1, whose frames say which of them are kept to be referred to."""

    def __init__(self, index: PacketIndex, file: BinaryIO) -> None:
        super().__init__(index, file)
        self._sequence = av1.keyframe_sequence(file, *self._place(0))
        self._header = av1.parse_sequence(self._sequence)

    def _read_picture(self, packet: int) -> Picture:
        place = self._place(packet)
        if self._index.is_key[packet]:
            if av1.keyframe_sequence(self._file, *place) != self._sequence:
                raise SpliceRefused("the stream's parameters change midway")
            return Picture(Start.CLOSED, is_reference=True, layer=0)
        is_free = self._header is not None and av1.is_unreferenced(self._file, *place, self._header)
        return Picture(Start.NO, is_reference=not is_free, layer=0)


class ProResStream(KeyedStream):
    """ProRes, which repeats its colour tags in every packet."""

    def __init__(self, index: PacketIndex, file: BinaryIO) -> None:
        super().__init__(index, file, keyframes.prores_identity)

    def replacement(self, packet: int) -> bytes | None:
        """The packet without colour tags that OpenCV would act on."""
        if not is_mapped(*self._read(packet, 24)[22:]):
            return None
        data = self._read(packet)
        return data[:22] + bytes((UNSPECIFIED, UNSPECIFIED)) + data[24:]


class Mpeg4Stream(KeyedStream):
    """MPEG-4 part 2."""

    def __init__(self, index: PacketIndex, file: BinaryIO) -> None:
        super().__init__(index, file, mpeg4_identity)
        check_mpeg4(index, self._read(0, HEAD_BYTES))


class JpegStream(KeyedStream):
    """Motion JPEG, every packet a picture; half pictures of interlaced video are refused."""

    def __init__(self, index: PacketIndex, file: BinaryIO) -> None:
        super().__init__(index, file, keyframes.mjpeg_identity)
        if self._first[1:3] != index.sample_entry[34:36]:
            raise SpliceRefused("pictures of another height than the track's")


_STREAMS: dict[str, Callable[[PacketIndex, BinaryIO], Stream]] = {
    "h264": NalStream,
    "hevc": NalStream,
    "prores": ProResStream,
    "mpeg4": Mpeg4Stream,
    "mjpeg": JpegStream,
    "av1": Av1Stream,
    "vp8": partial(KeyedStream, identity=keyframes.vp8_identity),
    "vp9": partial(KeyedStream, identity=keyframes.vp9_identity),
}
"""By the codecs that the container readers know."""


def open_stream(index: PacketIndex, file: BinaryIO) -> Stream:
    """The packets of a clip, by its codec.

    Raises:
        SpliceRefused: The stream is one that must not be spliced.
    """
    return _STREAMS[index.codec](index, file)
