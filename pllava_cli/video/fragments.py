"""The packets of a fragmented MP4 file: recordings and streams whose index is spread over the file.

Every fragment lists its own samples. They are put one after the other; a file whose fragments are not
in the order of decoding is refused.

Source: ISO/IEC 14496-12, 8.8 (movie fragments).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from pllava_cli.video.boxes import Boxes, boxes, only, unpack
from pllava_cli.video.index import MAX_PACKETS, Packets, SpliceRefused, read_exactly

MAX_FRAGMENT_BYTES = 16 << 20
"""Longest list of samples of one fragment; 12 bytes a sample are usual."""

_BASE_GIVEN, _DESCRIPTION_GIVEN, _DURATION_GIVEN, _SIZE_GIVEN, _FLAGS_GIVEN = 1, 2, 8, 16, 32
_BASE_IS_FRAGMENT = 0x20000
_OFFSET_GIVEN, _FIRST_FLAGS_GIVEN = 1, 4
_COLUMNS = (0x100, 0x200, 0x400, 0x800)
"""Flags of a run that say which columns it has: duration, size, flags, composition time."""
_NOT_KEY = 0x01010000
"""Sample flags of pictures that depend on others, or at which decoding cannot start."""


@dataclass(frozen=True)
class FragmentDefaults:
    """What holds for a sample where its fragment does not say otherwise."""

    track: int
    duration: int
    size: int
    flags: int


def read_fragments(
    file: BinaryIO, file_size: int, places: Sequence[tuple[int, int]], defaults: FragmentDefaults
) -> Packets:
    """Read the samples of one track from all fragments.

    Args:
        file: The clip.
        file_size: Its length in bytes.
        places: Position and length of every `moof` box.
        defaults: The track's own.

    Raises:
        SpliceRefused: A fragment is broken or unusual.
    """
    runs: list[NDArray[np.int64]] = []
    total, next_dts = 0, 0
    for at, size in places:
        if size > MAX_FRAGMENT_BYTES:
            raise SpliceRefused("a fragment of unusual length")
        tracks = [boxes(track) for track in boxes(read_exactly(file, at, size)[8:]).get(b"traf", [])]
        for number, track in enumerate(tracks):
            if unpack(">I", only(track, b"tfhd"), 4)[0] != defaults.track:
                continue
            for run in _runs(track, at, number == 0, defaults, file_size):
                if run[0, 0] < next_dts:
                    raise SpliceRefused("fragments out of order")
                next_dts = int(run[-1, 0])
                total += len(run)
                runs.append(run)
                if total > MAX_PACKETS:
                    raise SpliceRefused("too many packets")
    if not runs:
        raise SpliceRefused("no fragment holds a picture")
    dts, sizes, flags, shifts, offsets = np.concatenate(runs).T
    return Packets(dts + shifts, offsets.copy(), sizes.copy(), (flags & _NOT_KEY) == 0)


def _runs(
    track: Boxes, at: int, is_first: bool, defaults: FragmentDefaults, file_size: int
) -> list[NDArray[np.int64]]:
    """The runs of one track in one fragment: rows of dts, size, flags, composition time, offset."""
    header = only(track, b"tfhd")
    flags = int.from_bytes(header[1:4], "big")
    if flags & _DESCRIPTION_GIVEN and unpack(">I", header, 16 if flags & _BASE_GIVEN else 8)[0] != 1:
        raise SpliceRefused("several sample descriptions in use")
    if not (is_first or flags & (_BASE_GIVEN | _BASE_IS_FRAGMENT)):
        raise SpliceRefused("a fragment that does not say where its samples are")
    base, place = at, 8
    if flags & _BASE_GIVEN:
        (base,), place = unpack(">Q", header, place), place + 8
    place += 4 if flags & _DESCRIPTION_GIVEN else 0
    columns = [defaults.duration, defaults.size, defaults.flags]
    for column, given in enumerate((_DURATION_GIVEN, _SIZE_GIVEN, _FLAGS_GIVEN)):
        if flags & given:
            (columns[column],), place = unpack(">I", header, place), place + 4
    decode_time = only(track, b"tfdt")
    (dts,) = unpack(">Q" if decode_time[:1] == b"\1" else ">I", decode_time, 4)
    runs, follows = [], base
    for box in track.get(b"trun", []):
        run = _run(box, dts, base, follows, columns, file_size)
        runs.append(run[:-1])
        dts, follows = int(run[-1, 0]), int(run[-1, 4])
    return [run for run in runs if len(run)]


def _run(
    box: bytes, dts: int, base: int, follows: int, defaults: Sequence[int], file_size: int
) -> NDArray[np.int64]:
    """The rows of one run, and one more that says where and when the next run begins."""
    flags, (count,) = int.from_bytes(box[1:4], "big"), unpack(">I", box, 4)
    given = [bool(flags & column) for column in _COLUMNS]
    place = 8
    if flags & _OFFSET_GIVEN:
        follows, place = base + unpack(">i", box, place)[0], place + 4
    first_flags = defaults[2]
    if flags & _FIRST_FLAGS_GIVEN:
        (first_flags,), place = unpack(">I", box, place), place + 4
    if count > min(MAX_PACKETS, file_size) or 4 * count * sum(given) > len(box) - place:
        raise SpliceRefused("a run is longer than its box")
    if max(dts, follows) >= 1 << 60 or follows < 0:
        raise SpliceRefused("a fragment out of range")
    values = np.frombuffer(box, ">u4", count * sum(given), place).reshape(count, sum(given))
    rows = np.zeros((count + 1, 5), np.int64)
    rows[:-1, :3] = defaults
    rows[:-1, np.flatnonzero(given)] = values
    if not given[2] and flags & _FIRST_FLAGS_GIVEN:
        rows[0, 2] = first_flags
    if given[3]:
        # Signed in version 1, and in version 0 too by the writers that FFmpeg has to cope with.
        rows[:-1, 3] = values[:, -1].astype(">u4").view(">i4")
    durations, sizes = rows[:, 0].copy(), rows[:, 1]
    rows[:, 0] = dts + np.cumsum(durations) - durations
    rows[:, 4] = follows + np.cumsum(sizes) - sizes
    return rows
