"""Files made to hurt: they end in frames or in a clear error, soon, and the decoder stays usable."""

import random
import struct
from pathlib import Path

import pytest

from pllava_cli.errors import ClipError
from pllava_cli.video.reader import sample_frames

MUTATED = (
    "tiny.mp4",
    "h264.mkv",
    "vp9.webm",
    "hevc_closed.mp4",
    "h264.ts",
    "animated.gif",
    "mjpeg.mov",
    "cut_half.mp4",
)


def gif(width: int, height: int) -> bytes:
    """A small GIF of 30 pictures of 8x8 that claims a screen of any size."""
    head = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes([0, 0, 0, 255, 255, 255])
    picture = b"\x2c" + struct.pack("<HHHHB", 0, 0, 8, 8, 0) + b"\x02\x02\x44\x01\x00"
    return head + b"".join(b"\x21\xf9\x04\0\x0a\0\0\0" + picture for _ in range(30)) + b"\x3b"


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Overwrite, cut, repeat or drop some bytes, more often near the header than elsewhere."""
    mutated = bytearray(data)
    for _ in range(rng.choice([1, 4, 20])):
        at = int(len(mutated) * rng.random() ** rng.choice([1, 4, 12]))
        match rng.randrange(5):
            case 0 | 1:
                mutated[at : at + 1] = bytes([rng.randrange(256)])
            case 2:
                mutated[at : at + 4] = rng.choice([b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff"])
            case 3:
                mutated[at:at] = mutated[at : at + rng.randrange(1, 2000)]
            case 4:
                del mutated[at : at + rng.randrange(1, 2000)]
    return bytes(mutated)


def test_pictures_beyond_the_limit_are_refused_before_decoding(tmp_path: Path) -> None:
    (tmp_path / "bomb.gif").write_bytes(gif(16000, 16000))
    with pytest.raises(ClipError, match=r"16000x16000 are larger than 80 megapixels"):
        sample_frames(tmp_path / "bomb.gif", 4)


def test_frames_beyond_the_limit_are_refused_before_they_are_made(tmp_path: Path) -> None:
    (tmp_path / "large.gif").write_bytes(gif(4000, 4000))
    with pytest.raises(ClipError, match=r"4096 frames of 4000x4000 take 196\.6 GB"):
        sample_frames(tmp_path / "large.gif", 4096)


def test_an_unknown_codec_is_said(corpus: Path, tmp_path: Path) -> None:
    data = (corpus / "tiny.mp4").read_bytes()
    (tmp_path / "clip.mp4").write_bytes(data.replace(b"avc1", b"zzzz"))
    with pytest.raises(ClipError, match=r"clip\.mp4: (there is no decoder|no video stream)"):
        sample_frames(tmp_path / "clip.mp4", 4)


@pytest.mark.parametrize("name", MUTATED)
def test_mutated_clips(corpus: Path, tmp_path: Path, name: str) -> None:
    rng = random.Random(name)
    data = (corpus / name).read_bytes()
    path = tmp_path / name
    for _ in range(12):
        path.write_bytes(mutate(data, rng))
        try:
            frames, times, report = sample_frames(path, 4, timeout_s=20)
        except ClipError as error:
            assert "\n" not in error.message + error.hint
        else:
            assert frames.shape == (4, report.height_px, report.width_px, 3)
            assert times == sorted(times)
    assert sample_frames(corpus / "tiny.mp4", 4)[0].shape == (4, 16, 16, 3)
