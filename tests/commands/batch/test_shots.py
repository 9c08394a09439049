"""`--shots`: a record of each shot of a clip."""

import json
from pathlib import Path

import pytest

from pllava_cli.video.reader import Decoder
from tests.clips import write_scenes
from tests.commands.batch.conftest import records
from tests.commands.results import Run


@pytest.fixture
def scenes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of a clip of three shots, one of a single shot, and one that is none."""
    pytest.importorskip("scenedetect", reason="PySceneDetect (extra: shots) is not installed")
    folder = tmp_path / "films"
    folder.mkdir()
    write_scenes(folder / "film.mp4", [20, 30, 25])
    write_scenes(folder / "still.mp4", [20])
    (folder / "broken.mp4").write_bytes(b"\0" * 5000)
    monkeypatch.chdir(tmp_path)
    return folder


def test_shots_are_records_of_their_own(run: Run, scenes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dry = run("films", "-o", "out.jsonl", "--shots", "--dry-run", "--json")
    assert dry.out, dry.err
    assert json.loads(dry.out) == json.loads(dry.out) | {"to_do": 5, "done": 0, "faults": 1}
    assert not Path("out.jsonl").exists() and not Path("out.jsonl.shots").exists()
    assert run("films", "-o", "out.jsonl", "--shots").status == 3
    found = records(Path("out.jsonl"))
    spans = sorted(
        (each["path"], each["segment"]["index"], each["segment"]["start_s"], each["status"]) for each in found
    )
    assert spans == [
        ("films/broken.mp4", 0, None, "error"),
        ("films/film.mp4", 0, 0, "ok"),
        ("films/film.mp4", 1, 0.8, "ok"),
        ("films/film.mp4", 2, 2, "ok"),
        ("films/still.mp4", 0, 0, "ok"),
    ]
    for each in found:
        if each["status"] == "ok":
            start_s, end_s = each["segment"]["start_s"], each["segment"]["end_s"]
            assert all(start_s <= at < end_s for at in each["frames"]["timestamps_s"])

    cut: list[str] = []
    shots = Decoder.shots

    def noted(decoder: Decoder, path: Path, **options: float) -> list[tuple[float, float]]:
        cut.append(path.name)
        return shots(decoder, path, **options)

    monkeypatch.setattr(Decoder, "shots", noted)
    again = run("films", "-o", "out.jsonl", "--shots", "--json")
    assert again.out, again.err
    assert json.loads(again.out) == json.loads(again.out) | {"skipped": 4, "failed": 1, "done": 0}
    assert cut == ["broken.mp4"]
    write_scenes(scenes / "still.mp4", [20, 20])
    changed = run("films", "-o", "out.jsonl", "--shots", "--dry-run", "--json")
    assert changed.out, changed.err
    assert json.loads(changed.out)["to_do"] == 3 and sorted(cut[1:]) == ["broken.mp4", "still.mp4"]


def test_shots_without_the_extra_are_refused(run: Run, clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pllava_cli.commands import batch

    monkeypatch.setattr(batch, "find_spec", {"scenedetect": None}.__getitem__)
    result = run("clips", "-o", "out.jsonl", "--shots")
    assert result.status == 2 and not Path("out.jsonl").exists()
    assert result.err == (
        "error: --shots needs PySceneDetect, which is not installed\nhint: pip install 'pllava[shots]'\n"
    )


def test_shots_are_of_whole_clips(run: Run, scenes: Path) -> None:
    result = run("films", "--shots", "--end", "1")
    assert result.status == 2 and "--shots cuts whole clips" in result.err


def test_shots_are_kept_in_no_file_of_somebody_else(run: Run, scenes: Path) -> None:
    Path("out.jsonl.shots").write_text("a list of mine\n")
    result = run("films", "-o", "out.jsonl", "--shots")
    assert result.status == 2 and "out.jsonl.shots, where shots are kept, holds something else" in result.err
    assert Path("out.jsonl.shots").read_text() == "a list of mine\n"
