"""What the vision tower sees in every clip of a run, computed once.

The tower is frozen: what it sees in a clip is the same at every step. So it is run before training,
over each clip alone (a batch's make-up must not show in the last bit), and what it saw is kept beside
the decoded pictures, row by row. A training step is left with the projector and the language model.
"""

import json
import math
import os
import zlib
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from pllava_cli.model.modeling import PllavaForConditionalGeneration
from pllava_cli.model.preprocessing import Frames
from pllava_cli.training.clips import ClipStore
from pllava_cli.training.data import ClipRef

PATCHES_FILE, HEAD_FILE = "patches.bin", "patches.json"


class Patches:
    """The patches of all clips of a run, in a file beside the clips' pictures.

    Args:
        store: Keeps the pictures of all clips, decoded.
        model: Its vision tower sees them.
        dtype: In which they are kept.
    """

    def __init__(self, store: ClipStore, model: PllavaForConditionalGeneration, dtype: torch.dtype) -> None:
        rows, columns = model.config.patch_grid
        self._store, self._model, self._dtype = store, model, dtype
        self._shape = (rows * columns, model.config.vision_config.hidden_size)
        self._row_bytes = math.prod(self._shape) * dtype.itemsize
        self._folder = store.folder
        known = {"tower": _checksum(model), "dtype": str(dtype), "clips": store.digest}
        self._head = json.dumps(known)
        self._content: Tensor | None = None

    @property
    def nbytes(self) -> int:
        """What they take on disk."""
        return self._store.rows * self._row_bytes

    def are_kept(self) -> bool:
        """Whether an earlier start, or another process, has seen all clips with the same tower."""
        head = self._folder / HEAD_FILE
        return head.exists() and head.read_text(encoding="utf-8") == self._head

    def see(self, clips: Sequence[ClipRef], on_clip: Callable[[int], None]) -> None:
        """Run the vision tower over all clips.

        Args:
            clips: Each clip once.
            on_clip: Told how many have been seen.

        Raises:
            OSError: The disk is full.
        """
        file, head = self._folder / PATCHES_FILE, self._folder / HEAD_FILE
        head.unlink(missing_ok=True)
        partial = file.with_suffix(".partial")
        try:
            with partial.open("wb") as out:
                for done, clip in enumerate(clips, start=1):
                    first, pictures = self._store.kept_pictures(clip)
                    out.seek(first * self._row_bytes)
                    out.write(self._seen(pictures))
                    on_clip(done)
                out.flush()
                os.fsync(out.fileno())
        except OSError:
            partial.unlink(missing_ok=True)
            raise
        partial.replace(file)
        head.write_text(self._head, encoding="utf-8")

    def _seen(self, pictures: Frames) -> bytes:
        pixels = self._store.look.preprocess.normalise(pictures)
        patches = self._model.model.see(pixels)
        return patches.to("cpu", self._dtype).contiguous().view(torch.uint8).numpy().tobytes()

    def of(self, clip: ClipRef) -> Tensor:
        """Patches [T, P, width] of a clip's temporal slots."""
        if self._content is None:
            mapped = torch.from_numpy(np.memmap(self._folder / PATCHES_FILE, np.uint8, "c"))
            self._content = mapped.view(self._dtype).view(-1, *self._shape)
        first, pictures = self._store.kept_pictures(clip)
        slots = self._store.look.slots(len(pictures))
        return self._content[first : first + len(pictures)][slots]

    def __getstate__(self) -> dict[str, object]:
        """What crosses to another process: where the patches are, not the patches."""
        return vars(self) | {"_content": None, "_model": None}


def _checksum(model: PllavaForConditionalGeneration) -> int:
    """Of the tower's weights."""
    total = 0
    for weight in model.model.vision_tower.state_dict().values():
        total = zlib.crc32(weight.detach().cpu().contiguous().view(torch.uint8).numpy(), total)
    return total
