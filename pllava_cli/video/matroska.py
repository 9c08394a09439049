"""The index of a Matroska or WebM file: the headers of its blocks, one after the other.

Matroska has no table of all packets, so the file is walked from header to header, leaping over the
payloads. The track's description is turned into the sample entry an MP4 file would have, so that the
rest of the splicer knows one kind only. Laced, compressed and encrypted tracks are refused.

Source: RFC 8794 (EBML), RFC 9559 (Matroska, which names every element used here) and the Matroska
codec mappings.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np

from pllava_cli.video.boxes import box, sample_entry, show_kind
from pllava_cli.video.index import MAX_PACKETS, PacketIndex, SpliceRefused, check_bytes, read_exactly

MAX_MASTER_BYTES = 1 << 20
"""Largest element that is read as a whole: a track list with its decoder records."""
MAX_ELEMENTS = 5_000_000
"""Elements passed over in one file, some seconds' work; a film of two hours has half a million."""
MAX_SCALE_NS = 1_000_000_000
"""Longest unit of time believed: a second; files use a millisecond."""
HEADER_BYTES = 12
"""An element's identifier (4 bytes at most) and its length (8 at most)."""

_SEGMENT, _CLUSTER, _INFO, _TRACKS = 0x18538067, 0x1F43B675, 0x1549A966, 0x1654AE6B
_TIMESTAMP_SCALE, _CLUSTER_TIMESTAMP = 0x2AD7B1, 0xE7
_SIMPLE_BLOCK, _BLOCK_GROUP, _BLOCK, _REFERENCE = 0xA3, 0xA0, 0xA1, 0xFB
_ENTRY, _NUMBER, _TYPE, _CODEC, _PRIVATE = 0xAE, 0xD7, 0x83, 0x86, 0x63A2
_ENCODINGS, _TRACK_SCALE, _VIDEO = 0x6D80, 0x23314F, 0xE0
_WIDTH, _HEIGHT, _CROPS = 0xB0, 0xBA, (0x54AA, 0x54BB, 0x54CC, 0x54DD)
_COLOUR, _MATRIX, _RANGE, _TRANSFER, _PRIMARIES = 0x55B0, 0x55B1, 0x55B9, 0x55BA, 0x55BB
_TOP_LEVEL = {_CLUSTER, _INFO, _TRACKS, 0x114D9B74, 0x1C53BB6B, 0x1941A469, 0x1043A770, 0x1254C367}
"""Children of a segment: what ends a cluster of unknown length."""

CODECS = {
    b"V_MPEG4/ISO/AVC": ("h264", b"avc1", b"avcC"),
    b"V_MPEGH/ISO/HEVC": ("hevc", b"hvc1", b"hvcC"),
    b"V_VP8": ("vp8", b"vp08", b""),
    b"V_VP9": ("vp9", b"vp09", b""),
    b"V_AV1": ("av1", b"av01", b"av1C"),
    b"V_MJPEG": ("mjpeg", b"jpeg", b""),
}
"""Codec identifier: our name, the MP4 sample entry, and the box its private data goes into."""
_BRAND = box(b"ftyp", b"isom", bytes(4), b"isom")

Elements = dict[int, list[bytes]]


def read_matroska(file: BinaryIO, file_size: int) -> PacketIndex:
    """Read the packet index of a Matroska or WebM file.

    Raises:
        SpliceRefused: The file is damaged or unusual.
    """
    walk = _Walk(file, file_size)
    walk.segment()
    track = walk.track
    if track is None or not 0 < walk.scale_ns <= MAX_SCALE_NS:
        raise SpliceRefused("no track list, or timestamps of an odd scale")
    blocks = np.array(walk.blocks, np.int64).reshape(-1, 4)
    index = PacketIndex(
        codec=track.codec,
        sample_entry=track.sample_entry,
        brand=_BRAND,
        tick_s=walk.scale_ns / 1e9,
        pts=blocks[:, 0].copy(),
        offsets=blocks[:, 1].copy(),
        sizes=blocks[:, 2].copy(),
        is_key=blocks[:, 3] != 0,
        is_shown=np.ones(len(blocks), np.bool_),
        is_hidden=np.zeros(len(blocks), np.bool_),
    )
    return check_bytes(index, file_size)


