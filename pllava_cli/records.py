"""The record: all that is known about one caption or answer, as one JSON line.

What was said stands beside everything that made it, so that captions, subtitles and training files
can be derived from records without the model, and a record tells whether it would come out the same
again. pllava-records(5) describes every field; within a schema fields are only ever added.
"""

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from stat import S_ISDIR
from typing import Any, Literal

from pllava_cli import __version__
from pllava_cli.errors import PllavaError

SCHEMA = "pllava.record/1"

_FINGERPRINT_CHARACTERS = 32  # 128 bits
_UNSAFE = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""What JSON leaves as it is and a line of text must not hold: DEL and C1 controls, which command a
terminal, line separators, which split lines in some readers, and lone surrogates, which stand for
the bytes of a file name that is not UTF-8."""


@dataclass(frozen=True)
class Segment:
    """The span of the clip that was looked at. None: from its start, to its end."""

    index: int = 0
    start_s: float | None = None
    end_s: float | None = None

    @property
    def is_whole(self) -> bool:
        """Whether it is all of the clip."""
        return self.start_s is None and self.end_s is None


@dataclass(frozen=True)
class Frames:
    """The frames the model saw."""

    indices: Sequence[int]
    timestamps_s: Sequence[float]
    policy: str = "uniform"


@dataclass(frozen=True)
class Media:
    """What the file is, as it was decoded."""

    duration_s: float | None
    fps: float | None
    width_px: int
    height_px: int
    rotation_deg: int
    codec: str
    frames_header: int | None
    frames_decoded: int | None
    warnings: Sequence[str]


@dataclass(frozen=True)
class File:
    """What identifies the clip besides its path."""

    size_bytes: int
    mtime_s: float

    @classmethod
    def of(cls, path: Path) -> "File | None":
        """Look at a file, or a folder of frames as the sum of them; None if it is no longer there."""
        try:
            status = path.stat()
            if not S_ISDIR(status.st_mode):
                return cls(status.st_size, status.st_mtime)
            with os.scandir(path) as entries:  # a folder's own time tells nothing of a file written anew
                inner = [entry.stat() for entry in entries if entry.is_file()]
        except OSError:
            return None
        return cls(sum(each.st_size for each in inner), max(each.st_mtime for each in (status, *inner)))


@dataclass(frozen=True)
class Model:
    """The checkpoint and how it ran."""

    name: str
    revision: str | None
    base: str | None
    alpha: float | None
    dtype: str
    quantize: str
    num_frames: int
    pooling_shape: tuple[int, int, int]
    keep_tokens: float = 1.0
    """The share of the pooled visual tokens that was left."""
    encode: str = "exact"
    """How the clip was put into the model: `exact` or `int8`."""


@dataclass(frozen=True)
class Decoding:
    """How the text was decoded and why it ended."""

    max_new_tokens: int
    temperature: float
    top_p: float
    seed: int | None
    stopped: str | None = None
    """`eos`, `length` or `repetition`; None before it has ended."""
    new_tokens: int | None = None


@dataclass(frozen=True)
class Turn:
    """How the question was written out, where that is not as the checkpoint's own template has it."""

    answer_start: str = ""
    """What the reply was made to begin with; the text is what follows it."""
    is_inline: bool = False
    """Whether the clip led the question's own turn, instead of being a turn of its own."""


_PLAIN_TURN = Turn()


@dataclass(frozen=True)
class Error:
    """Why there is no text."""

    code: str
    message: str
    hint: str

    @classmethod
    def of(cls, error: PllavaError) -> "Error":
        """Describe an error; the code is its kind: `clip`, `usage`, `checkpoint` or `device`."""
        kinds = [kind for kind in type(error).__mro__ if PllavaError in kind.__bases__] or [PllavaError]
        return cls(kinds[0].__name__.removesuffix("Error").lower(), error.message, error.hint)


@dataclass(frozen=True)
class Record:
    """One caption or answer, or the error in its place."""

    id: str
    path: str
    task: Literal["caption", "ask"]
    question: str
    """The instruction or question put to the model."""
    system: str
    segment: Segment
    model: Model
    decoding: Decoding
    turn: Turn = _PLAIN_TURN
    file: File | None = None
    text: str | None = None
    frames: Frames | None = None
    media: Media | None = None
    elapsed_s: Mapping[str, float] = field(default_factory=dict)
    error: Error | None = None
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="milliseconds"))

    @property
    def fingerprint(self) -> str:
        """Digest of everything that changes the text, the clip itself apart."""
        decoding = {
            key: value for key, value in vars(self.decoding).items() if key not in ("stopped", "new_tokens")
        }
        if self.decoding.temperature == 0:  # greedy: neither plays a part
            del decoding["top_p"], decoding["seed"]
        model = dict(vars(self.model))
        if self.model.keep_tokens == 1:  # the same text as before there was a choice
            del model["keep_tokens"]
        if self.model.encode == "exact":
            del model["encode"]
        parts = {
            "task": self.task,
            "question": self.question,
            "system": self.system,
            "segment": vars(self.segment),
            "model": model,
            "decoding": decoding,
        }
        if self.turn != _PLAIN_TURN:  # else the same text as before there was a choice
            parts["turn"] = vars(self.turn)
        return hashlib.sha256(_dumps(parts, sort_keys=True).encode()).hexdigest()[:_FINGERPRINT_CHARACTERS]

    def as_dict(self) -> dict[str, Any]:
        """Return the record as plain data, in the order of pllava-records(5)."""
        plain = asdict(self)
        error = plain.pop("error")
        if self.turn == _PLAIN_TURN:
            del plain["turn"]
        head = {"schema": SCHEMA, "status": "ok" if error is None else "error"}
        tail = {"fingerprint": self.fingerprint, "tool": {"name": "pllava", "version": __version__}}
        return head | plain | tail | ({} if error is None else {"error": error})


def to_json_line(record: Record) -> str:
    """Return a record as one line of JSON, without the line's end.

    The line is valid UTF-8 whatever the path is made of, and holds no control character.
    """
    return _dumps(record.as_dict())


def path_text(path: Path) -> str:
    """Return a path for a record: as given, with forward slashes.

    A byte that is not UTF-8 becomes a lone surrogate, which `to_json_line` writes as an escape:
    Python's JSON reader and `os.fsencode` give the name back.
    """
    return os.fspath(path) if os.sep == "/" else path.as_posix()


def _dumps(value: Any, **options: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), **options)
    return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
