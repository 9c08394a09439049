"""What the splicer knows of one picture: whether a run may start at it, and who refers to it.

Every codec answers the same three questions, so that planning knows no codec.
"""

from dataclasses import dataclass
from enum import Enum


class Start(Enum):
    """Whether decoding may begin at a picture."""

    NO = 0
    OPEN = 1
    """Yes, but only with a fresh decoder: pictures shown before it may refer to older ones."""
    CLOSED = 2
    """Yes, even behind other pictures."""


@dataclass(frozen=True)
class Picture:
    """How one picture is tied to the others."""

    start: Start
    is_reference: bool
    """Whether pictures of the same temporal layer may refer to it."""
    layer: int
    """Temporal layer; pictures refer to their own layer and to lower ones."""
    tags: tuple[tuple[int, int], ...] = ()
    """Position in the packet and length of every unit that may carry colour tags."""