@dataclass(frozen=True)
class _Track:
    number: int
    codec: str
    sample_entry: bytes


@dataclass
class _Walk:
    """One pass over a file, from element to element."""

    file: BinaryIO
    file_size: int
    scale_ns: int = 1_000_000
    track: _Track | None = None
    blocks: list[tuple[int, int, int, bool]] = field(default_factory=list)
    """Timestamp, offset, size and whether it is a keyframe, of every block of the track."""
    resume: int = 0
    """Where the cluster walked last ended."""
    elements: int = 0
    """How many elements have been met."""

    def element(self, at: int) -> tuple[int, int, int]:
        """Identifier, start and end of the contents of the element at `at`; end -1 if not said."""
        self.elements += 1
        if self.elements > MAX_ELEMENTS:
            raise SpliceRefused("too many elements")
        self.file.seek(at)
        head = self.file.read(HEADER_BYTES)
        identifier, length = _identifier(head)
        size, used = _number(head, length)
        start = at + length + used
        if size == (1 << 7 * used) - 1:
            return identifier, start, -1
        return identifier, start, start + size

    def children(self, start: int, end: int) -> Iterator[tuple[int, int, int]]:
        """The elements between two positions, each within its parent."""
        at = start
        while at < end:
            identifier, first, last = self.element(at)
            if last > end or (last < 0 and identifier != _CLUSTER):
                raise SpliceRefused("a cut or broken element")
            yield identifier, first, last
            at = last if last >= 0 else self.resume

    def segment(self) -> None:
        """Walk through the file."""
        _, _, at = self.element(0)
        identifier, start, end = self.element(max(at, 0))
        if identifier != _SEGMENT:
            raise SpliceRefused("no segment behind the header")
        end = self.file_size if end < 0 else end
        if end != self.file_size:
            raise SpliceRefused("the file is cut, or something follows its segment")
        for identifier, first, last in self.children(start, end):
            if identifier == _CLUSTER:
                self.cluster(first, end if last < 0 else last, last < 0)
            elif identifier == _INFO:
                self.scale_ns = _unsigned(self.read(first, last), _TIMESTAMP_SCALE, self.scale_ns)
            elif identifier == _TRACKS:
                self.track = _only_video(self.read(first, last))

    def read(self, start: int, end: int) -> Elements:
        """Read a whole element that is not a cluster, as its children's contents by identifier."""
        if end - start > MAX_MASTER_BYTES:
            raise SpliceRefused("an element of unusual length")
        return _elements(read_exactly(self.file, start, end - start))

    def cluster(self, start: int, end: int, is_open: bool) -> None:
        """Note the blocks of one cluster; sets `resume` to where it ended."""
        base = 0
        at = start
        while at < end:
            identifier, first, last = self.element(at)
            if is_open and identifier in _TOP_LEVEL:
                break
            if not first <= last <= end:
                raise SpliceRefused("a cut or broken element")
            if identifier == _SIMPLE_BLOCK:
                self.block(first, last, base, None)
            elif identifier == _BLOCK_GROUP:
                self.group(first, last, base)
            elif identifier == _CLUSTER_TIMESTAMP:
                base = int.from_bytes(read_exactly(self.file, first, min(last - first, 8)), "big")
            at = last
        self.resume = at

    def group(self, start: int, end: int, base: int) -> None:
        """Note the block of a group; it is a keyframe if it refers to no other."""
        parts = list(self.children(start, end))
        is_key = all(identifier != _REFERENCE for identifier, _, _ in parts)
        for identifier, first, last in parts:
            if identifier == _BLOCK:
                self.block(first, last, base, is_key)

    def block(self, start: int, end: int, base: int, is_key: bool | None) -> None:
        """Note a block if it is the track's."""
        self.file.seek(start)
        head = self.file.read(HEADER_BYTES)
        number, used = _number(head, 0)
        if self.track is None or number != self.track.number:
            return
        if len(head) < used + 3 or head[used + 2] & 6 or len(self.blocks) == MAX_PACKETS:
            raise SpliceRefused("laced or broken blocks")
        timestamp = base + int.from_bytes(head[used : used + 2], "big", signed=True)
        if timestamp >= 1 << 62:
            raise SpliceRefused("a timestamp out of range")
        payload = start + used + 3
        flagged = bool(head[used + 2] & 128)
        self.blocks.append((timestamp, payload, end - payload, flagged if is_key is None else is_key))


