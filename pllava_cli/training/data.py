"""Training data: lines of JSON become conversations about a clip, or reasons why they cannot.

Two formats are read, line by line and mixed at will: the records that `pllava caption --json` writes,
and LLaVA's conversations. Nothing here opens a clip; pllava-training(5) describes both formats.
"""

import json
import math
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pllava_cli.errors import UsageError
from pllava_cli.prompts import CAPTION, VIDEO_PLACEHOLDER, Message

MAX_LINE_BYTES = 1 << 20
"""A conversation must fit a few thousand positions; a line above 1 MiB is no conversation."""
MAX_LIST_BYTES = 1 << 30
"""A `.json` list is parsed as one piece, at several times its size of memory."""

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


@dataclass(frozen=True)
class Conversation:
    """A clip, and what is said about it: user and assistant by turns."""

    where: str
    """FILE:LINE."""
    clip: ClipRef
    system: str
    turns: tuple[Message, ...]


class BadLine(NamedTuple):
    """A line that cannot be trained on."""

    where: str
    reason: str

    def __str__(self) -> str:
        return f"{self.where}: {self.reason}"


@dataclass
class Lines:
    """What was read."""

    conversations: list[Conversation] = field(default_factory=list)
    bad: list[BadLine] = field(default_factory=list)
    error_records: int = 0
    """Records of clips that could not be captioned; there is nothing to learn from them."""


class _BadError(Exception):
    """Why a line cannot be used."""


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
        for number, content in _objects(file):
            where = f"{file}:{number}"
            try:
                _check(content)
                if content.get("status") == "error":
                    lines.error_records += 1
                    continue
                lines.conversations.append(_conversation(content, where, file.parent, system))
            except _BadError as error:
                lines.bad.append(BadLine(where, str(error)))
    return lines


def check_regular(file: Path) -> None:
    """Refuse what cannot be read twice, or never ends.

    Raises:
        UsageError: It is a directory, a pipe or a device.
    """
    if file.is_dir():
        raise UsageError(f"{file} is a directory", "name .jsonl or .json files")
    if file.exists() and not file.is_file():
        raise UsageError(f"{file} is no regular file", "write the data to a file: it is read more than once")


def _objects(file: Path) -> Iterator[tuple[int, Any]]:
    """Yield the number of each line or item, and its object or the reason why there is none."""
    try:
        check_regular(file)
        if file.suffix.lower() == ".json":
            yield from enumerate(_list(file), 1)
            return
        with file.open("rb") as stream:
            for number, line in enumerate(_raw_lines(stream), 1):
                if line is None or line.strip():
                    yield number, _parsed(line)
    except FileNotFoundError:
        raise UsageError(f"there is no file {file}", "check the name") from None
    except (OSError, ValueError) as error:
        raise UsageError(
            f"cannot read {file}: {getattr(error, 'strerror', None) or error}", "check the file"
        ) from None


def _raw_lines(stream: Any) -> Iterator[bytes | None]:
    """Yield lines; None for one that is too long."""
    while line := stream.readline(MAX_LINE_BYTES):
        if len(line) < MAX_LINE_BYTES or line.endswith(b"\n"):
            yield line
            continue
        while line and not line.endswith(b"\n"):
            line = stream.readline(MAX_LINE_BYTES)
        yield None


