"""Files made to hurt: refused at once, or read rightly; never a crash, a hang, or a flood."""

import os
import struct
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from pllava_cli.video.index import SpliceRefused
from pllava_cli.video.splice import open_spliced
from tests.video.splice_helpers import decode_all

ROOT = Path(__file__).resolve().parents[2]
MUTANTS = 12


@pytest.mark.shared
@pytest.mark.parametrize(
    "name",
    [
        "h264_short_gop.mp4",
        "hevc_temporal_layers.mp4",
        "mpeg4.mp4",
        "mjpeg.mov",
        "h264.mkv",
        "vp9.webm",
        "vp8.webm",
    ],
)
def test_mutated_indexes_are_refused_or_read_rightly(corpus: Path, tmp_path: Path, name: str) -> None:
    environment = os.environ | {"OPENCV_FFMPEG_LOGLEVEL": "-8", "OPENCV_LOG_LEVEL": "SILENT"}
    command = [
        sys.executable,
        "-m",
        "tests.video.splice_mutations",
        corpus / name,
        tmp_path,
        "11",
        str(MUTANTS),
    ]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, timeout=120, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    spliced, refused = map(int, done.stdout.split())
    assert spliced + refused == MUTANTS and refused > 0


TABLES = {
    b"stts": (12, 0xFFFFFFFF),
    b"ctts": (12, 0xFFFFFFFF),
    b"stsc": (16, 0xFFFFFFFF),
    b"stsz": (12, 0xFFFFFFFF),
    b"stco": (8, 0xFFFFFFFF),
    b"stss": (12, 0xFFFFFFFF),
    b"elst": (8, 0xFFFFFFFF),
}
"""Boxes, and where in each (from its type on) a number that sizes something stands."""


@pytest.mark.shared
@pytest.mark.parametrize("kind", TABLES)
def test_tables_that_claim_four_thousand_million_rows_are_refused(
    corpus: Path, tmp_path: Path, kind: bytes
) -> None:
    data = bytearray((corpus / "h264_short_gop.mp4").read_bytes())
    offset, number = TABLES[kind]
    struct.pack_into(">I", data, data.index(kind) + offset, number)
    (tmp_path / "hostile.mp4").write_bytes(data)
    tracemalloc.start()
    try:
        with pytest.raises(SpliceRefused):
            open_spliced(tmp_path / "hostile.mp4")
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.shared
@pytest.mark.parametrize("kind", [b"trun", b"tfdt", b"trex"])
def test_fragments_with_impossible_numbers_are_refused(corpus: Path, tmp_path: Path, kind: bytes) -> None:
    data = bytearray((corpus / "fragmented.mp4").read_bytes())
    at = data.index(kind) + 8
    data[at : at + 8] = b"\xff" * 8
    (tmp_path / "hostile.mp4").write_bytes(data)
    with pytest.raises(SpliceRefused):
        open_spliced(tmp_path / "hostile.mp4")


@pytest.mark.shared
@pytest.mark.parametrize("name", ["h264_short_gop.mp4", "hevc_closed.mp4", "mpeg4.mp4", "vp9.mp4", "av1.mp4"])
def test_keyframes_are_believed_only_if_the_pictures_are_some(
    corpus: Path, tmp_path: Path, name: str
) -> None:
    data = (corpus / name).read_bytes()
    (tmp_path / name).write_bytes(data.replace(b"stss", b"free"))
    whole = decode_all(corpus / name)
    try:
        frames = open_spliced(tmp_path / name).read([40, 77])
    except SpliceRefused:
        return
    assert np.array_equal(frames[0], whole.frames[40]) and np.array_equal(frames[1], whole.frames[77])


@pytest.mark.shared
def test_one_size_for_all_packets_is_bounded_by_the_file(corpus: Path, tmp_path: Path) -> None:
    data = bytearray((corpus / "h264_short_gop.mp4").read_bytes())
    struct.pack_into(">II", data, data.index(b"stsz") + 8, 1, 0x7FFFFFFF)
    (tmp_path / "hostile.mp4").write_bytes(data)
    with pytest.raises(SpliceRefused, match="claims"):
        open_spliced(tmp_path / "hostile.mp4")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\0\0\0\x08ftyp" + b"\0\0\0\0" * 4, "no moov"),
        (b"\0\0\0\x08ftyp" + b"\0\0\0\x07moov", "broken"),
        (b"\0\0\0\x08ftyp" + b"\0\0\0\x01moov" + b"\xff" * 8, "broken"),
        (b"\0\0\0\x08ftyp" + b"\0\0\0\x09moov\0" * 2, "several"),
        (b"\0\0\0\x08free" * 20_000, "no moov"),
        (b"\x1a\x45\xdf\xa3\x80", "no element"),
        (b"\x1a\x45\xdf\xa3\x80\x18\x53\x80\x67\x01" + b"\xff" * 7, "no track"),
        (b"\x1a\x45\xdf\xa3\x80\x18\x53\x80\x67\x80\0", "cut"),
        (b"\x1a\x45\xdf\xa3\xff", "no segment"),
    ],
)
def test_files_of_a_few_bytes_are_refused(tmp_path: Path, data: bytes, reason: str) -> None:
    (tmp_path / "hostile.mp4").write_bytes(data)
    with pytest.raises(SpliceRefused, match=reason):
        open_spliced(tmp_path / "hostile.mp4")
