"""HDR and wide gamut: the numbers in the file, untouched, and at once.

The reference is OpenCV's own decode of a copy without the tags, made by ffmpeg.
"""

from pathlib import Path

import numpy as np
import pytest

from pllava_cli.video.boxes import ENTRY_HEADER, boxes
from pllava_cli.video.index import SpliceRefused
from pllava_cli.video.nal import parse_record
from pllava_cli.video.splice import open_spliced
from pllava_cli.video.sps import BitReader, escape, parse_sps, unescape, without_colour
from tests.video.splice_helpers import decode_all, ffmpeg

CLIPS = {"hdr_pq.mp4": "hevc", "hdr_hlg.mp4": "hevc", "wide_gamut.mp4": "h264"}


def untagged_copy(path: Path, codec: str, folder: Path) -> Path:
    """The clip with colours "unspecified", and without messages that say otherwise."""
    filters = f"{codec}_metadata=colour_primaries=2:transfer_characteristics=2"
    if codec == "hevc":
        filters += ",filter_units=remove_types=39"
    ffmpeg("-i", path, "-c", "copy", "-bsf:v", filters, "-color_primaries", "2", folder / "untagged.mp4")
    return folder / "untagged.mp4"


@pytest.mark.shared
@pytest.mark.parametrize("way", ["as it is", "matroska", "tags in every keyframe"])
@pytest.mark.parametrize("name", CLIPS)
def test_tagged_pictures_equal_untagged_ones(corpus: Path, tmp_path: Path, name: str, way: str) -> None:
    plain = decode_all(untagged_copy(corpus / name, CLIPS[name], tmp_path))
    path = corpus / name
    if way == "matroska":
        path = tmp_path / "tagged.mkv"
        ffmpeg("-i", corpus / name, "-c", "copy", path)
    elif way == "tags in every keyframe":
        path = tmp_path / "tagged.mp4"
        ffmpeg("-i", corpus / name, "-c", "copy", tmp_path / "tagged.ts")
        ffmpeg("-i", tmp_path / "tagged.ts", "-c", "copy", path)
    frames = open_spliced(path).read([0, 17, 58])
    assert all(np.array_equal(frame, plain.frames[at]) for frame, at in zip(frames, (0, 17, 58), strict=True))


@pytest.mark.shared
@pytest.mark.parametrize("name", CLIPS)
def test_parameter_sets_keep_all_but_primaries_and_transfer(corpus: Path, name: str) -> None:
    codec = CLIPS[name]
    entry = open_spliced(corpus / name).index.sample_entry
    record = boxes(entry[ENTRY_HEADER:])[b"avcC" if codec == "h264" else b"hvcC"][0]
    (unit,) = parse_record(record, codec).sps
    before = parse_sps(unit, codec)
    after = parse_sps(without_colour(unit, before), codec)
    assert before.colour and after.colour
    assert (after.colour.primaries, after.colour.transfer) == (2, 2)
    assert after.colour.matrix == before.colour.matrix
    assert after.is_progressive and after.colour_at == before.colour_at


@pytest.mark.shared
def test_matrices_opencv_cannot_convert_are_refused(corpus: Path, tmp_path: Path) -> None:
    for matrix in (8, 10, 14):
        changed = tmp_path / f"{matrix}.mp4"
        ffmpeg(
            "-i",
            corpus / "bt709.mp4",
            "-c",
            "copy",
            "-bsf:v",
            f"h264_metadata=matrix_coefficients={matrix}",
            changed,
        )
        with pytest.raises(SpliceRefused, match=f"matrix {matrix}"):
            open_spliced(changed)


def test_escaping_is_undone_and_leaves_no_start_code() -> None:
    for raw in (b"\0\0\0\0\0", b"\0\0\1", b"\0\0\2\0\0\3", b"ab\0\0\3\0", b"\0\0\4", b"\0" * 40):
        assert unescape(escape(raw)) == raw
        assert not any(code in escape(raw) for code in (b"\0\0\0", b"\0\0\1", b"\0\0\2"))


def test_exp_golomb_codes() -> None:
    bits = BitReader(bytes([0b10100110, 0b01000010, 0b10000000]))
    assert [bits.ue() for _ in range(5)] == [0, 1, 2, 3, 4]
    assert BitReader(bytes([0b00100000])).se() == 2 and BitReader(bytes([0b01100000])).se() == -1
    with pytest.raises(SpliceRefused):
        BitReader(bytes(8)).ue()
