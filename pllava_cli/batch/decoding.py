"""What decoders do for a batch: the pictures of a clip.

Frames are made into the model's pictures within the decoder's process. So a clip crosses as a few
megabytes, whatever its own size, and many can wait for the model. A clip whose visual tokens are kept
needs no decoder.
"""

import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from pllava_cli.batch.planning import Job
from pllava_cli.batch.work import Work
from pllava_cli.encoded import DecodedClip
from pllava_cli.video.reader import Decoder

if TYPE_CHECKING:
    from pllava_cli.model.preprocessing import ClipPreprocessor
    from pllava_cli.visualstore.shelf import Shelf


@dataclass(frozen=True)
class Look:
    """How clips are looked at."""

    num_frames: int
    preprocess: "ClipPreprocessor"
    timeout_s: float
    """Seconds that a decoder may go without progress."""
    shelf: "Shelf | None" = None
    """Where visual tokens of clips may be kept."""

    def __call__(self, job: Job, decoder: Decoder) -> DecodedClip:
        """Make the pictures of a job's clip, unless its visual tokens are there.

        Raises:
            PllavaError: It cannot be decoded, or was no clip to begin with.
        """
        work = job.work
        if work.fault is not None:
            raise work.fault
        decode = partial(self._decode, work, decoder)
        if self.shelf is None:
            return decode()
        return self.shelf.clip(work.clip.path, work.segment.start_s, work.segment.end_s, decode)

    def _decode(self, work: Work, decoder: Decoder) -> DecodedClip:
        began, segment = time.perf_counter(), work.segment
        pictures, _, report = decoder.sample(
            work.clip.path,
            self.num_frames,
            segment.start_s,
            segment.end_s,
            timeout_s=self.timeout_s,
            transform=self.preprocess.clip_pictures,
        )
        return DecodedClip(work.clip.path, pictures, report, time.perf_counter() - began)
