"""Clips cut by decoders: each segment a work of its own, each trouble that of its clip."""

from pathlib import Path

import pytest

from pllava_cli import inputs
from pllava_cli.batch.cuts import Cuts
from pllava_cli.batch.cutting import AtShots, ByLength, Cutter
from pllava_cli.batch.work import Work
from pllava_cli.errors import ClipError, UsageError
from pllava_cli.records import File, Segment
from pllava_cli.video.reader import Decoder
from tests.clips import write_clip, write_scenes

TIMEOUT_S = 60.0


def work(clip: Path, **fields: object) -> Work:
    return Work(inputs.Clip(clip, inputs.clip_id(clip)), questions=("What?",), **fields)  # type: ignore[arg-type]


def test_segments_are_works_of_their_clip(tmp_path: Path) -> None:
    clip = work(write_clip(tmp_path / "clip.mp4", seed=1))
    with Cutter([clip], ByLength(0.5, TIMEOUT_S), 1) as works:
        found = list(works)
    assert [each.segment for each in found] == [
        Segment(0, 0, 0.5),
        Segment(1, 0.5, 1.0),
        Segment(2, 1.0, pytest.approx(1.2)),
    ]
    assert {(each.clip, each.questions) for each in found} == {(clip.clip, clip.questions)}


def test_what_has_its_part_or_its_fault_stays(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", seed=1)
    part, fault = work(path, segment=Segment(0, 0.1, None)), work(path, fault=UsageError("gone", ""))
    with Cutter([part, fault], ByLength(0.5, TIMEOUT_S), 1) as works:
        assert list(works) == [part, fault]


def test_a_clip_that_cannot_be_cut_stays_whole_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    with Cutter([work(tmp_path / "empty.mp4")], ByLength(0.5, TIMEOUT_S), 1) as works:
        (found,) = works
    assert isinstance(found.fault, ClipError) and found.segment == Segment()


def test_shots_are_found_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("scenedetect", reason="PySceneDetect (extra: shots) is not installed")
    clips = [work(write_scenes(tmp_path / f"{number}.mp4", [20, 20][number:])) for number in range(2)]
    kept = Cuts()
    with Cutter(clips, AtShots(TIMEOUT_S, kept), 2) as works:
        found = sorted((each.clip.path.name, each.segment.start_s, each.segment.index) for each in works)
    assert found == [("0.mp4", 0, 0), ("0.mp4", 0.8, 1), ("1.mp4", 0, 0)]
    decoder = Decoder()
    for each in clips:
        assert AtShots(TIMEOUT_S, kept)(each.clip.path, decoder)
    assert decoder.pid is None, "what is known is looked at again"


def test_a_clip_of_unknown_length_is_one_shot(tmp_path: Path) -> None:
    kept, clip = Cuts(), tmp_path / "clip.mp4"
    clip.touch()
    kept.add(clip, File.of(clip), [])
    assert AtShots(TIMEOUT_S, kept)(clip, Decoder()) == [Segment()]
