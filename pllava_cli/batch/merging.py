"""`pllava merge`: the record files of several runs, folded into one record for each subject.

Within a file, as in a journal, a later line replaces those before it; but, unlike there, an error never
replaces an answer. Between files an answer is preferred to an error, and then what was made later. Files are
read twice: first to choose which records stay, keeping only their keys and places, then to copy these, byte
for byte.
"""

import json
import math
import zlib
from codecs import BOM_UTF8
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import IO, Any

from pllava_cli.errors import UsageError
from pllava_cli.jsonlines import MAX_LINE_BYTES, Line, LineError, is_torn, lines
from pllava_cli.recordfile import HEAD, Parsed, parse
from pllava_cli.textfile import check_regular, missing, unreadable

Subjects = dict[bytes, "_Kept"]
"""By subject, the one record that stays."""


@dataclass
class Counts:
    """What was read, and what became of it."""

    files: int = 0
    read: int = 0
    """Records."""
    answers: int = 0
    """Among those that stay."""
    errors: int = 0
    """Among those that stay."""
    superseded: int = 0
    """Records that were replaced by another one of the same subject."""
    duplicates: int = 0
    """Records that were there once more, byte for byte."""
    torn: int = 0
    """Last lines that a kill has broken off."""
    settings: int = 0
    """With how many different settings the answers that stay were made."""

    @property
    def records(self) -> int:
        """How many stay."""
        return self.answers + self.errors


@dataclass(slots=True)
class _Kept:
    """What is remembered of a record: where it is, and what decides between it and others."""

    file: int
    """Which of the files."""
    start: int
    """Its first byte."""
    checksum: int
    """CRC-32 of its line."""
    is_ok: bool
    made_s: float
    """When it was made, seconds since 1970; minus infinity if it does not say."""
    fingerprint: bytes
    settings: int
    """A number for its settings."""
    id: int
    """A hash of its clip's id."""
    size_bytes: int | None
    """Of the clip's file."""

    def is_copy(self, other: "_Kept") -> bool:
        """Whether the other is the same record, byte for byte."""
        return self.checksum == other.checksum and self.fingerprint == other.fingerprint

    def is_of_another_clip(self, other: "_Kept") -> bool:
        """Whether two records of one path tell of different files.

        A clip's id is made from its absolute path, which may differ between copies of one file on two
        machines. Only a different size as well makes it certain.
        """
        sizes = self.size_bytes, other.size_bytes
        return self.id != other.id and None not in sizes and sizes[0] != sizes[1]


