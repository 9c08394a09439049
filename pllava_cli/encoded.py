"""Clips on their way through the engine: decoded, and as the language model remembers them.

A decoded clip is pictures as the vision tower takes them, a few megabytes whatever the clip's own
size, so that it can be made elsewhere and handed over. An encoded one owns its part of a cache.
"""

from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from pllava_cli.phrases import counted

if TYPE_CHECKING:
    from pllava_cli.model.cache import PrefixCache
    from pllava_cli.model.preprocessing import Frames
    from pllava_cli.model.visual import VisualTokens
    from pllava_cli.video.reader import DecodeReport


@dataclass(frozen=True)
class DecodedClip:
    """A clip's sampled frames, resized and cropped: what `Captioner.decode` makes, here or elsewhere.

    Or, where the clip has been seen before, what the language model is given of it.
    """

    path: Path
    pictures: "Frames | None" = field(repr=False)
    """Uint8 RGB [num_frames, S, S, 3], of `Processor.pictures` or `ClipPreprocessor.pictures`; None where
    `visual` stands in their place."""
    report: "DecodeReport"
    decode_s: float
    """Seconds it took."""
    visual: "VisualTokens | None" = field(default=None, repr=False)
    """Its visual tokens, where they are known."""
    key: str | None = field(default=None, repr=False)
    """Under which its visual tokens are to be kept, once they are made; None: they are not."""


@dataclass
class SeenClip:
    """What is known of a clip once it has been encoded."""

    path: Path
    report: "DecodeReport"
    visual_tokens: int
    elapsed_s: dict[str, float]
    """Seconds: "decode" for frames, "encode" for vision tower, projector and prefill; in a batch
    "encode" is the whole batch's, as its clips are waited for together."""


@dataclass
class EncodedClip(SeenClip):
    """A clip as the language model remembers it. It never changes, however often it is asked."""

    prefix_ids: list[int] = field(repr=False)
    cache: "PrefixCache" = field(repr=False)
    _lock: Lock = field(default_factory=Lock, repr=False)

    @property
    def name(self) -> str:
        """What errors call it."""
        return str(self.path)

    def borrow(self) -> "PrefixCache":
        """A cache holding just the clip: the clip's own, or a copy while another answer uses it."""
        if self._lock.acquire(blocking=False):
            self.cache.rewind(len(self.prefix_ids))
            return self.cache
        return self.cache.copy(len(self.prefix_ids))

    def give_back(self, cache: "PrefixCache") -> None:
        """End the use of a borrowed cache."""
        if cache is self.cache:
            self._lock.release()


@dataclass
class EncodedClips:
    """Clips side by side in one cache, to be asked the same question at once; any number of times."""

    clips: list[SeenClip]
    prefix_ids: list[int] = field(repr=False)
    """The same for all: system text and placeholders."""
    cache: "PrefixCache" = field(repr=False)
    order: list[int] = field(repr=False)
    """Which of `clips` lies in each row of the cache; answering moves them."""
    lock: Lock = field(default_factory=Lock, repr=False)
    """Held while a question is answered: two at a time would need the memory twice."""

    @property
    def name(self) -> str:
        """What errors call them."""
        return f"a batch of {counted(len(self.clips), 'clip')}, {self.clips[0].path} among them,"
