"""The shots that are kept beside records: true of the file as it is, whole or not there at all."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from pllava_cli.batch.cuts import Cuts
from pllava_cli.errors import UsageError
from pllava_cli.records import File

FILE = File(1000, 1234567890.123)
SHOTS = [(0.0, 1.5), (1.52, 4.0)]
CLIP = Path(os.fsdecode(b"clips/two\nlines \xff.mp4"))


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "out.jsonl"


def opened(output: Path, *, is_read_only: bool = False) -> Cuts:
    return Cuts.beside(output, is_read_only=is_read_only)


def keep(output: Path, *clips: Path) -> None:
    cuts = opened(output)
    for clip in clips:
        cuts.add(clip, FILE, SHOTS)
    cuts.close()


def kept(output: Path) -> Path:
    return output.with_name("out.jsonl.shots")


def test_what_was_found_is_there_the_next_time(output: Path) -> None:
    keep(output, CLIP, Path("b.mp4"))
    cuts = opened(output)
    assert cuts.get(CLIP, FILE) == cuts.get(Path("b.mp4"), FILE) == SHOTS
    assert cuts.get(Path("c.mp4"), FILE) is None


@pytest.mark.parametrize("file", [None, replace(FILE, size_bytes=999), replace(FILE, mtime_s=1.0)])
def test_a_file_that_has_changed_is_cut_again(output: Path, file: File | None) -> None:
    keep(output, CLIP)
    assert opened(output).get(CLIP, file) is None


def test_the_newer_shots_count(output: Path) -> None:
    keep(output, CLIP)
    newer = replace(FILE, mtime_s=5.0)
    cuts = opened(output)
    cuts.add(CLIP, newer, [(0, 4)])
    cuts.close()
    assert opened(output).get(CLIP, newer) == [(0, 4)]


def test_a_torn_line_costs_its_own_clip(output: Path) -> None:
    keep(output, CLIP, Path("b.mp4"))
    whole = kept(output).read_bytes()
    for length in (len(whole) - 1, len(whole) - 5, whole.index(b"\n") + 1, 10, 0):
        kept(output).write_bytes(whole[:length])
        keep(output, Path("c.mp4"))
        cuts = opened(output)
        assert cuts.get(Path("c.mp4"), FILE) == SHOTS
        assert (cuts.get(CLIP, FILE) == SHOTS) == (length > 10)
        assert (cuts.get(Path("b.mp4"), FILE) == SHOTS) == (length == len(whole) - 1)


@pytest.mark.parametrize(
    "line",
    ["", "mine", "[]", '{"schema": "x"}', "\0\0", '{"schema":"pllava.shots/1","path":"a"}', "[" * 9999],
)
def test_what_is_no_line_of_it_is_passed_over(output: Path, line: str) -> None:
    keep(output, CLIP)
    with kept(output).open("a") as file:
        file.write(line + "\n")
    keep(output, Path("b.mp4"))
    assert opened(output).get(CLIP, FILE) == opened(output).get(Path("b.mp4"), FILE) == SHOTS


@pytest.mark.parametrize(
    "shots", ["[[1, 0]]", "[[0, 1, 2]]", "[[0, Infinity]]", "[[-1, 2]]", "[3]", "{}", '[["a", "b"]]']
)
def test_shots_that_cannot_be_are_found_again(output: Path, shots: str) -> None:
    keep(output, CLIP)
    text = kept(output).read_text()
    kept(output).write_text(text + text.replace("[[0.0,1.5],[1.52,4.0]]", shots).replace("clips", "other"))
    assert opened(output).get(Path(str(CLIP).replace("clips", "other")), FILE) in (None, [])


@pytest.mark.parametrize("text", ["mine\n", "mine", "{}\n", '{"schema":"pllava.record/1"}\n', "\0mine"])
def test_something_else_is_refused_and_left(output: Path, text: str) -> None:
    kept(output).write_text(text)
    with pytest.raises(UsageError, match="holds something else"):
        opened(output)
    assert kept(output).read_text() == text


def test_a_folder_in_its_place_is_refused(output: Path) -> None:
    kept(output).mkdir()
    with pytest.raises(UsageError, match="is a directory"):
        opened(output)


def test_nothing_is_written_where_nothing_may_be(output: Path) -> None:
    cuts = opened(output, is_read_only=True)
    cuts.add(CLIP, FILE, SHOTS)
    assert cuts.get(CLIP, FILE) == SHOTS and not kept(output).exists()
    nowhere = Cuts.beside(None, is_read_only=False)
    nowhere.add(CLIP, FILE, SHOTS)
    assert nowhere.get(CLIP, FILE) == SHOTS


def test_a_folder_that_takes_no_file_is_no_hindrance(tmp_path: Path) -> None:
    cuts = opened(tmp_path / "gone" / "out.jsonl")
    cuts.add(CLIP, FILE, SHOTS)
    assert cuts.get(CLIP, FILE) == SHOTS
