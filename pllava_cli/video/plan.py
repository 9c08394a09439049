"""Which packets have to be decoded to see given pictures, and no others.

From each wanted picture back to the keyframe it depends on, less every picture that nobody refers to:
with the usual encoders that halves the work. Leaving out is safe because both H.264 and HEVC promise it
in the packet's header; leading pictures of a keyframe that starts a run go too, since what they refer to
is not there.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pllava_cli.video.index import PacketIndex
from pllava_cli.video.pictures import Start
from pllava_cli.video.streams import Stream


def plan_captures(index: PacketIndex, stream: Stream, wanted: Sequence[int]) -> list[NDArray[np.intp]]:
    """Choose the packets to decode for the wanted ones, all given as packet numbers.

    Returns one array, in decoding order, for each decoder that has to start afresh.

    Runs that start with a closed keyframe follow each other in one capture; an open start, whose
    decoder must know nothing of what came before, begins a new one.

    Raises:
        SpliceRefused: A packet on the way is broken or unusual.
    """
    captures: list[list[int]] = []
    targets = set(wanted)
    for first, last in _runs(index, stream, targets):
        packets = _needed(index, stream, first, last, targets)
        if not captures or stream.picture(first).start is not Start.CLOSED:
            captures.append([])
        captures[-1] += packets
    return [np.array(packets, np.intp) for packets in captures]


def _runs(index: PacketIndex, stream: Stream, targets: set[int]) -> list[tuple[int, int]]:
    """First and last packet of each stretch to decode; stretches that touch are joined."""
    runs: list[tuple[int, int]] = []
    for first, last in sorted((_start_for(index, stream, target), target) for target in targets):
        if runs and first <= runs[-1][1]:
            runs[-1] = runs[-1][0], max(last, runs[-1][1])
        else:
            runs.append((first, last))
    return runs


def _start_for(index: PacketIndex, stream: Stream, target: int) -> int:
    """The nearest keyframe from which the target decodes exactly; the first packet always will do."""
    number = int(np.searchsorted(index.keys, target, side="right")) - 1
    while number > 0:
        key = int(index.keys[number])
        if index.pts[target] >= index.pts[key] and stream.picture(key).start is not Start.NO:
            return key
        number -= 1
    return 0


def _needed(index: PacketIndex, stream: Stream, first: int, last: int, targets: set[int]) -> list[int]:
    """Packets of the run first..last that the targets in it can depend on."""
    run = [first, *(p for p in range(first + 1, last + 1) if index.pts[p] > index.pts[first])]
    top = max(stream.picture(p).layer for p in run if p in targets)

    def is_needed(packet: int) -> bool:
        picture = stream.picture(packet)
        return packet in targets or picture.layer < top or (picture.layer == top and picture.is_reference)

    return [packet for packet in run if is_needed(packet)]