@dataclass
class Merging:
    """Decides which records of several files stay.

    Args:
        files: The files. Where nothing else decides, the later one is preferred.
        is_newest: Whether the later made of two answers with different settings stays.
        on_record: Called now and then with how many records have been read.
    """

    files: Sequence[Path]
    is_newest: bool = False
    on_record: Callable[[int], None] = lambda count: None
    counts: Counts = field(default_factory=Counts)
    torn: list[Path] = field(default_factory=list)
    """Files whose last line a kill has broken off."""
    _kept: Subjects = field(default_factory=dict)
    _settings: dict[tuple[str, str | None], int] = field(default_factory=dict)
    _mixed: list[tuple[_Kept, _Kept]] = field(default_factory=list)
    """Answers of one subject with different settings, in different files."""

    def survey(self) -> None:
        """Read all files and decide.

        Raises:
            UsageError: One cannot be read or holds something else than records; one path means different
                clips; answers of one subject have different settings, and nobody has said which stay.
        """
        for file in self.files:
            if not check_regular(file):
                raise missing(file)
        for number in range(len(self.files)):
            self._fold(self._standing(number))
        if self._mixed and not self.is_newest:
            raise self._refused_settings()
        self._count()

    def chosen(self) -> Iterator[bytes]:
        """Yield the lines of the records that stay, with their ends, in the order of the files.

        Raises:
            UsageError: A file cannot be read any more, or has changed.
        """
        places = sorted(self._kept.values(), key=lambda kept: (kept.file, kept.start))
        for number, in_file in groupby(places, key=lambda kept: kept.file):
            yield from self._lines(number, in_file)

    def _lines(self, number: int, places: Iterable[_Kept]) -> Iterator[bytes]:
        file = self.files[number]
        try:
            with file.open("rb") as stream:
                for kept in places:
                    yield self._line(stream, kept)
        except OSError as error:
            raise unreadable(file, error) from None

    def _line(self, stream: IO[bytes], kept: _Kept) -> bytes:
        stream.seek(kept.start)
        raw = stream.readline(MAX_LINE_BYTES).rstrip(b"\r\n")
        if zlib.crc32(raw) != kept.checksum:
            raise UsageError(
                f"{self.files[kept.file]} has changed while it was read",
                "wait until nothing writes to it, and merge again",
            )
        return raw.removeprefix(BOM_UTF8) + b"\n"

    def _standing(self, number: int) -> Subjects:
        """Return the records of one file that are of use: of each subject one."""
        file, standing = self.files[number], Subjects()
        self.counts.files += 1
        try:
            with file.open("rb") as stream:
                for line in lines(stream):
                    self._take(number, line, standing)
        except OSError as error:
            raise unreadable(file, error) from None
        return standing

    def _take(self, number: int, line: Line, standing: Subjects) -> None:
        try:
            parsed = parse(line)
        except LineError as error:
            if not is_torn(line, HEAD):
                raise UsageError(
                    f"{self.files[number]}, line {line.number} is {error}",
                    f"see `pllava check {self.files[number]}`; take the line out, or leave the file out",
                ) from None
            self.torn.append(self.files[number])
            self.counts.torn += 1
            return
        self.counts.read += 1
        self.on_record(self.counts.read)
        kept, before = self._look(number, line, parsed), standing.get(parsed.key.subject)
        if before is None or self._replaces(kept, before):
            standing[parsed.key.subject] = kept

    def _look(self, number: int, line: Line, parsed: Parsed) -> _Kept:
        assert line.raw is not None
        plain = parsed.plain
        return _Kept(
            file=number,
            start=line.start,
            checksum=zlib.crc32(line.raw.rstrip(b"\r\n")),
            is_ok=plain["status"] == "ok",
            made_s=_made_s(plain),
            fingerprint=parsed.key.fingerprint,
            settings=self._settings.setdefault(_settings(plain), len(self._settings)),
            id=hash(plain["id"]),
            size_bytes=int(plain["file"]["size_bytes"]) if plain["file"] else None,
        )

    def _fold(self, standing: Subjects) -> None:
        """Merge the records of a further file into those kept so far."""
        if not self._kept:
            self._kept = standing
            return
        for subject, kept in standing.items():
            before = self._kept.setdefault(subject, kept)
            if before is kept:
                continue
            if before.is_of_another_clip(kept):
                raise self._refused_clip(before, kept)
            if before.is_ok and kept.is_ok and before.fingerprint != kept.fingerprint:
                self._mixed.append((before, kept))
            if self._replaces(kept, before):
                self._kept[subject] = kept

    def _replaces(self, new: _Kept, before: _Kept) -> bool:
        """Whether a record replaces one that was read before it; counts the one that goes."""
        if new.is_copy(before):
            self.counts.duplicates += 1
            return False
        self.counts.superseded += 1
        if new.is_ok != before.is_ok:
            return new.is_ok
        return new.file == before.file or new.made_s >= before.made_s

    def _count(self) -> None:
        used = set()
        for kept in self._kept.values():
            if kept.is_ok:
                self.counts.answers += 1
                used.add(kept.settings)
            else:
                self.counts.errors += 1
        settings = [each for each, number in self._settings.items() if number in used]
        with_prompt = {how for how, prompt in settings if prompt is not None}
        self.counts.settings = sum(how not in with_prompt or prompt is not None for how, prompt in settings)

    def _refused_settings(self) -> UsageError:
        one, other = self._mixed[0]
        more = f", and {len(self._mixed) - 1} more" if len(self._mixed) > 1 else ""
        return UsageError(
            f"{self._path(one)} was answered with different settings in {self.files[one.file]} and"
            f" {self.files[other.file]}{more}",
            "--newest keeps the answer that was made later; else leave one of the files out",
        )

    def _refused_clip(self, one: _Kept, other: _Kept) -> UsageError:
        return UsageError(
            f"{self._path(one)} is one clip in {self.files[one.file]} and another in"
            f" {self.files[other.file]} ({one.size_bytes} and {other.size_bytes} bytes)",
            "the runs named it from different folders: name clips by absolute paths, or merge apart",
        )

    def _path(self, kept: _Kept) -> str:
        file = self.files[kept.file]
        try:
            with file.open("rb") as stream:
                path: str = json.loads(self._line(stream, kept))["path"]
                return path
        except OSError as error:
            raise unreadable(file, error) from None


def _made_s(plain: Mapping[str, Any]) -> float:
    try:
        made = datetime.fromisoformat(plain["created"])
        return (made if made.tzinfo else made.replace(tzinfo=UTC)).timestamp()
    except (KeyError, TypeError, ValueError, OverflowError):
        return -math.inf


def _settings(plain: Mapping[str, Any]) -> tuple[str, str | None]:
    """Return what tells a record's settings from others': how it was made, and a caption's instruction."""
    decoding = plain.get("decoding")
    if isinstance(decoding, dict):
        drawn = () if decoding.get("temperature") else ("top_p", "seed")  # greedy: neither plays a part
        ended = ("stopped", "new_tokens")
        decoding = {name: value for name, value in decoding.items() if name not in (*ended, *drawn)}
    prompt = plain["question"] if plain["task"] == "caption" else None
    return json.dumps([plain.get("model"), decoding, plain.get("system")], sort_keys=True), prompt
