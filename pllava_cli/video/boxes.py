"""Boxes of the ISO base media format, taken apart and put together.

An MP4 file is boxes within boxes: a length, a type, contents. One small module reads and writes them,
so that the index reader and the index writer cannot disagree about what a box is.

Source: ISO/IEC 14496-12, 4.2 (boxes) and 12.1.3 (visual sample entries).
"""

import struct
from collections.abc import Callable, Mapping

from pllava_cli.video.index import SpliceRefused

MAX_BOXES = 10_000
"""Boxes looked at in one place; a progressive file has under twenty at its top."""
ENTRY_HEADER = 86
"""Bytes of a visual sample entry before its own boxes, its own length and type included."""

Boxes = dict[bytes, list[bytes]]


def split_boxes(data: bytes) -> list[tuple[bytes, bytes]]:
    """The children of a box: type and contents of each, in file order.

    Raises:
        SpliceRefused: A child is longer than its parent.
    """
    found: list[tuple[bytes, bytes]] = []
    at = 0
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        header = 8
        if size == 1 and at + 16 <= len(data):
            size, header = struct.unpack_from(">Q", data, at + 8)[0], 16
        end = len(data) if size == 0 else at + size
        if end > len(data) or end < at + header or len(found) == MAX_BOXES:
            raise SpliceRefused(f"broken box {show_kind(kind)}")
        found.append((kind, data[at + header : end]))
        at = end
    return found


def boxes(data: bytes) -> Boxes:
    """The children of a box by type."""
    found: Boxes = {}
    for kind, contents in split_boxes(data):
        found.setdefault(kind, []).append(contents)
    return found


def box(kind: bytes, *contents: bytes) -> bytes:
    """A box: its length, its type, its contents."""
    body = b"".join(contents)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def full_box(kind: bytes, *contents: bytes) -> bytes:
    """A box that begins with a version and flags, all zero."""
    return box(kind, bytes(4), *contents)


def sample_entry(kind: bytes, width_px: int, height_px: int, *children: bytes) -> bytes:
    """A visual sample entry, which describes a video track."""
    size = struct.pack(">HHII4xH", width_px, height_px, 72 << 16, 72 << 16, 1)
    return box(kind, struct.pack(">6xH16x", 1), size, bytes(32), struct.pack(">Hh", 24, -1), *children)


def map_children(entry: bytes, changes: Mapping[bytes, Callable[[bytes], bytes]]) -> bytes:
    """A sample entry with the contents of some of its boxes changed."""
    children = split_boxes(entry[ENTRY_HEADER:])
    changed = (box(kind, changes.get(kind, bytes)(contents)) for kind, contents in children)
    return box(entry[4:8], entry[8:ENTRY_HEADER], *changed)


def only(parent: Boxes, kind: bytes) -> bytes:
    """The contents of the only box of a kind."""
    found = parent.get(kind, [])
    if len(found) != 1:
        raise SpliceRefused(f"{len(found)} boxes {show_kind(kind)}, expected one")
    return found[0]


def unpack(form: str, data: bytes, at: int) -> tuple[int, ...]:
    """Numbers at a place in a box, or a refusal if the box is too short."""
    try:
        return struct.unpack_from(form, data, at)
    except struct.error as error:
        raise SpliceRefused("a box is too short") from error


def show_kind(kind: bytes) -> str:
    """A box type as it may stand in a message."""
    return kind.decode("ascii", "backslashreplace").encode("unicode_escape").decode("ascii")