def _parsed(line: bytes | None) -> Any:
    if line is None:
        return _BadError(f"the line is longer than {MAX_LINE_BYTES} bytes")
    try:
        return json.loads(line.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        return _BadError(f"not JSON: {error}")


def _list(file: Path) -> list[Any]:
    if file.stat().st_size > MAX_LIST_BYTES:
        raise UsageError(f"{file} is larger than {MAX_LIST_BYTES} bytes", "write one object a line as .jsonl")
    try:
        items = json.loads(file.read_bytes().decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{file} is not JSON: {error}", "it must hold a list of objects") from None
    if not isinstance(items, list):
        raise UsageError(f"{file} holds no list", "it must hold a list of objects; one a line is .jsonl")
    return items


def _check(content: Any) -> None:
    if isinstance(content, _BadError):
        raise content
    if not isinstance(content, dict):
        raise _BadError("not a JSON object")


def _conversation(raw: dict[str, Any], where: str, folder: Path, system: str) -> Conversation:
    if "conversations" in raw:
        clip, turns = _llava_clip(raw, folder), _llava_turns(raw["conversations"])
    elif "text" in raw or "schema" in raw:
        clip, turns = _record_clip(raw, folder), _record_turns(raw)
    else:
        raise _BadError("neither a record (path, text) nor a conversation (video or image, conversations)")
    own = raw.get("system", system)
    _check_text(own, "the system text", may_be_empty=True)
    return Conversation(where, clip, own, turns)


def _llava_clip(raw: dict[str, Any], folder: Path) -> ClipRef:
    kinds = [kind for kind in ("video", "image") if raw.get(kind) is not None]
    if len(kinds) != 1:
        raise _BadError("names no clip" if not kinds else "names both a video and an image")
    start_s, end_s = _span(raw.get("segment"))
    return ClipRef(_path(raw[kinds[0]], folder), start_s, end_s, is_still=kinds[0] == "image")


def _llava_turns(conversations: Any) -> tuple[Message, ...]:
    if not isinstance(conversations, list) or not conversations:
        raise _BadError("conversations is no list of turns")
    turns: list[Message] = []
    for number, turn in enumerate(conversations, 1):
        if not isinstance(turn, dict):
            raise _BadError(f"turn {number} is not an object")
        role, text = turn.get("from", turn.get("role")), turn.get("value", turn.get("content"))
        if not isinstance(role, str) or role not in ROLES:
            raise _BadError(f"turn {number} has the unknown role {role!r:.60}; known are {', '.join(ROLES)}")
        if ROLES[role] != ("user", "assistant")[len(turns) % 2]:
            raise _BadError(f"turn {number} is {role}'s; user and assistant must take turns, the user first")
        if number == 1 and isinstance(text, str):
            text = _MEDIA.sub("", text)
        _check_text(text, f"turn {number} ({'answer' if ROLES[role] == 'assistant' else 'question'})")
        turns.append(Message(ROLES[role], str(text)))
    if len(turns) % 2:
        raise _BadError("the last turn is the user's: there is no answer to it")
    return tuple(turns)


def _record_clip(raw: dict[str, Any], folder: Path) -> ClipRef:
    return ClipRef(_path(raw.get("path"), folder), *_span(raw.get("segment")))


def _record_turns(raw: dict[str, Any]) -> tuple[Message, ...]:
    task = raw.get("task", "caption")
    if task not in ("caption", "ask"):
        raise _BadError(f"unknown task {task!r:.60}; known are caption, ask")
    question = raw.get("question") or raw.get("prompt") or (CAPTION if task == "caption" else None)
    _check_text(question, "the question")
    _check_text(raw.get("text"), "the text")
    return Message("user", str(question)), Message("assistant", raw["text"])


def _path(value: Any, folder: Path) -> Path:
    if not isinstance(value, str) or not value:
        raise _BadError("the path of the clip is missing or no text")
    if "\0" in value:
        raise _BadError("the path of the clip holds a NUL character")
    return Path(os.path.abspath(folder / value))  # noqa: PTH100 (Path.resolve would follow symbolic links)


def _span(segment: Any) -> tuple[float | None, float | None]:
    if segment is None:
        return None, None
    if not isinstance(segment, dict):
        raise _BadError("segment is not an object with start_s and end_s")
    start_s, end_s = (_seconds(segment.get(name), name) for name in ("start_s", "end_s"))
    if end_s is not None and end_s <= (start_s or 0.0):
        raise _BadError(f"the segment ends at {end_s:g} s, before it starts")
    return start_s, end_s


def _seconds(value: Any, name: str) -> float | None:
    if value is None:
        return None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or value < 0:
        raise _BadError(f"{name} of the segment is {value!r:.60}, not a time in seconds")
    return float(value)


def _check_text(text: Any, name: str, *, may_be_empty: bool = False) -> None:
    if not isinstance(text, str):
        raise _BadError(f"{name} is missing or no text")
    if not may_be_empty and not text.strip():
        raise _BadError(f"{name} is empty")
    if VIDEO_PLACEHOLDER in text:
        raise _BadError(f"{name} holds {VIDEO_PLACEHOLDER}, which stands for the clip")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _BadError(f"{name} holds a lone surrogate, which is no character") from None
