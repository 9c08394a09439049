"""Shots: cuts are found where the scenes change, in the guarded decoder, whatever the file."""

import random
import sys
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pllava_cli.errors import ClipError, PllavaError, UsageError
from pllava_cli.video.reader import Decoder
from tests.clips import scene_of, write_clip, write_scenes
from tests.video.test_hostile import gif, mutate

needs_scenedetect = pytest.mark.skipif(
    find_spec("scenedetect") is None, reason="PySceneDetect (extra: shots) is not installed"
)
LENGTHS = (40, 30, 55, 25)


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    decoder = Decoder()
    yield decoder
    decoder.stop()


def expected(lengths: Sequence[int], fps: float) -> list[tuple[float, float]]:
    """Start of each scene's first frame, and of the frame behind its last one."""
    return [(start / fps, end / fps) for start, end in pairwise(accumulate(lengths, initial=0))]


@needs_scenedetect
@pytest.mark.parametrize(
    ("name", "codec", "fps"), [("a.mp4", "mp4v", 25), ("b.avi", "MJPG", 30), ("c%d.mkv", "mp4v", 12.5)]
)
def test_cuts_lie_where_the_scenes_change(
    decoder: Decoder, tmp_path: Path, name: str, codec: str, fps: float
) -> None:
    found = decoder.shots(write_scenes(tmp_path / name, LENGTHS, fps, codec))
    wanted = expected(LENGTHS, fps)
    assert [start for start, _ in found] == pytest.approx([start for start, _ in wanted], abs=0.0011)
    assert found[0][0] == 0 and found[-1][1] == pytest.approx(wanted[-1][1], abs=0.0011)
    for (_, end), (_, bound) in zip(found[:-1], wanted[:-1], strict=True):
        assert bound - 1 / fps < end < bound


@needs_scenedetect
def test_frames_of_a_shot_are_of_its_scene_alone(decoder: Decoder, tmp_path: Path) -> None:
    """Even in the shortest of shots, of which every frame is sampled."""
    lengths = (30, 15, 16, 17, 40)
    clip = write_scenes(tmp_path / "clip.mp4", lengths)
    found = decoder.shots(clip)
    assert len(found) == len(lengths)
    for scene, (start_s, end_s) in enumerate(found):
        frames, _, report = decoder.sample(clip, 16, start_s, end_s)
        assert {scene_of(frame) for frame in frames} == {scene}
        first = sum(lengths[:scene])
        assert first <= report.indices[0] <= report.indices[-1] < first + lengths[scene]


@needs_scenedetect
def test_a_clip_without_cuts_is_one_shot(decoder: Decoder, tmp_path: Path) -> None:
    assert decoder.shots(write_scenes(tmp_path / "clip.mp4", [50])) == [(0, 2)]
    assert decoder.shots(write_scenes(tmp_path / "one.mp4", [1])) == [(0, 0.04)]


@needs_scenedetect
def test_what_is_too_short_is_no_shot(decoder: Decoder, tmp_path: Path) -> None:
    """A flash of three frames in the middle, and a rest of ten at the end."""
    found = decoder.shots(write_scenes(tmp_path / "clip.mp4", [40, 3, 40, 10]))
    assert [start for start, _ in found] == [0, pytest.approx(1.6, abs=0.13)]
    assert found[-1][1] == pytest.approx(93 / 25)


@needs_scenedetect
def test_large_pictures_are_shrunk_to_the_same_cuts(decoder: Decoder, tmp_path: Path) -> None:
    import cv2

    small = write_scenes(tmp_path / "small.mp4", [20, 20])
    writer = cv2.VideoWriter(str(tmp_path / "l.mp4"), cv2.VideoWriter_fourcc(*"mp4v"), 25, (960, 640))
    capture = cv2.VideoCapture(str(small))
    while (read := capture.read())[0]:
        writer.write(cv2.resize(read[1], (960, 640)))
    writer.release()
    assert decoder.shots(tmp_path / "l.mp4") == decoder.shots(small) and len(decoder.shots(small)) == 2


