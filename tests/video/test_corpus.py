"""Every clip of the corpus behaves as its manifest says.

The pictures carry their number as a barcode, so a test can tell which picture a frame really is.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pllava_cli.errors import ClipError
from pllava_cli.video.capture import CvPictures
from pllava_cli.video.decode import ClipReader
from pllava_cli.video.ffmpeg_log import FfmpegLog
from pllava_cli.video.reader import sample_frames, stop_decoder
from pllava_cli.video.report import DecodeReport
from pllava_cli.video.sampling import Selection, uniform_indices
from pllava_cli.video.scan import Frames, scan

Row = dict[str, Any]
Manifest = dict[str, Row]

REPAINTED = {"hdr_pq.mp4", "hdr_hlg.mp4", "wide_gamut.mp4"}
"""OpenCV maps these to its own idea of standard colours when it reads the file itself."""
TIME_TOLERANCE_S = 0.0011
"""Matroska, WebM and FLV count in milliseconds."""


@pytest.fixture
def without_av(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Decode in a worker that finds no PyAV."""
    (tmp_path / "av.py").write_text("raise ImportError('not installed')\n")
    monkeypatch.syspath_prepend(tmp_path)
    stop_decoder()
    yield
    stop_decoder()


def barcodes(frames: Frames) -> list[int]:
    return [sum(1 << i for i in range(16) if frame[8, 16 * i + 8].mean() > 127) for frame in frames]


def ok_rows(manifest: Manifest) -> list[Row]:
    return [row for row in manifest.values() if row["expect"] == "ok"]


def wrong_frames(row: Row, frames: Frames, report: DecodeReport) -> str:
    """Compare barcodes with indices; in cut clips, where pictures are missing between, with times."""
    got = np.array(barcodes(frames))
    if row["frames"] is None:
        steps = np.diff(report.timestamps_s) * row["fps"]
        right = np.allclose(np.diff(got), steps, atol=0.1)
    else:
        right = got.tolist() == [row["first"] + index for index in report.indices]
    return "" if right else f"barcodes {got.tolist()} at {report.indices}"


def wrong_facts(row: Row, times: list[float], report: DecodeReport) -> Iterator[str]:
    count = row["frames"]
    if (report.width_px, report.height_px) != (row["width"], row["height"]) and count is not None:
        yield f"size {report.width_px}x{report.height_px}"
    if report.rotation_deg != row["rotation"]:
        yield f"rotation {report.rotation_deg}"
    if count is None or row["fps"] is None:
        return
    if report.frames_decoded != count:
        yield f"{report.frames_decoded} pictures"
    if report.indices != uniform_indices(count, len(times)):
        yield f"indices {report.indices}"
    if abs(report.duration_s - row["duration"]) > 2 * TIME_TOLERANCE_S:
        yield f"duration {report.duration_s}"
    true_times = row.get("times") or [i / row["fps"] for i in range(count)]
    if not np.allclose(times, np.take(true_times, report.indices), rtol=0, atol=TIME_TOLERANCE_S):
        yield f"times {times}"


@pytest.mark.parametrize("n", [1, 16, 200])
def test_frames_and_facts_are_those_of_the_manifest(corpus: Path, manifest: Manifest, n: int) -> None:
    pytest.importorskip("av")
    problems = []
    for row in ok_rows(manifest):
        frames, times, report = sample_frames(corpus / row["file"], n)
        assert frames.dtype == np.uint8
        wrong = [*wrong_facts(row, times, report)]
        if frames.shape != (n, report.height_px, report.width_px, 3):
            wrong.append(f"shape {frames.shape}")
        if row["barcode"]:
            wrong.append(wrong_frames(row, frames, report))
        problems += [f"{row['file']}: {what}" for what in wrong if what]
    assert not problems


def test_what_is_no_video_is_refused_with_a_cause_and_a_hint(corpus: Path, manifest: Manifest) -> None:
    rows = [row for row in manifest.values() if row["expect"] == "error"]
    assert rows
    for row in rows:
        with pytest.raises(ClipError) as caught:
            sample_frames(corpus / row["file"], 4)
        assert row["file"] in caught.value.message
        assert caught.value.hint
        assert "\n" not in caught.value.message + caught.value.hint


def test_what_opencv_shows_wrongly_comes_from_pyav(corpus: Path, manifest: Manifest) -> None:
    pytest.importorskip("av")
    for row in ok_rows(manifest):
        if row["needs"] == "interlaced":
            assert sample_frames(corpus / row["file"], 4)[2].method == "pyav"


