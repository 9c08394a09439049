"""Clips cut into segments before anything else is asked about them: at equal lengths, or at their shots.

Only its pictures tell where a clip is to be cut, so decoders look at it, ahead of whoever takes the segments.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from pllava_cli.batch.cuts import Cuts
from pllava_cli.batch.segments import every, shots
from pllava_cli.batch.work import Work
from pllava_cli.errors import PllavaError
from pllava_cli.records import File, Segment
from pllava_cli.video.pool import DecoderPool
from pllava_cli.video.reader import Decoder

Cut = Callable[[Path, Decoder], list[Segment]]
"""Says where to cut a clip; a PllavaError says that it cannot be."""


@dataclass(frozen=True)
class ByLength:
    """Cuts into segments of one length."""

    length_s: float
    timeout_s: float
    """Seconds that a decoder may go without progress."""

    def __call__(self, clip: Path, decoder: Decoder) -> list[Segment]:
        """Return the segments of a clip.

        Raises:
            PllavaError: It cannot be decoded, or its duration is not known.
        """
        _, _, report = decoder.sample(clip, 1, timeout_s=self.timeout_s)
        return every(report.duration_s, self.length_s)


@dataclass(frozen=True)
class AtShots:
    """Cuts from shot to shot, which takes decoding the whole clip; what was found before is kept."""

    timeout_s: float
    """Seconds that a decoder may go without progress."""
    kept: Cuts

    def __call__(self, clip: Path, decoder: Decoder) -> list[Segment]:
        """Return the shots of a clip.

        Raises:
            PllavaError: It cannot be decoded, or has no usable times.
        """
        file = File.of(clip)
        found = self.kept.get(clip, file)
        if found is None:
            found = decoder.shots(clip, timeout_s=self.timeout_s)
            self.kept.add(clip, file, found)
        return shots(found)


class Cutter:
    """Cuts clips into segments; a context, for as long as its decoders run.

    Args:
        works: Clips; one of which only a part is asked for stays as it is.
        cut: Cuts one clip; called from several threads.
        decoders: How many clips are cut at a time; which of them comes first is left to chance.
    """

    def __init__(self, works: Iterable[Work], cut: Cut, decoders: int) -> None:
        self._cut = cut
        self._pool = DecoderPool(decoders, works, self._segments_of)

    def __enter__(self) -> Iterator[Work]:
        self._pool.__enter__()
        return self._segments()

    def __exit__(self, *_: object) -> None:
        self._pool.__exit__()

    def _segments(self) -> Iterator[Work]:
        """Yield the segments; a clip that cannot be cut stays whole, with the reason."""
        for work, segments in self._pool:
            if isinstance(segments, PllavaError):
                yield replace(work, fault=segments)
            elif segments is None:
                yield work
            else:
                for segment in segments:
                    yield replace(work, segment=segment)

    def _segments_of(self, work: Work, decoder: Decoder) -> list[Segment] | None:
        """Return the segments of a clip; None if it is not to be cut."""
        if work.fault is not None or not work.segment.is_whole:
            return None
        return self._cut(work.clip.path, decoder)
