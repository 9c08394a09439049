"""A file of records, looked through: which of them are flagged, and for what.

Only the newest record of each subject counts, as for every reader: an error that a later run has put right
is no finding. A line that is no record is one.
"""

import os
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal, get_args

from pllava_cli.checks import text
from pllava_cli.checks.duplicates import Signature, near_duplicates, signature
from pllava_cli.errors import UsageError
from pllava_cli.jsonlines import Line, LineError, is_torn, lines
from pllava_cli.recordfile import HEAD, Parsed, parse
from pllava_cli.textfile import opened, unreadable

Flag = Literal[
    "error", "empty", "looping", "cut-off", "boilerplate", "near-duplicate", "missing-file", "torn"
]
FLAGS: tuple[Flag, ...] = get_args(Flag)

COMMON_SHARE = 0.2
"""An opening that more than this share of clips has is boilerplate."""
COMMON_CLIPS = 10
"""But only if more clips than these have it: among three clips two begin alike by chance."""
_MOST_STRANGE = 100
"""Lines at the start of a file, none of them a record, after which it is no file of records."""


@dataclass(frozen=True)
class Finding:
    """A record or a line that is flagged."""

    line: int
    id: str | None
    """None for a line that is no record."""
    path: str | None
    flags: tuple[Flag, ...]
    detail: str | None = None
    """Why it is no record, or what error stands in it."""
    like: int | None = None
    """The line of a near-duplicate."""


@dataclass(frozen=True)
class Report:
    """What was found in a file."""

    records: int
    """Subjects, each with its newest record."""
    superseded: int
    """Records that were replaced by a newer one of the same subject."""
    findings: Sequence[Finding]
    """By line."""

    @property
    def counts(self) -> dict[Flag, int]:
        """How many findings have each flag."""
        found = Counter(flag for finding in self.findings for flag in finding.flags)
        return {flag: found[flag] for flag in FLAGS}


@dataclass(slots=True)
class _Seen:
    """What is kept of a line until all have been read."""

    line: int
    id: str | None
    path: str | None
    flags: set[Flag]
    detail: str | None = None
    opening: tuple[str, ...] | None = None
    signature: Signature | None = None
    like: int | None = None


@dataclass
class _Reading:
    """What is in a file."""

    newest: dict[bytes, _Seen] = field(default_factory=dict)
    """Records, by subject."""
    strange: list[_Seen] = field(default_factory=list)
    """Lines that are none."""
    superseded: int = 0


def examine(path: Path, ignored: Collection[str] = ()) -> Report:
    """Look through a file of records.

    Args:
        path: The file.
        ignored: Flags that do not matter.

    Raises:
        UsageError: It cannot be read, or holds no records.
    """
    reading = _read(path)
    wanted = [flag for flag in FLAGS if flag not in ignored]
    findings = [
        Finding(each.line, each.id, each.path, flags, each.detail, each.like)
        for each in (*reading.strange, *reading.newest.values())
        if (flags := tuple(flag for flag in wanted if flag in each.flags))
    ]
    return Report(len(reading.newest), reading.superseded, sorted(findings, key=lambda finding: finding.line))


def flagged(path: Path, flags: Collection[str] = FLAGS) -> set[bytes]:
    """Return the subjects of the records that have one of the flags, as in `recordkey.Key.subject`.

    Raises:
        UsageError: The file cannot be read, or holds no records.
    """
    return {subject for subject, each in _read(path).newest.items() if each.flags.intersection(flags)}


def _read(path: Path) -> _Reading:
    reading = _Reading()
    try:
        with opened(path) as stream:
            _read_lines(path, stream, reading)
    except OSError as error:
        raise unreadable(path, error) from None
    if not reading.newest:
        raise _no_records(path, reading)
    records = list(reading.newest.values())
    _flag_common_openings(records)
    _flag_near_duplicates(records)
    return reading


def _read_lines(path: Path, stream: IO[bytes], reading: _Reading) -> None:
    for line in lines(stream):
        try:
            parsed = parse(line)
        except LineError as error:
            why = "broken off in the middle" if is_torn(line, HEAD) else str(error)
            reading.strange.append(_Seen(line.number, None, None, {"torn"}, why))
            if not reading.newest and (line.raw is None or len(reading.strange) == _MOST_STRANGE):
                raise _no_records(path, reading) from None
            continue
        reading.superseded += parsed.key.subject in reading.newest
        reading.newest[parsed.key.subject] = _look(line, parsed)


def _no_records(path: Path, reading: _Reading) -> UsageError:
    why = f": line {reading.strange[0].line} is {reading.strange[0].detail}" if reading.strange else ""
    return UsageError(
        f"{path} holds no records{why}", "name a file that was written by `pllava batch -o` or with --json"
    )


def _look(line: Line, parsed: Parsed) -> _Seen:
    """Look at one record by itself."""
    plain = parsed.plain
    seen = _Seen(line.number, plain["id"], plain["path"], set())
    if not _is_there(plain["path"]):
        seen.flags.add("missing-file")
    said = plain.get("text")
    if plain["status"] == "error":
        seen.flags.add("error")
        seen.detail = _of(plain.get("error"), "message")
    elif not isinstance(said, str) or not said.strip():
        seen.flags.add("empty")
    else:
        _look_at_text(seen, said, _of(plain.get("decoding"), "stopped"), plain["task"])
    return seen


def _look_at_text(seen: _Seen, said: str, stopped: str | None, task: str) -> None:
    words = text.words(said)
    if stopped == "repetition" or text.is_looping(words):
        seen.flags.add("looping")
    if stopped == "length":
        seen.flags.add("cut-off")
    if task == "caption" and words:  # answers to one question are alike by nature
        if text.opens_with_boilerplate(said):
            seen.flags.add("boilerplate")
        seen.opening, seen.signature = text.opening(words), signature(words)


def _of(value: Any, name: str) -> str | None:
    """Return a text within an object, if it is one and has it."""
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, str) else None


def _is_there(path: str) -> bool:
    try:
        return os.path.exists(path)  # noqa: PTH110 (for every record; a Path takes three times as long)
    except ValueError:  # a NUL byte, or a surrogate that stands for no byte
        return False


def _flag_common_openings(records: Sequence[_Seen]) -> None:
    clips: defaultdict[tuple[str, ...], set[str | None]] = defaultdict(set)
    for each in records:
        if each.opening is not None:
            clips[each.opening].add(each.path)
    common = max(COMMON_CLIPS, COMMON_SHARE * len(set().union(*clips.values())))
    for each in records:
        if each.opening is not None and len(clips[each.opening]) > common:
            each.flags.add("boilerplate")


def _flag_near_duplicates(records: Sequence[_Seen]) -> None:
    signed = [(each, each.signature) for each in records if each.signature is not None]
    clips: dict[str | None, int] = {}
    numbers = [clips.setdefault(each.path, len(clips)) for each, _ in signed]
    for index, other in near_duplicates([made for _, made in signed], numbers).items():
        signed[index][0].flags.add("near-duplicate")
        signed[index][0].like = signed[other][0].line
