"""What a batch is asked for, clip by clip.

Discovery makes these, the pipeline consumes them one at a time: nothing between the two needs to know
how many there will be.
"""

from dataclasses import dataclass

from pllava_cli.errors import PllavaError
from pllava_cli.inputs import Clip
from pllava_cli.records import Segment

_WHOLE_CLIP = Segment()


@dataclass(frozen=True)
class Work:
    """One clip, or one segment of a clip, and what is asked of it."""

    clip: Clip
    """A manifest's own id stands in place of the one made from the path."""
    segment: Segment = _WHOLE_CLIP
    questions: tuple[str | None, ...] = (None,)
    """None: a caption."""
    fault: PllavaError | None = None
    """Why it cannot be used although it was named, as a missing file in a list: becomes an error record."""
