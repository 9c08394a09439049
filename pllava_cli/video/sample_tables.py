"""The sample tables of an MP4 track: every packet's time, place, length and role, in one place.

Durations, composition times and chunk layouts are run-length coded, and a hostile table of 16 bytes can
claim 2**32 entries: each is bounded by the number of samples before it is expanded.

Source: ISO/IEC 14496-12, 8.6 (times and sync samples) and 8.7 (sizes, chunks and offsets).
"""

import numpy as np
from numpy.typing import NDArray

from pllava_cli.video.boxes import Boxes, only, unpack
from pllava_cli.video.index import MAX_PACKETS, Packets, SpliceRefused


def read_sample_tables(tables: Boxes, file_size: int) -> Packets:
    """Read the tables in an `stbl` box.

    Raises:
        SpliceRefused: They are broken, contradict each other, or claim more than the file can hold.
    """
    sizes = _sizes(only(tables, b"stsz"), file_size)
    return Packets(_times(tables, sizes.size), _offsets(tables, sizes), sizes, _keys(tables, sizes.size))


def _table(box: bytes, columns: int, dtype: str = ">u4") -> NDArray[np.int64]:
    """The rows of a full box that starts with a row count, as [rows, columns]."""
    (rows,) = unpack(">I", box, 4)
    if rows * columns * np.dtype(dtype).itemsize > len(box) - 8:
        raise SpliceRefused("a table is longer than its box")
    return np.frombuffer(box, dtype, rows * columns, 8).astype(np.int64).reshape(rows, columns)


def _sizes(stsz: bytes, file_size: int) -> NDArray[np.int64]:
    common, count = unpack(">II", stsz, 4)
    if not 0 < count <= min(MAX_PACKETS, file_size):
        raise SpliceRefused(f"the index claims {count} packets")
    if common:
        return np.full(count, common, np.int64)
    if 4 * count > len(stsz) - 12:
        raise SpliceRefused("a table is longer than its box")
    return np.frombuffer(stsz, ">u4", count, 12).astype(np.int64)


def _repeat(values: NDArray[np.int64], counts: NDArray[np.int64], total: int) -> NDArray[np.int64]:
    """Expand a run-length table once it is certain to give `total` values."""
    if counts.size and (int(counts.max()) > total or int(counts.sum()) != total):
        raise SpliceRefused("the tables disagree about the number of packets")
    return np.repeat(values, counts)


def _times(tables: Boxes, count: int) -> NDArray[np.int64]:
    """Presentation times in ticks: the running sum of `stts`, moved by `ctts`."""
    durations = _table(only(tables, b"stts"), 2)
    deltas = _repeat(durations[:, 1], durations[:, 0], count)
    if deltas.size != count or deltas.max() >= 1 << 31:
        raise SpliceRefused("packet durations are missing or negative")
    pts = np.cumsum(deltas) - deltas
    if b"ctts" in tables:
        box = only(tables, b"ctts")
        shifts = _repeat(_table(box, 2, ">i4")[:, 1], _table(box, 2)[:, 0], count)
        if shifts.size != count or abs(shifts).max() >= 1 << 28:
            raise SpliceRefused("composition times are missing or out of range")
        pts += shifts
    return pts


def _keys(tables: Boxes, count: int) -> NDArray[np.bool_]:
    if b"stss" not in tables:
        return np.ones(count, np.bool_)
    keys = _table(only(tables, b"stss"), 1)[:, 0] - 1
    if not keys.size or keys.min() < 0 or keys.max() >= count:
        raise SpliceRefused("keyframes out of range")
    is_key = np.zeros(count, np.bool_)
    is_key[keys] = True
    return is_key


def _offsets(tables: Boxes, sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where each sample begins: its chunk's offset plus the sizes of those before it in the chunk."""
    wide = b"co64" in tables
    chunks = _table(only(tables, b"co64" if wide else b"stco"), 1, ">u8" if wide else ">u4")[:, 0]
    layout = _table(only(tables, b"stsc"), 3)
    if not layout.size or layout[0, 0] != 1 or (layout[:, 2] != 1).any():
        raise SpliceRefused("several sample descriptions in use")
    runs = np.diff(layout[:, 0], append=chunks.size + 1)
    if (runs <= 0).any() or chunks.min() < 0:
        raise SpliceRefused("chunks out of order")
    per_chunk = _repeat(layout[:, 1], runs, chunks.size)
    starts = _repeat(np.arange(chunks.size), per_chunk, sizes.size)
    before = np.cumsum(sizes) - sizes
    first_of_chunk = np.minimum(np.cumsum(per_chunk) - per_chunk, sizes.size - 1)
    inside: NDArray[np.int64] = before - before[first_of_chunk][starts]
    return chunks[starts] + inside
