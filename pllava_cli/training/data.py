"""Training data: lines of JSON become conversations about a clip, or reasons why they cannot.

Two formats are read, line by line and mixed at will: the records that `pllava caption --json` writes,
and LLaVA's conversations. Nothing here opens a clip; pllava-training(5) describes both formats.
"""

import os
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pllava_cli.jsonlines import LineError
from pllava_cli.prompts import CAPTION, VIDEO_PLACEHOLDER, Message
from pllava_cli.training.lines import objects

ROLES: dict[str, Literal["user", "assistant"]] = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
}
_MEDIA = re.compile(r"\s*<(?:image|video)>\s*")
"""How LLaVA's data mark where the clip belongs; the template says where it goes."""


@dataclass(frozen=True)
class ClipRef:
    """The clip of a conversation."""

    path: Path
    start_s: float | None = None
    end_s: float | None = None
    is_still: bool = False
    """A picture: one frame, which stands in every temporal slot."""


class Where(NamedTuple):
    """The place of a line."""

    file: Path
    """As the user named it."""
    line: int
    """From 1; of a list: which of its items."""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True)
class Conversation:
    """A clip, and what is said about it: user and assistant by turns."""

    where: Where
    clip: ClipRef
    system: str
    turns: tuple[Message, ...]


class BadLine(NamedTuple):
    """A line that cannot be trained on."""

    where: Where
    reason: str

    def __str__(self) -> str:
        return f"{self.where}: {self.reason}"

    def as_dict(self) -> dict[str, str | int]:
        """As JSON tells it."""
        return {"file": str(self.where.file), "line": self.where.line, "reason": self.reason}


@dataclass
class Lines:
    """What was read."""

    conversations: list[Conversation] = field(default_factory=list)
    bad: list[BadLine] = field(default_factory=list)
    error_records: int = 0
    """Records of clips that could not be captioned; there is nothing to learn from them."""


def read(files: tuple[Path, ...], system: str) -> Lines:
    """Read data files.

    Args:
        files: `.jsonl` with an object a line, or `.json` with a list of them.
        system: System text of conversations that give none.

    Raises:
        UsageError: A file cannot be read at all.
    """
    lines = Lines()
    for file in files:
        for number, content in objects(file):
            where = Where(file, number)
            try:
                _check(content)
                if content.get("status") == "error":
                    lines.error_records += 1
                    continue
                lines.conversations.append(_conversation(content, where, file.parent, system))
            except LineError as error:
                lines.bad.append(BadLine(where, str(error)))
    return lines


def _check(content: Any) -> None:
    if isinstance(content, LineError):
        raise content
    if not isinstance(content, dict):
        raise LineError("not a JSON object")


def _conversation(raw: dict[str, Any], where: Where, folder: Path, system: str) -> Conversation:
    if "conversations" in raw:
        clip, turns = _llava_clip(raw, folder), _llava_turns(raw["conversations"])
    elif "text" in raw or "schema" in raw:
        clip, turns = _record_clip(raw, folder), _record_turns(raw)
    else:
        raise LineError("neither a record (path, text) nor a conversation (video or image, conversations)")
    own = raw.get("system", system)
    _check_text(own, "the system text", may_be_empty=True)
    return Conversation(where, clip, own, turns)


def _llava_clip(raw: dict[str, Any], folder: Path) -> ClipRef:
    kinds = [kind for kind in ("video", "image") if raw.get(kind) is not None]
    if len(kinds) != 1:
        raise LineError("names no clip" if not kinds else "names both a video and an image")
    start_s, end_s = _span(raw.get("segment"))
    return ClipRef(_path(raw[kinds[0]], folder), start_s, end_s, is_still=kinds[0] == "image")


def _llava_turns(conversations: Any) -> tuple[Message, ...]:
    if not isinstance(conversations, list) or not conversations:
        raise LineError("conversations is no list of turns")
    turns: list[Message] = []
    for number, turn in enumerate(conversations, 1):
        if not isinstance(turn, dict):
            raise LineError(f"turn {number} is not an object")
        role, text = turn.get("from", turn.get("role")), turn.get("value", turn.get("content"))
        if not isinstance(role, str) or role not in ROLES:
            raise LineError(f"turn {number} has the unknown role {role!r:.60}; known are {', '.join(ROLES)}")
        if ROLES[role] != ("user", "assistant")[len(turns) % 2]:
            raise LineError(f"turn {number} is {role}'s; user and assistant must take turns, the user first")
        if number == 1 and isinstance(text, str):
            text = _MEDIA.sub("", text)
        _check_text(text, f"turn {number} ({'answer' if ROLES[role] == 'assistant' else 'question'})")
        turns.append(Message(ROLES[role], str(text)))
    if len(turns) % 2:
        raise LineError("the last turn is the user's: there is no answer to it")
    return tuple(turns)


def _record_clip(raw: dict[str, Any], folder: Path) -> ClipRef:
    return ClipRef(_path(raw.get("path"), folder), *_span(raw.get("segment")))


def _record_turns(raw: dict[str, Any]) -> tuple[Message, ...]:
    task = raw.get("task", "caption")
    if task not in ("caption", "ask"):
        raise LineError(f"unknown task {task!r:.60}; known are caption, ask")
    question = raw.get("question") or raw.get("prompt") or (CAPTION if task == "caption" else None)
    _check_text(question, "the question")
    _check_text(raw.get("text"), "the text")
    return Message("user", str(question)), Message("assistant", raw["text"])


def _path(value: Any, folder: Path) -> Path:
    if not isinstance(value, str) or not value:
        raise LineError("the path of the clip is missing or no text")
    if "\0" in value:
        raise LineError("the path of the clip holds a NUL character")
    try:
        os.fsencode(value)
    except UnicodeEncodeError:  # a lone surrogate that stands for no byte
        raise LineError("the path of the clip is none that a file can have") from None
    return Path(os.path.abspath(folder / value))  # noqa: PTH100 (Path.resolve would follow symbolic links)


def _span(segment: Any) -> tuple[float | None, float | None]:
    if segment is None:
        return None, None
    if not isinstance(segment, dict):
        raise LineError("segment is not an object with start_s and end_s")
    start_s, end_s = (_seconds(segment.get(name), name) for name in ("start_s", "end_s"))
    if end_s is not None and end_s <= (start_s or 0.0):
        raise LineError(f"the segment ends at {end_s:g} s, before it starts")
    return start_s, end_s


def _seconds(value: Any, name: str) -> float | None:
    if value is None:
        return None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 <= value <= sys.float_info.max:  # NaN is neither, and an integer may be huge
        raise LineError(f"{name} of the segment is {value!r:.60}, not a time in seconds")
    return float(value)


def _check_text(text: Any, name: str, *, may_be_empty: bool = False) -> None:
    if not isinstance(text, str):
        raise LineError(f"{name} is missing or no text")
    if not may_be_empty and not text.strip():
        raise LineError(f"{name} is empty")
    if VIDEO_PLACEHOLDER in text:
        raise LineError(f"{name} holds {VIDEO_PLACEHOLDER}, which stands for the clip")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise LineError(f"{name} holds a lone surrogate, which is no character") from None
