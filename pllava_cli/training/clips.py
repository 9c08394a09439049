"""The clips of a training run, decoded once each and kept as the pictures that the vision tower sees.

Training looks at a clip once an epoch, and decoding is dearer than a small model's whole step. So the
look at every clip that must come before training anyway is kept: in one file of 8-bit pictures, with
an index that names each clip by path, size and time of change, and a checksum that tells a torn write.
"""

import json
import os
import shutil
import threading
import zlib
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pllava_cli.errors import PllavaError
from pllava_cli.model.pooling import fill_slots
from pllava_cli.model.preprocessing import ClipPreprocessor, Frames, check_frames
from pllava_cli.training.data import ClipRef
from pllava_cli.video.pool import DecoderPool
from pllava_cli.video.reader import Decoder

PICTURES_FILE, INDEX_FILE = "pictures.u8", "index.jsonl"
DISK_SHARE = 0.9
"""Share of the free disk that decoded clips may take."""


@dataclass(frozen=True)
class Look:
    """How clips are looked at."""

    num_frames: int
    preprocess: ClipPreprocessor
    timeout_s: float

    @property
    def picture_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of a picture."""
        return (*self.preprocess.crop, 3)

    def at(self, clip: ClipRef, decoder: Decoder) -> Frames:
        """Pictures [T, S, S, 3] of a clip, one for a still.

        Raises:
            PllavaError: It is missing or cannot be decoded.
        """
        count = 1 if clip.is_still else self.num_frames
        frames, _, _ = decoder.sample(clip.path, count, clip.start_s, clip.end_s, timeout_s=self.timeout_s)
        return self.preprocess.pictures([check_frames(frames)])

    def slots(self, pictures: int) -> list[int]:
        """Which of so many pictures stands in each temporal slot."""
        return fill_slots(pictures, self.num_frames)

    def fill(self, pictures: Frames) -> Frames:
        """The pictures of all temporal slots."""
        return pictures[self.slots(len(pictures))]


@dataclass(frozen=True)
class _Kept:
    """Where the pictures of a clip are."""

    first: int
    count: int
    checksum: int


class ClipStore:
    """Decoded clips in a folder.

    Args:
        folder: Where they are kept; None: nowhere, they are only looked at.
        look: How clips are looked at; pictures kept under another look are dropped.
        limit_bytes: What the pictures may take on disk.
    """

    def __init__(self, folder: Path | None, look: Look, limit_bytes: int) -> None:
        self.look = look
        self._folder = folder
        self._keys: dict[ClipRef, str] = {}
        self._kept: dict[str, _Kept] = {}
        self._lock = threading.Lock()
        self._picture_bytes = int(np.prod(look.picture_shape))
        self._used = 0
        self._pictures: Frames | None = None
        self._decoder: Decoder | None = None
        self._limit_bytes, self._limit = limit_bytes, 0
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            self._open(folder)
            free = int(shutil.disk_usage(folder).free * DISK_SHARE)
            self._limit = min(limit_bytes, free + self._used * self._picture_bytes) // self._picture_bytes

    def check(
        self, clips: Iterable[ClipRef], on_clip: Callable[[int], None], decoders: int
    ) -> dict[ClipRef, PllavaError]:
        """Look at every clip, and keep what there is room for.

        Args:
            clips: Each clip once.
            on_clip: Told how many have been looked at.
            decoders: How many to decode at once.

        Returns:
            The clips that cannot be used, and why.
        """
        bad: dict[ClipRef, PllavaError] = {}
        with DecoderPool(decoders, clips, self._take) as pool:
            for done, (clip, error) in enumerate(pool, 1):
                if error is not None:
                    bad[clip] = error
                on_clip(done)
        return bad

    def pictures(self, clip: ClipRef) -> Frames:
        """Pictures [T, S, S, 3] of a clip: those kept, or decoded anew.

        Raises:
            PllavaError: It can no longer be decoded.
        """
        kept = self._kept_of(clip)
        if kept is not None:
            return self.look.fill(self._rows(kept))
        if self._decoder is None:
            self._decoder = Decoder()
        return self.look.fill(self.look.at(clip, self._decoder))

    @property
    def folder(self) -> Path:
        """Where the pictures are kept."""
        assert self._folder is not None, "only what lies in a folder is kept"
        return self._folder

    @property
    def rows(self) -> int:
        """How many pictures are kept."""
        return self._used

    @property
    def nbytes(self) -> int:
        """What the pictures take on disk."""
        return self._used * self._picture_bytes

    @property
    def digest(self) -> int:
        """A checksum of what is kept, and where."""
        return zlib.crc32(
            json.dumps(sorted((key, *asdict(kept).values()) for key, kept in self._kept.items())).encode()
        )

    @property
    def room(self) -> int:
        """Bytes that may be kept beside the pictures."""
        return min(self._limit_bytes - self.nbytes, int(shutil.disk_usage(self.folder).free * DISK_SHARE))

    def kept_pictures(self, clip: ClipRef) -> tuple[int, Frames]:
        """Where a kept clip's pictures begin among all, and the pictures [T, S, S, 3]."""
        kept = self._kept_of(clip)
        assert kept is not None, "only what is kept has a place"
        return kept.first, self._rows(kept)

    def keeps(self, clips: Iterable[ClipRef]) -> bool:
        """Whether all of the clips are kept decoded."""
        return all(self._kept_of(clip) for clip in clips)

    def _kept_of(self, clip: ClipRef) -> _Kept | None:
        """Where a clip's pictures lie, by what the file was when looked at: they outlive it."""
        key = self._keys.get(clip)
        if key is None:
            try:
                key = _key(clip)
            except OSError:
                return None
        return self._kept.get(key)

    def close(self) -> None:
        """End the decoder."""
        if self._decoder is not None:
            self._decoder.stop()
            self._decoder = None

    def __getstate__(self) -> dict[str, Any]:
        """What crosses to another process: where things are, not the things."""
        return vars(self) | {"_lock": None, "_pictures": None, "_decoder": None}

    def _take(self, clip: ClipRef, decoder: Decoder) -> None:
        try:
            key = _key(clip)
        except OSError:
            key = ""  # which the decoder will say better
        self._keys[clip] = key
        if key and key in self._kept:
            return
        pictures = self.look.at(clip, decoder)
        with self._lock:
            first = self._used
            if self._folder is None or first + len(pictures) > self._limit:
                return
            self._used += len(pictures)
        content = pictures.tobytes()
        try:
            with (self._folder / PICTURES_FILE).open("r+b") as file:
                file.seek(first * self._picture_bytes)
                file.write(content)
            kept = _Kept(first, len(pictures), zlib.crc32(content))
            with self._lock, (self._folder / INDEX_FILE).open("a", encoding="utf-8") as index:
                index.write(_index_line(key, kept) + "\n")
                self._kept[key] = kept
        except OSError:  # no space: what is not kept is decoded again
            with self._lock:
                self._limit = 0

    def _rows(self, kept: _Kept) -> Frames:
        if self._pictures is None:
            content = np.memmap(self.folder / PICTURES_FILE, np.uint8, "r")
            whole = len(content) // self._picture_bytes  # what a full disk has torn is not looked at
            shape = (whole, *self.look.picture_shape)
            self._pictures = content[: whole * self._picture_bytes].reshape(shape)
        return self._pictures[kept.first : kept.first + kept.count]

    def _open(self, folder: Path) -> None:
        """Take over what an earlier start has kept, or begin anew."""
        head = json.dumps({"num_frames": self.look.num_frames, "preprocess": asdict(self.look.preprocess)})
        index, file = folder / INDEX_FILE, folder / PICTURES_FILE
        lines = index.read_text(encoding="utf-8").splitlines() if index.exists() and file.exists() else []
        if not lines or lines[0] != head:
            file.write_bytes(b"")
            index.write_text(head + "\n", encoding="utf-8")
            return
        with file.open("rb") as stream:
            for line in lines[1:]:
                self._take_over(line, stream)
        whole = [_index_line(key, kept) for key, kept in self._kept.items()]
        if whole != lines[1:]:
            index.write_text("\n".join([head, *whole, ""]), encoding="utf-8")

    def _take_over(self, line: str, stream: Any) -> None:
        try:
            entry = json.loads(line)
            key, kept = entry["clip"], _Kept(*(int(entry[name]) for name in ("first", "count", "checksum")))
        except (ValueError, KeyError, TypeError):
            return  # torn by a kill
        stream.seek(kept.first * self._picture_bytes)
        content = stream.read(kept.count * self._picture_bytes)
        if len(content) == kept.count * self._picture_bytes and zlib.crc32(content) == kept.checksum:
            self._kept[key] = kept
            self._used = max(self._used, kept.first + kept.count)


def _index_line(key: str, kept: _Kept) -> str:
    return json.dumps({"clip": key, **asdict(kept)})


def _key(clip: ClipRef) -> str:
    """What a clip is known by: its path, its span, and what shows that the file has not changed."""
    status = clip.path.stat()
    parts = (os.fspath(clip.path), status.st_size, status.st_mtime_ns)
    return json.dumps([*parts, clip.start_s, clip.end_s, clip.is_still])