@needs_scenedetect
def test_bad_files_are_errors_of_their_own(decoder: Decoder, tmp_path: Path) -> None:
    good = write_scenes(tmp_path / "good.mp4", LENGTHS)
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "cut.mp4").write_bytes(good.read_bytes()[:1000])
    (tmp_path / "list.mp4").write_text("#EXTM3U\nhttp://example.com/a.ts\n")
    (tmp_path / "bomb.gif").write_bytes(gif(16000, 16000))
    (tmp_path / "noise.mp4").write_bytes(random.Random(1).randbytes(50_000))
    for name in ("empty.mp4", "cut.mp4", "list.mp4", "bomb.gif", "noise.mp4"):
        with pytest.raises(ClipError) as caught:
            decoder.shots(tmp_path / name)
        assert name in caught.value.message and "\n" not in caught.value.message
    with pytest.raises(UsageError, match="no such file"):
        decoder.shots(tmp_path / "gone.mp4")
    assert len(decoder.shots(good)) == len(LENGTHS)


@needs_scenedetect
@pytest.mark.parametrize("codec", ["mp4v", "MJPG"])
def test_damaged_clips_end_in_shots_or_in_an_error(
    decoder: Decoder, tmp_path: Path, codec: str, capfd: pytest.CaptureFixture[str]
) -> None:
    rng = random.Random(codec)
    path = tmp_path / ("clip.mp4" if codec == "mp4v" else "clip.avi")
    data = write_scenes(path, LENGTHS, codec=codec).read_bytes()
    for _ in range(12):
        path.write_bytes(mutate(data, rng))
        try:
            found = decoder.shots(path, timeout_s=60)
        except ClipError as error:
            assert "\n" not in error.message + error.hint
        else:
            assert all(start < end for start, end in found)
            assert all(one[1] < two[0] for one, two in pairwise(found))
    assert capfd.readouterr() == ("", "")


@pytest.mark.shared
@needs_scenedetect
def test_odd_clips_end_in_shots_or_in_an_error(
    decoder: Decoder, corpus: Path, manifest: dict[str, dict[str, Any]]
) -> None:
    """Of what can be sampled the shots can be found, too: both see it by the same decoders."""
    for name, row in manifest.items():
        try:
            found = decoder.shots(corpus / name)
        except ClipError:
            assert row["expect"] != "ok", name
        else:
            assert row["expect"] != "error", name
            assert not found or found[0][0] == 0


@needs_scenedetect
def test_a_detector_that_fails_costs_the_clip(
    decoder: Decoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "scenedetect").mkdir()
    (tmp_path / "scenedetect" / "__init__.py").write_text("def FrameTimecode(*_):\n    pass\n")
    (tmp_path / "scenedetect" / "detectors.py").write_text(
        "class AdaptiveDetector:\n    def process_frame(self, *_):\n        raise KeyError('x')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    broken = Decoder()
    with pytest.raises(ClipError, match="PySceneDetect fails on it"):
        broken.shots(write_scenes(tmp_path / "clip.mp4", [3]))
    broken.stop()


def test_without_the_extra_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "scenedetect.py").write_text("raise ImportError('not installed')\n")
    monkeypatch.syspath_prepend(tmp_path)
    clip, decoder = write_clip(tmp_path / "clip.mp4", seed=1), Decoder()
    with pytest.raises(PllavaError, match="PySceneDetect cannot be loaded") as caught:
        decoder.shots(clip)
    assert caught.value.hint == "pip install 'pllava[shots]'"
    assert len(decoder.sample(clip, 2)[0]) == 2
    decoder.stop()


@needs_scenedetect
def test_times_are_the_pictures_own() -> None:
    from pllava_cli.video.shots import between

    times_s = np.array([0, 0.1, 0.2, 0.5, 0.8, 1.1])
    assert between([], times_s, 1.4) == [(0, 1.4)]
    assert between([3], times_s, 1.4) == [(0, 0.3), (0.5, 1.4)]
    assert "scenedetect" in sys.modules  # in tests only: the program itself does without it
