"""The index of an MP4 or QuickTime file: its one video track, and which part of it is shown.

Files with one video track, one sample description and at most one plain edit are read, be their samples
listed in one table (`sample_tables`) or fragment by fragment (`fragments`). Compressed headers and
everything rarer are refused.

Source: ISO/IEC 14496-12 (ISO base media file format) and Apple's QuickTime File Format, both of
which name every box used here.
"""

import struct
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from pllava_cli.video.boxes import ENTRY_HEADER, Boxes, boxes, only, show_kind, unpack
from pllava_cli.video.fragments import FragmentDefaults, read_fragments
from pllava_cli.video.index import PacketIndex, SpliceRefused, check_bytes, read_exactly
from pllava_cli.video.sample_tables import read_sample_tables

MAX_MOOV_BYTES = 256 << 20
"""More than the tables of ten million samples need in practice (about 20 bytes a sample)."""
MAX_ENTRY_BYTES = 1 << 20
"""Longest description of a track; one with a colour profile has half a megabyte."""
MAX_TOP_BOXES = 200_000
"""A fragmented file has two boxes for every fragment."""

CODECS = {
    b"avc1": "h264", b"avc3": "h264", b"hvc1": "hevc", b"hev1": "hevc", b"vp08": "vp8", b"vp09": "vp9",
    b"av01": "av1", b"mp4v": "mpeg4", b"jpeg": "mjpeg",
    b"apco": "prores", b"apcs": "prores", b"apcn": "prores", b"apch": "prores", b"ap4h": "prores",
    b"ap4x": "prores",
}  # fmt: skip
"""Sample entry types whose packets the splicer knows how to leave out or keep."""


def read_mp4(file: BinaryIO, file_size: int) -> PacketIndex:
    """Read the packet index of an MP4 or QuickTime file.

    Raises:
        SpliceRefused: The file is damaged or unusual.
    """
    top = _top_level(file, file_size)
    movie = boxes(top.moov)
    tracks = [track for track in map(boxes, movie.get(b"trak", [])) if _handler(track) == b"vide"]
    if len(tracks) != 1:
        raise SpliceRefused(f"{len(tracks)} video tracks")
    media = boxes(only(tracks[0], b"mdia"))
    tables = boxes(only(boxes(only(media, b"minf")), b"stbl"))
    timescale = _timescale(only(media, b"mdhd"))
    entry = _sample_entry(only(tables, b"stsd"))
    if b"mvex" in movie:
        packets = read_fragments(file, file_size, top.fragments, _fragment_defaults(movie, tracks[0], tables))
        edit = _Edit()
    else:
        packets = read_sample_tables(tables, file_size)
        edit = _edit(tracks[0], _timescale(only(movie, b"mvhd")), timescale)
    index = PacketIndex(
        codec=CODECS[entry[4:8]],
        sample_entry=entry,
        brand=top.brand,
        tick_s=1 / timescale,
        pts=packets.pts,
        offsets=packets.offsets,
        sizes=packets.sizes,
        is_key=packets.is_key,
        is_shown=edit.shows(packets.pts),
        is_hidden=np.zeros(packets.sizes.size, np.bool_),
    )
    return check_bytes(index, file_size)


@dataclass
class _TopLevel:
    """What is found at the top of a file."""

    brand: bytes = b""
    """The whole `ftyp` box, empty where there is none."""
    moov: bytes = b""
    """The contents of `moov`."""
    fragments: list[tuple[int, int]] = field(default_factory=list)
    """Position and length of every `moof` box."""


def _top_level(file: BinaryIO, file_size: int) -> _TopLevel:
    top, at = _TopLevel(), 0
    for _ in range(MAX_TOP_BOXES):
        if at + 8 > file_size:
            break
        size, kind = struct.unpack(">I4s", read_exactly(file, at, 8))
        header = 8
        if size == 1:
            size, header = struct.unpack(">Q", read_exactly(file, at + 8, 8))[0], 16
        size = size or file_size - at
        if size < header or (kind != b"mdat" and at + size > file_size):
            raise SpliceRefused(f"broken box {show_kind(kind)}")
        if kind == b"moof":
            top.fragments.append((at, size))
        if kind == b"ftyp" and size <= 1024:
            top.brand = read_exactly(file, at, size)
        if kind == b"moov":
            if top.moov or size > MAX_MOOV_BYTES:
                raise SpliceRefused("several indexes, or one that is too large")
            top.moov = read_exactly(file, at + header, size - header)
        at += size
    if not top.moov:
        raise SpliceRefused("no moov box")
    return top


def _fragment_defaults(movie: Boxes, track: Boxes, tables: Boxes) -> FragmentDefaults:
    """What `mvex` says of the track's fragments; samples outside fragments are refused."""
    if unpack(">I", only(tables, b"stsz"), 8)[0]:
        raise SpliceRefused("samples in fragments and outside")
    header = only(track, b"tkhd")
    (number,) = unpack(">I", header, 20 if header[:1] == b"\1" else 12)
    for defaults in boxes(only(movie, b"mvex")).get(b"trex", []):
        track_number, _, duration, size, flags = unpack(">IIIII", defaults, 4)
        if track_number == number:
            return FragmentDefaults(number, duration, size, flags)
    raise SpliceRefused("no defaults for the track's fragments")


def _handler(track: Boxes) -> bytes:
    media = boxes(only(track, b"mdia"))
    return only(media, b"hdlr")[8:12]


def _timescale(header: bytes) -> int:
    """Ticks in a second, from an `mdhd` or `mvhd` box."""
    (timescale,) = unpack(">I", header, 20 if header[:1] == b"\1" else 12)
    if not timescale:
        raise SpliceRefused("no timescale")
    return timescale


def _sample_entry(stsd: bytes) -> bytes:
    count, size = unpack(">II", stsd, 4)
    entry = stsd[8 : 8 + size]
    if count != 1 or len(entry) != size or not ENTRY_HEADER <= size <= MAX_ENTRY_BYTES:
        raise SpliceRefused("several sample descriptions, or a broken one")
    if entry[4:8] not in CODECS:
        raise SpliceRefused(f"codec {show_kind(entry[4:8])} is not spliced")
    return entry


@dataclass(frozen=True)
class _Edit:
    """The part of the track that is shown: start <= pts < end, in media ticks."""

    start: int = -(1 << 62)
    end: int = 1 << 62

    def shows(self, pts: NDArray[np.int64]) -> NDArray[np.bool_]:
        return (pts >= self.start) & (pts < self.end)


def _edit(track: Boxes, movie_timescale: int, timescale: int) -> _Edit:
    """The track's edit list, if it only delays the track and cuts its ends."""
    if b"edts" not in track:
        return _Edit()
    box = only(boxes(only(track, b"edts")), b"elst")
    form = ">QqI" if box[:1] == b"\1" else ">IiI"
    (rows,) = unpack(">I", box, 4)
    if not 1 <= rows <= 2:
        raise SpliceRefused(f"an edit list of {rows} edits")
    edits = [unpack(form, box, 8 + row * struct.calcsize(form)) for row in range(rows)]
    if rows == 2 and edits[0][1] == -1:
        del edits[0]
    if len(edits) != 1 or edits[0][1] < 0 or edits[0][0] == 0 or edits[0][2] != 1 << 16:
        raise SpliceRefused("an unusual edit list")
    duration, start, _ = edits[0]
    # FFmpeg rounds the edit's length to the nearest media tick, halves away from zero.
    length = (2 * duration * timescale + movie_timescale) // (2 * movie_timescale)
    return _Edit(start, start + length)
