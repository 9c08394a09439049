"""MSVD's descriptions as a table, MSR Video Description Corpus.csv: a clip and a sentence a row.

    VideoID,Start,End,WorkerID,Source,AnnotationTime,Language,Description
    -4wsuPCjDBc,5,15,1,clean,52,English,A squirrel is eating a peanut.

The clips are called as in the corpus' other file (`references.msvd`): -4wsuPCjDBc_5_15. What is said in
languages other than English is passed over. A sentence may go over several lines.

Source: the columns, as public programs that read the file take them (mcislab-machine-learning/MSVD-CN and
others, by pandas).
"""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pllava_cli import textfile
from pllava_cli.errors import UsageError
from pllava_cli.evaluation.benchmarks.json_or_lines import Placed
from pllava_cli.evaluation.benchmarks.references.msvd import checked_clip, first_line
from pllava_cli.evaluation.benchmarks.references.told import Entries, Told, each
from pllava_cli.evaluation.reading import EntryError
from pllava_cli.video.probe import shown_name

HINT = "each row needs VideoID, Start, End and Description"
_NAMED_BY = ("VideoID", "Start", "End")
_SENTENCE, _LANGUAGE = "Description", "Language"
_ENGLISH = "English"


def is_one(file: Path) -> bool:
    """Whether a file is of this form, as its first line tells; False if unreadable."""
    columns = first_line(file).decode("utf-8", "replace").strip().split(",")
    return {*_NAMED_BY, _SENTENCE} <= set(columns)


def entries(file: Path) -> Entries:
    """Read one that is.

    Raises:
        UsageError: It cannot be read, is no text, or a quotation mark in it is never closed.
    """
    return each(_rows(file), _told)


def _rows(file: Path) -> Iterator[Placed]:
    """The rows in English."""
    name = shown_name(file)
    with textfile.opened(file, name=name) as stream:
        # What is no UTF-8 belongs to one sentence: surrogates keep it for `_told` to refuse.
        lines = (text.decode("utf-8", "surrogateescape") + "\n" for _, text in textfile.lines(stream, name))
        reader = csv.DictReader(lines)
        try:
            for row in reader:
                if (row.get(_LANGUAGE) or _ENGLISH) == _ENGLISH:
                    yield Placed(f"{shown_name(file.name)}, line {reader.line_num}", row)
        except csv.Error as error:
            raise UsageError(
                f"{name}, line {reader.line_num}: {error}", "see whether a quotation mark is never closed"
            ) from None


def _told(row: Any) -> Told:
    if None in row:  # where DictReader puts the cells that have no column
        raise EntryError("has more cells than the first line names; quote a sentence that holds a comma")
    name = checked_clip("_".join((row[key] or "").strip() for key in _NAMED_BY))
    sentence: str = row[_SENTENCE] or ""
    try:
        sentence.encode()
    except UnicodeEncodeError:
        raise EntryError("is not UTF-8") from None
    return Told(None, name, [sentence])
