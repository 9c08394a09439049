"""Where outcomes go, in which order, and what becomes of those that cannot be written."""

import threading
from pathlib import Path

import pytest

from pllava_cli.batch.journal import Journal
from pllava_cli.batch.output import MOST_PENDING, Output
from pllava_cli.batch.sidecar import Sidecars
from pllava_cli.batch.tally import Tally
from pllava_cli.errors import UsageError
from pllava_cli.jsonlines import lines
from pllava_cli.recordfile import parse
from pllava_cli.records import Record
from tests.batch.made import outcome, record


def plain(file: Path) -> list[dict[str, object]]:
    with file.open("rb") as stream:
        return [parse(each).plain for each in lines(stream)]


@pytest.mark.parametrize("in_thread", [True, False])
def test_a_text_that_its_sidecar_cannot_take_stays_in_its_record(tmp_path: Path, in_thread: bool) -> None:
    """The clip counts as failed, so that somebody sees to it, but no text is thrown away."""
    (tmp_path / "a.txt").mkdir()
    tally = Tally()
    with Journal.open(tmp_path / "out.jsonl") as journal:
        output = Output(journal, Sidecars(existing="overwrite"), in_thread=in_thread)
        with output:
            written = []
            for name in "ab":
                made = record(0, path=str(tmp_path / f"{name}.mp4"), text="A bird.")
                written += output.write(outcome(made))
            written += output.finish()
    for each in written:
        tally.count(each)
    assert (tally.done, tally.failed) == (1, 1)
    assert list(tally.causes) == ["cannot write …: what is there is no regular file"]
    assert (tmp_path / "b.txt").read_text() == "A bird.\n"
    made = plain(tmp_path / "out.jsonl")
    assert [(each["status"], each["text"]) for each in made] == [("ok", "A bird.")] * 2


@pytest.mark.parametrize("in_thread", [True, False])
def test_a_sidecar_is_only_written_once_its_record_is(tmp_path: Path, in_thread: bool) -> None:
    """Else a run that was killed in between would make another text, and leave this one beside the clip."""

    class KilledError(Exception):
        pass

    class Dying:
        def append(self, record: Record) -> None:
            raise KilledError

    made = record(path=str(tmp_path / "a.mp4"))
    with Output(Dying(), Sidecars(), in_thread=in_thread) as output, pytest.raises(KilledError):
        output.write(outcome(made))
        output.finish()
    assert list(tmp_path.iterdir()) == []


def test_all_is_written_once_the_output_is_left(tmp_path: Path) -> None:
    with Journal.open(tmp_path / "out.jsonl") as journal:
        with Output(journal, None, in_thread=True) as output:
            for number in range(20):
                output.write(outcome(record(number)))
        assert journal.counts.done == 20
    assert [each["id"] for each in plain(tmp_path / "out.jsonl")] == [
        record(number).id for number in range(20)
    ]


def test_what_waits_for_the_disk_is_handed_back_once_it_is_written() -> None:
    """Each outcome once and in order; nobody waits for the disk before too many wait."""
    may_write = threading.Event()

    class Slow:
        def append(self, record: Record) -> None:
            may_write.wait()

    with Output(Slow(), None, in_thread=True) as output:
        try:
            written = [output.write(outcome(record(number))) for number in range(MOST_PENDING)]
        finally:
            may_write.set()
        found = output.write(outcome(record(MOST_PENDING))) + output.finish()
    assert written == [[]] * MOST_PENDING
    assert [each.record.id for each in found] == [record(number).id for number in range(MOST_PENDING + 1)]


@pytest.mark.parametrize("in_thread", [True, False])
def test_what_cannot_be_written_ends_the_run(tmp_path: Path, in_thread: bool) -> None:
    with Journal.open(tmp_path / "out.jsonl") as journal:
        (tmp_path / "out.jsonl").unlink()
        with (
            pytest.raises(UsageError, match="removed or replaced"),
            Output(journal, None, in_thread=in_thread) as output,
        ):
            output.write(outcome(record()))
            output.finish()
