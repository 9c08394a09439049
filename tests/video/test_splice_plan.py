"""What is decoded is what the wanted pictures depend on, and no more.

The oracle reads the elementary stream that ffmpeg extracts, not the container: start codes, not
lengths; so it shares nothing with the code it checks.
"""

import re
import subprocess
from pathlib import Path

import cv2
import pytest

from pllava_cli.video import splice
from pllava_cli.video.splice import open_spliced
from tests.video.splice_helpers import decode_all, ffmpeg


def picture_headers(path: Path, codec: str) -> list[bytes]:
    """The first two bytes of the first slice of every picture, in decoding order."""
    stream = ffmpeg("-i", path, "-map", "0:v:0", "-c", "copy", "-f", codec, "-")
    units = [unit[:3] for unit in re.split(rb"\x00\x00\x01", stream)[1:]]
    if codec == "h264":
        return [unit[:2] for unit in units if unit[0] & 31 in (1, 5) and unit[1] & 128]
    return [unit[:2] for unit in units if unit[0] >> 1 & 63 < 32 and unit[2] & 128]


@pytest.mark.shared
@pytest.mark.parametrize("name", ["h264_bframes.mp4", "h264_short_gop.mp4", "h264_deep_b.mp4", "h264.mkv"])
def test_h264_leaves_out_exactly_the_unreferenced_pictures(corpus: Path, name: str) -> None:
    headers = picture_headers(corpus / name, "h264")
    is_start = [header[0] & 31 == 5 for header in headers]
    is_reference = [header[0] & 0x60 != 0 for header in headers]
    clip = open_spliced(corpus / name)
    wanted = clip.index.shown[[17, 60, 61, 140]]
    needed: set[int] = set()
    for packet in wanted.tolist():
        start = max(at for at in range(packet + 1) if is_start[at])
        needed |= {at for at in range(start, packet + 1) if is_reference[at] or at in wanted}
    (planned,) = clip.plan([17, 60, 61, 140])
    assert planned.tolist() == sorted(needed)
    assert not all(is_reference), "the clip was to have something to leave out"


@pytest.mark.shared
def test_hevc_leaves_out_upper_layers_and_unreferenced_pictures(corpus: Path) -> None:
    path = corpus / "hevc_temporal_layers.mp4"
    headers = picture_headers(path, "hevc")
    kinds = [header[0] >> 1 & 63 for header in headers]
    layers = [(header[1] & 7) - 1 for header in headers]
    clip = open_spliced(path)
    shown, pts = clip.index.shown, clip.index.pts
    assert max(layers) > 0, "the clip was to have temporal layers"
    for index in range(0, len(shown), 7):
        target = int(shown[index])
        starts = [at for at in range(target + 1) if 16 <= kinds[at] <= 21 and pts[at] <= pts[target]]
        run = [at for at in range(starts[-1], target + 1) if pts[at] >= pts[starts[-1]]]
        expected = [
            at
            for at in run
            if at == target
            or layers[at] < layers[target]
            or (layers[at] == layers[target] and (kinds[at] > 14 or kinds[at] % 2))
        ]
        assert [packets.tolist() for packets in clip.plan([index])] == [expected]


@pytest.mark.shared
def test_codecs_that_do_not_say_lose_nothing(corpus: Path) -> None:
    clip = open_spliced(corpus / "vp9.webm")
    keys = clip.index.keys
    target = int(clip.index.shown[100])
    start = int(max(key for key in keys if key <= target))
    assert [packets.tolist() for packets in clip.plan([100])] == [list(range(start, target + 1))]


@pytest.mark.shared
def test_intra_codecs_decode_the_wanted_pictures_alone(corpus: Path) -> None:
    for name in ("h264_intra.mp4", "mjpeg.mov", "prores.mov"):
        assert [packets.tolist() for packets in open_spliced(corpus / name).plan([3, 30])] == [[3, 30]]


@pytest.mark.shared
def test_an_open_start_gets_a_decoder_of_its_own_and_a_closed_one_does_not(corpus: Path) -> None:
    indices = [12, 36, 60, 84, 108, 132]
    assert len(open_spliced(corpus / "h264_short_gop.mp4").plan(indices)) == 1
    assert len(open_spliced(corpus / "hevc_closed.mp4").plan(indices)) == 1
    assert len(open_spliced(corpus / "h264_open_gop.mp4").plan(indices)) == len(indices)
    assert len(open_spliced(corpus / "hevc_open_gop.mp4").plan(indices)) == len(indices)


@pytest.mark.shared
def test_pictures_that_share_a_run_are_found_in_one_whatever_their_order(corpus: Path) -> None:
    whole = decode_all(corpus / "hevc_open_gop.mp4")
    clip = open_spliced(corpus / "hevc_open_gop.mp4")
    leading = [
        index
        for index, packet in enumerate(clip.index.shown)
        if any(clip.index.pts[key] > clip.index.pts[packet] for key in clip.index.keys if key < packet)
    ]
    assert leading, "the clip was to have leading pictures"
    for index in leading[:4]:
        frames = clip.read([index, index + 1, index + 2])
        assert all((frame == whole.frames[index + at]).all() for at, frame in enumerate(frames))


@pytest.mark.shared
@pytest.mark.parametrize("name", ["h264_bframes.mp4", "hevc_open_gop.mp4", "vp9.webm", "mpeg4.mp4"])
def test_the_decoder_is_given_the_planned_packets(
    corpus: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    grabbed: list[int] = []
    real = cv2.VideoCapture

    def count_all(address: str, *options: object) -> cv2.VideoCapture:
        capture = real(address, cv2.CAP_FFMPEG)
        grabbed.append(0)
        while capture.grab():
            grabbed[-1] += 1
        return real(address, *options)

    monkeypatch.setattr(splice.cv2, "VideoCapture", count_all)
    clip = open_spliced(corpus / name)
    clip.read([40, 90, 91])
    assert grabbed == [packets.size for packets in clip.plan([40, 90, 91])]


@pytest.mark.shared
def test_av1_leaves_out_pictures_stored_in_no_reference_slot(corpus: Path) -> None:
    path = corpus / "av1.mp4"
    decode_all(path)  # skips where there is no decoder
    trace = subprocess.run(
        ["ffmpeg", "-i", path, "-c", "copy", "-bsf:v", "trace_headers", "-f", "null", "-"],
        capture_output=True,
        text=True,
        check=True,
    ).stderr
    packets = re.split(r"Packet: ", trace)[1:]
    flags = [re.findall(r"refresh_frame_flags\s+[01]*\s*=\s*(\d+)", packet) for packet in packets]
    frames = [len(re.findall(r"show_existing_frame\s+[01] = ", packet)) for packet in packets]
    clip = open_spliced(path)
    assert len(packets) == clip.index.sizes.size
    free = {at for at in range(len(packets)) if frames[at] == 1 and flags[at] == ["0"]}
    assert free, "the clip was to have something to leave out"
    wanted = clip.index.shown[[20, 61, 90]].tolist()
    needed: set[int] = set()
    for packet in wanted:
        start = max(key for key in clip.index.keys.tolist() if key <= packet)
        needed |= {at for at in range(start, packet + 1) if at not in free or at in wanted}
    assert [planned.tolist() for planned in clip.plan([20, 61, 90])] == [sorted(needed)]