@pytest.mark.usefixtures("without_av")
def test_without_pyav_the_error_names_the_extra(corpus: Path, manifest: Manifest) -> None:
    for row in ok_rows(manifest):
        if row["needs"] is None:
            continue
        try:
            frames, _, report = sample_frames(corpus / row["file"], 4)
        except ClipError as error:
            assert error.hint == "pip install 'pllava[av]'"
        else:  # this OpenCV can do it
            assert row["needs"] == "av1"
            assert wrong_frames(row, frames, report) == ""


def test_splice_and_scan_give_the_same_bytes(corpus: Path, manifest: Manifest) -> None:
    """The fast path against the simple one on every clip to which it applies."""
    pytest.importorskip("av")
    spliced = 0
    for row in ok_rows(manifest):
        path = corpus / row["file"]
        frames, times, report = sample_frames(path, 16)
        if report.method != "splice" or row["file"] in REPAINTED:
            continue
        spliced += 1
        pictures = CvPictures(path, str(path), FfmpegLog())
        found = scan(pictures, Selection(16), lambda shape: np.empty(shape, np.uint8), lambda: None)
        pictures.close()
        assert found.choice.indices == report.indices, row["file"]
        assert (found.frames == frames).all(), row["file"]
        assert np.allclose(found.timeline.times_s[found.choice.shown], times, atol=1e-3), row["file"]
    assert spliced >= 20


@pytest.mark.parametrize("name", ["h264_bframes.mp4", "h264.ts"])
def test_progress_is_told_while_decoding(corpus: Path, name: str) -> None:
    """What the time limit counts: a long decode that works is not cut."""
    told: list[None] = []
    reader = ClipReader(corpus / name, Selection(16), FfmpegLog(), progress=lambda: told.append(None))
    reader.read()
    assert len(told) >= 50


@pytest.mark.parametrize("start, end", [(1.0, 3.0), (0.0, 0.5), (4.5, None), (None, 2.2), (4.9, 100.0)])
def test_segments_agree_between_containers(corpus: Path, start: float | None, end: float | None) -> None:
    """The same pictures in an indexed container and in some that must be scanned."""
    frames, times, report = sample_frames(corpus / "h264_short_gop.mp4", 8, start, end)
    assert barcodes(frames) == report.indices
    assert report.indices[0] >= (start or 0) * 30
    for name in ("h264.mkv", "h264.ts", "h264.flv", "h264.avi", "fragmented.mp4"):
        others, other_times, other = sample_frames(corpus / name, 8, start, end)
        assert barcodes(others) == other.indices == report.indices, name
        assert np.allclose(times, other_times, atol=TIME_TOLERANCE_S), name


def test_segments_of_a_varying_rate_go_by_true_times(corpus: Path, manifest: Manifest) -> None:
    true_times = np.array(manifest["gap.mp4"]["times"])
    frames, times, report = sample_frames(corpus / "gap.mp4", 8, 2.0, 13.0)
    first, last = np.abs(true_times - 2.0).argmin(), np.abs(true_times - 13.0).argmin()
    assert barcodes(frames) == report.indices
    assert first <= report.indices[0] and report.indices[-1] <= last
    assert times == pytest.approx(true_times[report.indices], abs=TIME_TOLERANCE_S)
    assert any("rate varies" in warning for warning in report.warnings)


def test_a_segment_past_the_end_says_how_long_the_clip_is(corpus: Path) -> None:
    for name in ("h264_short_gop.mp4", "h264.ts"):
        with pytest.raises(ClipError, match=r"5\.0.* s long"):
            sample_frames(corpus / name, 4, 5.0)


def test_warnings_tell_what_is_odd(corpus: Path) -> None:
    def warnings(name: str, n: int = 16) -> str:
        return " ".join(sample_frames(corpus / name, n)[2].warnings)

    assert warnings("h264_short_gop.mp4") == ""
    assert warnings("trimmed.mp4") == ""
    assert "the header promises 150 frames, 76 could be decoded" in warnings("cut_half.mp4")
    assert "1 distinct" in warnings("one_frame.mp4")
    assert "varies" in warnings("vfr.mp4")
    assert "no usable times" in warnings("raw.h264")


def test_odd_names_are_only_names(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    still, clip = (corpus / "still.png").read_bytes(), (corpus / "h264_short_gop.mp4").read_bytes()
    for name, data in (
        ("still_%03d.png", still),
        ("-i.mp4", clip),
        ("concat:a|b.mp4", clip),
        ("new\nline.mp4", clip),
        (os.fsdecode(b"caf\xe9.mp4"), clip),
        ("http:", clip),
    ):
        (tmp_path / name).write_bytes(data)
        monkeypatch.chdir(tmp_path)
        frames, _, report = sample_frames(name, 4)
        assert barcodes(frames) == report.indices, name
