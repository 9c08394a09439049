"""Manifests: JSONL or CSV files that say which clips, which spans of them and what to ask.

A manifest is read whole before anything runs, so that a slip in its last line is told at once and not
after a night; only whether a clip is there is looked at when its turn comes.
"""

import csv
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from pllava_cli import inputs, textfile
from pllava_cli.batch.naming import suffix
from pllava_cli.batch.rows import PATH_COLUMNS, Row, RowError, parse
from pllava_cli.batch.walking import Warn, fault_of
from pllava_cli.batch.work import Work
from pllava_cli.errors import UsageError
from pllava_cli.jsonlines import why_not_json
from pllava_cli.phrases import counted
from pllava_cli.recordfile import is_record
from pllava_cli.records import Segment

MOST_TOLD = 10
"""So many bad rows are told one by one."""

_Span = tuple[str, float | None, float | None]
"""The id of a clip, start and end."""


@dataclass(slots=True)
class _Named:
    """What an id stands for."""

    path: str
    """Absolute."""
    file: str
    line: int
    spans: int = 0


@dataclass(slots=True)
class _Entry:
    """A work in the making: rows that follow each other may add questions."""

    path: str
    id: str
    segment: Segment
    questions: list[str | None]

    def work(self) -> Work:
        path = Path(self.path)
        return Work(inputs.Clip(path, self.id), self.segment, tuple(self.questions), fault_of(path))


class Manifests:
    """Reads the manifests of a run. An id stands for one clip in all of them.

    Args:
        warn: Told of each bad row, and of rows that ask what was asked before.
    """

    def __init__(self, warn: Warn) -> None:
        self._warn = warn
        self._ids: dict[str, _Named] = {}
        self._spans: dict[_Span, int] = {}
        self._asked: set[tuple[_Span, str | None]] = set()

    def read(self, file: str) -> Iterator[Work]:
        """Read a manifest whole, and return what it asks for, in its order.

        Rows of one span of one clip that follow each other are one work with several questions. The
        segments of a clip are numbered in the order in which the manifests first name them, so that rows
        added at the end renumber nothing. Relative paths are relative to the manifest's folder.

        Raises:
            UsageError: It is no manifest, a row cannot be used, or an id stands for two clips.
        """
        entries: list[_Entry] = []
        bad: list[str] = []
        repeated = 0
        last: _Span | None = None
        for line, row in _rows(file, bad):
            path = os.path.join(os.path.dirname(file), row.path)  # noqa: PTH118, PTH120 (keeps `..`)
            span = self._span(path, row, file, line)
            if (span, row.question) in self._asked:
                repeated += 1
                continue
            self._asked.add((span, row.question))
            if span == last:
                entries[-1].questions.append(row.question)
            else:
                entries.append(_Entry(path, span[0], self._segment(span), [row.question]))
            last = span
        self._judge(file, bad, repeated)
        return (entry.work() for entry in entries)

    def _span(self, path: str, row: Row, file: str, line: int) -> _Span:
        """Return which span of which clip a row means.

        Raises:
            UsageError: Its id stands for another clip.
        """
        known_as = row.id or inputs.clip_id(Path(path))
        absolute = os.path.abspath(path)  # noqa: PTH100 (Path.resolve would follow symbolic links)
        named = self._ids.setdefault(known_as, _Named(absolute, file, line))
        if named.path != absolute:
            raise UsageError(
                f"{file}, line {line}: the id {known_as} stands for another clip in {named.file}, line"
                f" {named.line}: {named.path}",
                "give each clip an id of its own, or none",
            )
        return known_as, row.start_s, row.end_s

    def _segment(self, span: _Span) -> Segment:
        named = self._ids[span[0]]
        if span not in self._spans:
            self._spans[span] = named.spans
            named.spans += 1
        return Segment(self._spans[span], span[1], span[2])

    def _judge(self, file: str, bad: list[str], repeated: int) -> None:
        if len(bad) == 1:
            raise UsageError(bad[0], "correct the row or take it out")
        if bad:
            for each in bad[:MOST_TOLD]:
                self._warn(each)
            raise UsageError(
                f"{len(bad)} rows of {file} cannot be used: the first is {bad[0]}",
                "correct them or take them out",
            )
        if repeated:
            told = counted(
                repeated,
                "row asks what a row before it asks, and is",
                "rows ask what a row before them asks, and are",
            )
            self._warn(f"{file}: {told} taken once")


def _rows(file: str, bad: list[str]) -> Iterator[tuple[int, Row]]:
    """Yield the rows that can be used with their lines; what is wrong with others is added to `bad`."""
    for line, raw in _raw_rows(file):
        try:
            if isinstance(raw, RowError):
                raise raw
            yield line, parse(raw)
        except RowError as error:
            bad.append(f"{file}, line {line}: {error}")


def _raw_rows(file: str) -> Iterator[tuple[int, Any]]:
    """Yield the rows with their lines; a `RowError` stands for a line that cannot be read."""
    path = inputs.named(file, "the manifest", "name a file")
    with textfile.opened(path, "name a file of text") as stream:
        yield from (_csv if suffix(file) in (".csv", ".tsv") else _jsonl)(stream, file)


def _jsonl(stream: BinaryIO, file: str) -> Iterator[tuple[int, Any]]:
    for number, line in textfile.lines(stream, file):
        if not line.strip():
            continue
        try:
            row = json.loads(line.decode())
        except (ValueError, RecursionError) as error:
            yield number, RowError(why_not_json(error))
            continue
        # Taken for a row, it would have a caption's instruction asked as a question, of the whole clip.
        if is_record(row):
            raise UsageError(
                f"{file}, line {number} is a record: it tells what was made, a manifest what to make",
                "name the clips; --redo and --redo-flagged make the records of a file again",
            )
        yield number, row


def _csv(stream: BinaryIO, file: str) -> Iterator[tuple[int, Any]]:
    # A path may hold any bytes; surrogates keep them, and `rows` refuses them where text is meant.
    decoded = (line.decode("utf-8", "surrogateescape") + "\n" for _, line in textfile.lines(stream, file))
    reader = csv.reader(decoded, delimiter="\t" if suffix(file) == ".tsv" else ",", strict=True)
    columns: list[str] | None = None
    line = 1
    try:
        for cells in reader:
            if columns is None:
                columns = _header(cells, file)
            elif len(cells) > len(columns):
                reason = f"it has {counted(len(cells), 'column')}, the first line names {len(columns)}"
                yield line, RowError(f"{reason}; quote a cell that holds the separator")
            elif cells:
                yield line, dict(zip(columns, cells, strict=False))
            line = reader.line_num + 1
    except csv.Error as error:
        raise UsageError(
            f"{file}, line {line}: {error}", 'write it as CSV, with cells quoted by ""'
        ) from None


def _header(cells: list[str], file: str) -> list[str]:
    columns = [cell.strip().casefold() for cell in cells]
    if not set(columns).intersection(PATH_COLUMNS):
        raise UsageError(
            f"{file} has no column {PATH_COLUMNS[0]}: its first line is {','.join(cells)!r:.100}",
            "name the columns in the first line: path, and if wanted id, start, end, question",
        )
    return columns
