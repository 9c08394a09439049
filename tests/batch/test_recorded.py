"""Sidecars of records that are there already: which are written, from which text, and what that leaves."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from pllava_cli.batch.journal import Journal
from pllava_cli.batch.planning import Planner
from pllava_cli.batch.recorded import RecordedSidecars, Written
from pllava_cli.batch.sidecar import Sidecars
from pllava_cli.batch.work import Work
from pllava_cli.errors import ClipError
from pllava_cli.records import File, Record, Segment
from tests.batch.made import failed
from tests.batch.running import RECORDING
from tests.batch.tree import works as works


def said(work: Work, text: str) -> Record:
    """The record of a work that was answered."""
    (question,) = work.questions
    file = File.of(work.clip.path)
    return replace(RECORDING.record(work.clip, work.segment, question, file=file), text=text)


def write(
    folder: Path,
    records: Iterable[Record],
    works: Iterable[Work],
    sidecars: Sidecars,
    *,
    redo: bool = False,
    is_dry_run: bool = False,
) -> Written:
    """Write the sidecars of records that a run finds, as the run would."""
    recorded = RecordedSidecars(sidecars)
    with Journal.open(folder / "out.jsonl") as journal:
        for record in records:
            journal.append(record)
        for _ in Planner(RECORDING, journal, redo=redo, keep=recorded.want).jobs(works):
            pass
        for _ in recorded.write(folder / "out.jsonl", is_dry_run=is_dry_run):
            pass
    return recorded.came


def texts(folder: Path) -> dict[str, str]:
    return {file.name: file.read_text() for file in folder.glob("*.txt")}


def test_the_newest_text_that_stands_is_written(works: list[Work], tmp_path: Path) -> None:
    """Nothing of an error, of a file that has changed, of other settings, or of no words."""
    a, b, c, d = works
    error = failed().error
    e, f = (replace(d, segment=Segment(number, number, number + 1.5)) for number in (0, 1))
    asked = replace(d, questions=("Who?",))
    records = [
        said(a, "An old bird."),
        replace(said(a, ""), text=None, error=error),
        said(a, "A bird."),
        said(b, "A dog."),
        replace(said(b, ""), text=None, error=error),
        said(c, "A cat."),
        said(e, "The first part."),
        said(f, " \n"),
        said(d, "What a caption says."),
        said(asked, "Nobody."),
    ]
    c.clip.path.write_bytes(b"another clip")
    came = write(tmp_path, records, [a, b, c, e, f, asked], Sidecars())
    assert texts(tmp_path) == {"a.txt": "A bird.\n", "d.0-1.5.txt": "The first part.\n", "d.txt": "Nobody.\n"}
    assert came == Written(3)


@pytest.mark.parametrize(("redo", "written"), [(False, 1), (True, 0)])
def test_what_other_settings_made_counts_where_it_stays(
    works: list[Work], tmp_path: Path, redo: bool, written: int
) -> None:
    """Met twice, it is still to be made again."""
    record = replace(said(works[0], "A bird."), system="other")
    assert write(tmp_path, [record], [works[0], works[0]], Sidecars(), redo=redo) == Written(written)


@pytest.mark.parametrize(
    ("existing", "expected"),
    [
        ("skip", {"a.txt": "mine\n", "b.txt": "dog 1\n"}),
        ("overwrite", {"a.txt": "dog 0\n", "b.txt": "dog 1\n"}),
        ("append", {"a.txt": "mine dog 0\n", "b.txt": "dog 1\n"}),
        ("prepend", {"a.txt": "dog 0 mine\n", "b.txt": "dog 1\n"}),
    ],
)
def test_what_is_there_becomes_what_is_asked(
    works: list[Work], tmp_path: Path, existing: str, expected: dict[str, str]
) -> None:
    """Once, however often; and a dry run foresees it."""
    (tmp_path / "a.txt").write_text("mine\n")
    sidecars = Sidecars(existing=existing)  # type: ignore[arg-type]
    records = [said(work, f"dog {number}") for number, work in enumerate(works[:2])]
    foreseen = write(tmp_path, records, works[:2], sidecars, is_dry_run=True)
    assert texts(tmp_path) == {"a.txt": "mine\n"}
    assert write(tmp_path, [], works[:2], sidecars) == foreseen == Written(1 + (existing != "skip"))
    assert texts(tmp_path) == expected
    assert write(tmp_path, [], works[:2], sidecars) == Written(0)
    assert texts(tmp_path) == expected


@pytest.mark.parametrize("existing", ["append", "prepend"])
def test_texts_that_share_a_sidecar_do_not_pile_up(works: list[Work], tmp_path: Path, existing: str) -> None:
    """Runs that ask one question each, given again and again as clips come in."""
    asked = [replace(works[0], questions=(question,)) for question in ("Who?", "What does it do?")]
    records = [said(work, text) for work, text in zip(asked, ("A bird.", "It flies."), strict=True)]
    sidecars = Sidecars(existing=existing)  # type: ignore[arg-type]
    both = "A bird. It flies.\n" if existing == "append" else "It flies. A bird.\n"
    for again in range(2):
        for work, record in zip(asked, records, strict=True):
            write(tmp_path, [] if again else [record], [work], sidecars)
        assert texts(tmp_path) == {"a.txt": both}


def test_one_that_cannot_be_written_leaves_the_others(works: list[Work], tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / f"{name}.txt").mkdir()
    gone = replace(works[3], fault=ClipError("it is gone", "look for it"))
    records = [said(work, "A bird.") for work in works]
    sidecars = Sidecars(existing="overwrite")
    for is_dry_run in (True, False):
        came = write(tmp_path, records, [*works[:3], gone], sidecars, is_dry_run=is_dry_run)
        assert (came.written, came.failed) == (1, 2)
        assert all("no regular file" in cause and ".mp4" not in cause for cause in came.causes)
    assert [file.name for file in tmp_path.glob("*.txt") if file.is_file()] == ["c.txt"]
