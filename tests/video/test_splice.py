"""The fast path shows exactly what a full decode shows, or refuses."""

import gc
import os
import random
import shutil
from pathlib import Path

import numpy as np
import pytest

from pllava_cli.video import splice
from pllava_cli.video.index import SpliceRefused
from pllava_cli.video.splice import open_spliced
from tests.video.splice_helpers import REFUSED, SPLICED, decode_all, ffmpeg


@pytest.mark.shared
@pytest.mark.parametrize("name", SPLICED)
def test_random_pictures_equal_a_full_decode(corpus: Path, name: str) -> None:
    path = corpus / name
    if not path.exists():
        pytest.skip("this ffmpeg could not make the clip")
    whole = decode_all(path)
    clip = open_spliced(path)
    assert len(clip.times_s) == len(whole.frames)
    np.testing.assert_allclose(clip.times_s, whole.times_s - whole.times_s[0], atol=6e-4)
    rng = random.Random(name)
    for count in (1, 3, 16):
        indices = sorted(rng.sample(range(len(whole.frames)), min(count, len(whole.frames))))
        frames = clip.read(indices, whole.rotation_deg)
        for frame, index in zip(frames, indices, strict=True):
            assert np.array_equal(frame, whole.frames[index]), index


@pytest.mark.shared
@pytest.mark.parametrize(
    "name", ["h264_deep_b.mp4", "hevc_temporal_layers.mp4", "h264_refs.mkv", "trimmed.mp4"]
)
def test_every_single_picture_equals_a_full_decode(corpus: Path, name: str) -> None:
    whole = decode_all(corpus / name)
    clip = open_spliced(corpus / name)
    for index in range(0, len(whole.frames), 3):
        assert np.array_equal(clip.read([index])[0], whole.frames[index]), index


@pytest.mark.shared
def test_all_pictures_at_once_equal_a_full_decode(corpus: Path) -> None:
    whole = decode_all(corpus / "h264_open_gop.mp4")
    frames = open_spliced(corpus / "h264_open_gop.mp4").read(range(len(whole.frames)))
    assert np.array_equal(frames, np.stack(whole.frames))


REMUXES = {
    "live.webm": ("vp9.webm", "-live", "1"),
    "small_clusters.mkv": ("h264_bframes.mp4", "-cluster_time_limit", "100"),
    "open.mkv": ("hevc_open_gop.mp4",),
    "every_frame.mp4": ("h264_short_gop.mp4", "-movflags", "frag_every_frame+empty_moov"),
    "two_tracks.mp4": ("audio_video.mp4", "-movflags", "frag_keyframe+empty_moov+default_base_moof"),
    "separate.mp4": ("audio_video.mp4", "-movflags", "frag_keyframe+empty_moov+separate_moof"),
    "quicktime.mov": ("h264_open_gop.mp4",),
}
"""Other ways to wrap clips of the corpus."""


@pytest.mark.shared
@pytest.mark.parametrize("name", REMUXES)
def test_other_wrappings_show_the_same(corpus: Path, tmp_path: Path, name: str) -> None:
    source, *options = REMUXES[name]
    ffmpeg("-i", corpus / source, "-c", "copy", *options, tmp_path / name)
    whole = decode_all(corpus / source)
    clip = open_spliced(tmp_path / name)
    assert len(clip.times_s) == len(whole.frames)
    for frame, index in zip(clip.read([0, 33, 76, 149]), (0, 33, 76, 149), strict=True):
        assert np.array_equal(frame, whole.frames[index]), index


@pytest.mark.shared
@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_spliced_is_refused_with_a_reason(corpus: Path, name: str) -> None:
    with pytest.raises(SpliceRefused, match=REFUSED[name]):
        open_spliced(corpus / name)


@pytest.mark.shared
@pytest.mark.parametrize(
    "name", ["scribbled_h264_short_gop.mp4", "scribbled_all.mp4", "scribbled_hevc_closed.mp4"]
)
def test_damaged_clips_give_frames_or_are_refused(corpus: Path, name: str) -> None:
    clip = open_spliced(corpus / name)
    for index in range(0, len(clip.times_s), 10):
        try:
            assert clip.read([index]).shape == (1, 240, 320, 3)
        except SpliceRefused as refusal:
            assert str(refusal)


