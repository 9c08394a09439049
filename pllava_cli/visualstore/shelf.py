"""The part of a store that holds what one checkpoint sees in clips, in one way.

A clip is found by its content, so that copies and moved files need not be seen again; a file that changes
while it is decoded is not kept.
"""

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pllava_cli.encoded import DecodedClip
from pllava_cli.model.modeling import PllavaForConditionalGeneration
from pllava_cli.model.plan import RuntimePlan
from pllava_cli.model.processing import Processor
from pllava_cli.model.visual import VisualTokens
from pllava_cli.visualstore.content import Content, content_of, is_unchanged
from pllava_cli.visualstore.entry import SCHEMA, Entry, from_bytes, to_bytes
from pllava_cli.visualstore.seeing import way_of_seeing
from pllava_cli.visualstore.store import VisualStore

if TYPE_CHECKING:
    from pllava_cli.video.report import DecodeReport


class Shelf:
    """What is kept of clips as one checkpoint sees them; for any number of threads.

    Args:
        store: Where.
        way: A digest of all that visual tokens depend on besides the clip.
    """

    def __init__(self, store: VisualStore, way: str) -> None:
        self._store, self._way = store, way

    def clip(
        self, path: Path, start_s: float | None, end_s: float | None, decode: Callable[[], DecodedClip]
    ) -> DecodedClip:
        """Return what is kept of a clip, or the clip decoded, with the key to keep it under.

        Args:
            path: A video file, or a folder of frames.
            start_s: Start of the part that is looked at.
            end_s: End of that part.
            decode: Decodes it; what it raises is raised.
        """
        began = time.perf_counter()
        content = content_of(path)
        if content is None:
            return decode()
        try:
            key = self.key(content, start_s, end_s)
        except (TypeError, ValueError):  # bounds that decoding will refuse in better words
            return decode()
        found = self._found(key)
        if found is not None:
            return DecodedClip(path, None, found.report, time.perf_counter() - began, found.visual)
        decoded = decode()
        return replace(decoded, key=key) if is_unchanged(path, content) else decoded

    def keep(self, key: str, visual: VisualTokens, report: "DecodeReport") -> None:
        """Keep a clip's visual tokens, if there is room."""
        if not self._store.is_closed:
            self._store.put(key, to_bytes(Entry(visual, report), key))

    def key(self, content: Content, start_s: float | None, end_s: float | None) -> str:
        """By which a clip is found: 64 hexadecimal digits."""
        bounds = [None if each is None else float(each) for each in (start_s, end_s)]
        parts = [SCHEMA, self._way, content.digest, *bounds]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def _found(self, key: str) -> Entry | None:
        kept = self._store.get(key)
        try:
            return None if kept is None else from_bytes(kept, key)
        except ValueError:  # damaged: it is made again, and takes its place
            return None


def shelf_for(
    store: VisualStore, model: PllavaForConditionalGeneration, processor: Processor, plan: RuntimePlan
) -> Shelf:
    """The shelf of a loaded checkpoint."""
    return Shelf(store, way_of_seeing(model, processor, plan))
