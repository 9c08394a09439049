"""What decoders do for a batch: the pictures of a clip, or how long it is.

Frames are made into the model's pictures within the decoder's process. So a clip crosses as a few
megabytes, whatever its own size, and many can wait for the model.
"""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pllava_cli.batch.planning import Job
from pllava_cli.batch.segments import every
from pllava_cli.batch.work import Work
from pllava_cli.encoded import DecodedClip
from pllava_cli.errors import PllavaError
from pllava_cli.records import Segment
from pllava_cli.video.pool import DecoderPool
from pllava_cli.video.reader import Decoder

if TYPE_CHECKING:
    from pllava_cli.model.preprocessing import ClipPreprocessor


@dataclass(frozen=True)
class Look:
    """How clips are looked at."""

    num_frames: int
    preprocess: "ClipPreprocessor"
    timeout_s: float
    """Seconds that a decoder may go without progress."""

    def __call__(self, job: Job, decoder: Decoder) -> DecodedClip:
        """Make the pictures of a job's clip.

        Raises:
            PllavaError: It cannot be decoded, or was no clip to begin with.
        """
        work, began = job.work, time.perf_counter()
        if work.fault is not None:
            raise work.fault
        segment = work.segment
        pictures, _, report = decoder.sample(
            work.clip.path,
            self.num_frames,
            segment.start_s,
            segment.end_s,
            timeout_s=self.timeout_s,
            transform=self.preprocess.clip_pictures,
        )
        return DecodedClip(work.clip.path, pictures, report, time.perf_counter() - began)


class Cutter:
    """Cuts clips into segments of one length; used as a context, as a decoder tells how long each clip is.

    Args:
        works: Clips; those of which a part is asked for already stay as they are.
        length_s: How long each segment is to be.
        timeout_s: Seconds that a decoder may go without progress.
    """

    def __init__(self, works: Iterable[Work], length_s: float, timeout_s: float) -> None:
        self._length_s, self._timeout_s = length_s, timeout_s
        self._pool = DecoderPool(1, works, self._duration)

    def __enter__(self) -> Iterator[Work]:
        self._pool.__enter__()
        return self._segments()

    def __exit__(self, *_: object) -> None:
        self._pool.__exit__()

    def _segments(self) -> Iterator[Work]:
        """Yield the segments; a clip whose length cannot be found out stays whole, with the reason."""
        for work, duration_s in self._pool:
            if isinstance(duration_s, PllavaError):
                yield replace(work, fault=duration_s)
            elif duration_s is None:
                yield work
            else:
                yield from self._cut(work, duration_s)

    def _cut(self, work: Work, duration_s: float) -> Iterator[Work]:
        try:
            segments = every(duration_s, self._length_s)
        except PllavaError as error:
            yield replace(work, fault=error)
            return
        for segment in segments:
            yield replace(work, segment=segment)

    def _duration(self, work: Work, decoder: Decoder) -> float | None:
        """Return how long a clip is; None if it is not to be cut."""
        if work.fault is not None or work.segment != Segment():
            return None
        _, _, report = decoder.sample(work.clip.path, 1, timeout_s=self._timeout_s)
        return report.duration_s
