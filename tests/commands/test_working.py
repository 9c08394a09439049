"""What runs over many clips show while there is nothing else to see."""

from pathlib import Path

import pytest

from pllava_cli import app, inputs, terminal
from pllava_cli.batch.journal import Journal
from pllava_cli.batch.planning import Planner
from pllava_cli.batch.work import Work
from pllava_cli.commands import merge, working
from pllava_cli.terminal import Terminal
from tests.batch.made import line, record
from tests.batch.running import RECORDING


class Display:
    """Remembers what it is to show."""

    def __init__(self) -> None:
        self.shown: list[tuple[str, int, int, str]] = []

    def update(self, stage: str, done: int, total: int, note: str = "") -> None:
        self.shown.append((stage, done, total, note))

    def pause(self) -> None:
        pass

    def abandon(self) -> None:
        pass


@pytest.fixture
def display(monkeypatch: pytest.MonkeyPatch) -> Display:
    """The display of every terminal."""
    display = Display()
    monkeypatch.setattr(terminal, "make_progress", lambda **_: display)
    return display


def test_clips_that_are_done_are_counted_too_while_they_are_compared(
    display: Display, tmp_path: Path
) -> None:
    works = [Work(inputs.Clip.at(tmp_path / f"{number}.mp4")) for number in range(2 * working.SHOWN_EVERY)]
    with Journal.open(tmp_path / "out.jsonl") as journal:
        for work in works:
            journal.append(RECORDING.record(work.clip, work.segment, None, file=None))
        planned = working.planned(Terminal(), Planner(RECORDING, journal, redo=False), works)
    assert (planned.done, planned.to_do) == (len(works), 0)
    assert [(done, total) for _, done, total, _ in display.shown] == [
        (0, len(works)),
        (working.SHOWN_EVERY, len(works)),
    ]


def test_where_the_end_is_not_known_what_has_come_is_shown(
    display: Display, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(merge, "SHOWN_EVERY", 2)
    (tmp_path / "in.jsonl").write_bytes(b"".join(line(record(number)) for number in range(3)))
    assert app.main(["merge", str(tmp_path / "in.jsonl"), "-o", str(tmp_path / "out.jsonl")]) == 0
    assert ("reading records", 0, 0, "2 so far") in display.shown