def _identifier(data: bytes) -> tuple[int, int]:
    """An element's identifier at the start of `data`, and its length in bytes."""
    length = 9 - data[0].bit_length() if data else 9
    if length > 4:
        raise SpliceRefused("no element where one should be")
    return int.from_bytes(data[:length], "big"), length


def _number(data: bytes, at: int) -> tuple[int, int]:
    """A number of variable length at `at`, and how many bytes it takes."""
    used = 9 - data[at].bit_length() if at < len(data) else 9
    if used > 8 or at + used > len(data):
        raise SpliceRefused("a broken number")
    return int.from_bytes(data[at : at + used], "big") & ((1 << 7 * used) - 1), used


def _elements(data: bytes) -> Elements:
    """The children of an element by identifier."""
    found: Elements = {}
    at = 0
    while at < len(data):
        identifier, length = _identifier(data[at : at + 4])
        size, used = _number(data, at + length)
        at += length + used + size
        if at > len(data):
            raise SpliceRefused("a broken element")
        found.setdefault(identifier, []).append(data[at - size : at])
    return found


def _unsigned(elements: Elements, identifier: int, default: int) -> int:
    contents = elements.get(identifier, [b""])[0]
    return int.from_bytes(contents[:8], "big") if contents else default


def _only_video(tracks: Elements) -> _Track:
    entries = [entry for entry in map(_elements, tracks.get(_ENTRY, [])) if _unsigned(entry, _TYPE, 0) == 1]
    if len(entries) != 1:
        raise SpliceRefused(f"{len(entries)} video tracks")
    entry = entries[0]
    codec = entry.get(_CODEC, [b""])[0].rstrip(b"\0")
    if codec not in CODECS:
        raise SpliceRefused(f"codec {show_kind(codec[:32])} is not spliced")
    if _ENCODINGS in entry or _TRACK_SCALE in entry:
        raise SpliceRefused("a compressed, encrypted or stretched track")
    video = _elements(entry.get(_VIDEO, [b""])[0])
    if any(_unsigned(video, crop, 0) for crop in _CROPS):
        raise SpliceRefused("a cropped track")
    name, kind, record = CODECS[codec]
    children = [_colour_box(_elements(video.get(_COLOUR, [b""])[0]))]
    if record:
        children.append(box(record, entry.get(_PRIVATE, [b""])[0]))
    size = _unsigned(video, _WIDTH, 0), _unsigned(video, _HEIGHT, 0)
    if not all(0 < side < 1 << 16 for side in size):
        raise SpliceRefused("no picture size")
    return _Track(_unsigned(entry, _NUMBER, 0), name, sample_entry(kind, *size, *children))


def _colour_box(colour: Elements) -> bytes:
    """The colour tags as a `colr` box, with "unspecified" for those that are missing."""
    tags = [_unsigned(colour, tag, 2) for tag in (_PRIMARIES, _TRANSFER, _MATRIX)]
    is_full = _unsigned(colour, _RANGE, 0) == 2
    if not colour or max(tags) > 255:
        return b""
    return box(b"colr", b"nclx", *(tag.to_bytes(2, "big") for tag in tags), bytes((is_full << 7,)))