@pytest.mark.shared
def test_damage_outside_a_run_leaves_its_picture_as_it_is(corpus: Path, tmp_path: Path) -> None:
    name = "h264_short_gop.mp4"
    clip = open_spliced(corpus / name)
    first = clip.plan([149])[0][0]
    data = bytearray((corpus / name).read_bytes())
    for packet in range(1, first):
        start, size = int(clip.index.offsets[packet]), int(clip.index.sizes[packet])
        data[start : start + size] = bytes(size)
    (tmp_path / name).write_bytes(data)
    damaged = open_spliced(tmp_path / name)
    assert first > 1 and np.array_equal(damaged.read([149])[0], decode_all(corpus / name).frames[149])
    with pytest.raises(SpliceRefused):
        damaged.read([50])


@pytest.mark.shared
def test_hidden_reference_pictures_are_decoded_but_not_counted(corpus: Path, tmp_path: Path) -> None:
    source, log = corpus / "h264_bframes.mp4", tmp_path / "log"
    options = (
        "-b:v",
        "300k",
        "-auto-alt-ref",
        "1",
        "-lag-in-frames",
        "25",
        "-arnr-maxframes",
        "7",
        "-g",
        "60",
    )
    for number in ("1", "2"):
        two_passes = ("-pass", number, "-passlogfile", log, "-deadline", "good", "-cpu-used", "5")
        small = ("-vf", "scale=160:120", "-frames:v", "60", "-c:v", "libvpx")
        ffmpeg("-i", source, *small, *options, *two_passes, tmp_path / "hidden.webm")
    clip = open_spliced(tmp_path / "hidden.webm")
    whole = decode_all(tmp_path / "hidden.webm")
    assert clip.index.is_hidden.any(), "the encoder was to make hidden pictures"
    assert len(clip.times_s) == len(whole.frames) == 60
    for index in (0, 31, 45, 59):
        assert np.array_equal(clip.read([index])[0], whole.frames[index])


@pytest.mark.shared
def test_progress_is_told_and_frames_go_where_the_caller_wants(corpus: Path) -> None:
    clip = open_spliced(corpus / "h264_bframes.mp4")
    told: list[None] = []
    shapes: list[tuple[int, ...]] = []
    target = np.zeros((2, 240, 320, 3), np.uint8)

    def allocate(shape: tuple[int, ...]) -> np.ndarray:
        shapes.append(shape)
        return target

    frames = clip.read([10, 40], allocate=allocate, on_progress=lambda: told.append(None))
    assert frames is target and shapes == [target.shape] and target[0].any() and target[1].any()
    assert 2 <= len(told) <= clip.plan([10, 40])[0].size


@pytest.mark.shared
def test_a_clip_that_changed_meanwhile_is_refused(corpus: Path, tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    shutil.copy(corpus / "h264_bframes.mp4", path)
    clip = open_spliced(path)
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(SpliceRefused, match="changed"):
        clip.read([0])
    path.unlink()
    with pytest.raises(SpliceRefused, match="cannot be read"):
        clip.read([0])


def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    for path in (tmp_path / "pipe.mp4", tmp_path, tmp_path / "missing.mp4", Path("/dev/zero")):
        with pytest.raises(SpliceRefused):
            open_spliced(path)


@pytest.mark.shared
def test_without_memory_files_a_temporary_file_serves(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(splice.os, "memfd_create", raising=False)
    name = "space and ü 日本.mp4"
    frames = open_spliced(corpus / name).read([100])
    assert np.array_equal(frames[0], decode_all(corpus / name).frames[100])
    piped = tmp_path / "a|b.mp4"
    shutil.copy(corpus / "h264_bframes.mp4", piped)
    with pytest.raises(SpliceRefused, match="name"):
        open_spliced(piped).read([0])


@pytest.mark.shared
def test_no_descriptor_is_left_open(corpus: Path) -> None:
    clip = open_spliced(corpus / "hevc_open_gop.mp4")
    clip.read([5, 100])
    gc.collect()  # what other tests have left open goes now, and not in between
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        open_spliced(corpus / "hevc_open_gop.mp4").read([5, 100])
    assert len(list(Path("/proc/self/fd").iterdir())) <= before
