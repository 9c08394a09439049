"""Folders of frames as clips: the reference's indices, and whatever such a folder may hold."""

import os
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from pllava_cli.errors import ClipError, PllavaError, UsageError
from pllava_cli.video import limits
from pllava_cli.video.folder import FolderReader
from pllava_cli.video.reader import Decoder, sample_frames
from pllava_cli.video.sampling import Selection, bounded_indices, numbered_indices

SIZE = (48, 64)


def picture(number: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """A picture of one colour, which tells its number."""
    return np.full((*size, 3), (number % 256, 2 * number % 256, 128), np.uint8)


def write(folder: Path, count: int, name: str = "{:05d}.png", first: int = 1) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(first, first + count):
        assert cv2.imwrite(str(folder / name.format(number)), picture(number))
    return folder


def numbers(frames: np.ndarray) -> list[int]:
    """The pictures that frames show; RGB, so that the blue of OpenCV's BGR comes last."""
    assert (frames == frames[:, :1, :1]).all()
    return [int(frame[0, 0, 2]) for frame in frames]


def by_definition(count: int, n: int, fps: float, bounds: tuple[float, float] | None) -> list[int]:
    """The reference's arithmetic as it stands in words: from 1 to the count of files."""
    start, end = bounds or (-1e5, 1e5)
    first, last = max(1, round(start * fps)), min(round(end * fps), count)
    step = (last - first) / n
    return [int(first + step / 2 + np.round(step * i)) for i in range(n)]


@pytest.mark.parametrize("count", [1, 2, 3, 16, 17, 90, 241, 1000])
@pytest.mark.parametrize("n", [1, 4, 8, 16, 32])
def test_numbers_are_those_of_the_reference(count: int, n: int) -> None:
    found = numbered_indices(count, n, 3.0)
    assert found == by_definition(count, n, 3.0, None)
    assert found == sorted(found) and found[0] >= 1 and found[-1] <= count


@pytest.mark.parametrize("bounds", [(0.0, 4.0), (2.5, 11.3), (0.1, 0.4), (7.5, 500.0), (12.17, 29.83)])
def test_numbers_of_a_segment_are_those_of_the_reference(bounds: tuple[float, float]) -> None:
    assert numbered_indices(90, 16, 3.0, *bounds) == by_definition(90, 16, 3.0, bounds)


def test_a_segment_behind_the_end_keeps_within_the_folder() -> None:
    assert set(numbered_indices(10, 4, 3.0, 50.0, 60.0)) == {10}
    assert set(bounded_indices(10, 4, 3.0, 50.0, 60.0)) == {9}


def test_frames_and_report(tmp_path: Path) -> None:
    folder = write(tmp_path / "frames", 24)
    frames, times_s, report = sample_frames(folder, 8)
    wanted = numbered_indices(24, 8, 3.0)
    assert numbers(frames) == wanted == report.indices and frames.shape == (8, *SIZE, 3)
    assert times_s == pytest.approx([(number - 1) / 3 for number in wanted]) == report.timestamps_s
    assert (report.codec, report.fps, report.method) == ("images", 3.0, "images")
    assert (report.width_px, report.height_px) == SIZE[::-1]
    assert report.duration_s == pytest.approx(8.0) and report.frames_decoded == report.frames_header == 24
    assert report.warnings == ()


def test_a_segment_is_counted_in_the_pictures_own_time(tmp_path: Path) -> None:
    folder = write(tmp_path / "frames", 60)
    frames, _, report = sample_frames(folder, 4, 5.0, 9.0)
    assert numbers(frames) == report.indices == by_definition(60, 4, 3.0, (5.0, 9.0))


def test_too_few_pictures_are_repeated_and_said_to_be(tmp_path: Path) -> None:
    frames, _, report = sample_frames(write(tmp_path / "frames", 2), 5)
    assert numbers(frames) == by_definition(2, 5, 3.0, None)
    assert "distinct" in report.warnings[0]


@pytest.mark.parametrize("name", ["{:05d}.jpg", "{}.JPEG", "frame_{:04d}.jpg", "img {}.png"])
def test_names_are_ordered_by_their_numbers(tmp_path: Path, name: str) -> None:
    frames, _, _ = sample_frames(write(tmp_path / "frames", 12, name), 12)
    assert np.abs(np.array(numbers(frames)) - by_definition(12, 12, 3.0, None)).max() <= 2  # JPEG


def test_pictures_may_be_counted_from_nought(tmp_path: Path) -> None:
    frames, _, report = sample_frames(write(tmp_path / "frames", 12, first=0), 4)
    assert [number + 1 for number in numbers(frames)] == report.indices == numbered_indices(12, 4, 3.0)


def test_what_is_no_picture_is_passed_over(tmp_path: Path) -> None:
    folder = write(tmp_path / "frames", 6)
    for name in ("._00003.png", ".DS_Store", "Thumbs.db", "notes 7.txt", "cover.png"):
        (folder / name).write_bytes(b"not a picture")
    (folder / "00007").mkdir()
    assert numbers(sample_frames(folder, 6)[0]) == by_definition(6, 6, 3.0, None)


def test_links_are_followed(tmp_path: Path) -> None:
    folder = write(tmp_path / "frames", 6)
    (tmp_path / "links").mkdir()
    for each in folder.iterdir():
        (tmp_path / "links" / each.name).symlink_to(each)
    (tmp_path / "link").symlink_to(tmp_path / "links")
    assert numbers(sample_frames(tmp_path / "link", 6)[0]) == by_definition(6, 6, 3.0, None)


def test_grey_deep_and_transparent_pictures_are_pictures_too(tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    cv2.imwrite(str(folder / "1.png"), np.full(SIZE, 90, np.uint8))
    cv2.imwrite(str(folder / "2.png"), np.full((*SIZE, 3), 90 << 8, np.uint16))
    cv2.imwrite(str(folder / "3.png"), np.full((*SIZE, 4), 90, np.uint8))
    frames, _, _ = sample_frames(folder, 3)
    assert (frames == 90).all()


def cut(folder: Path) -> None:
    file = folder / "00003.png"
    file.write_bytes(file.read_bytes()[:60])


def cut_jpeg(folder: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)
    coded = cv2.imencode(".jpg", noise)[1].tobytes()
    (folder / "00003.png").unlink()
    (folder / "00003.jpg").write_bytes(coded[: len(coded) // 2])


def pipe(folder: Path) -> None:
    (folder / "00003.png").unlink()
    os.mkfifo(folder / "00003.png")


def nest(folder: Path) -> None:
    (folder / "00003.png").unlink()
    (folder / "00003.png").mkdir()


def dangle(folder: Path) -> None:
    (folder / "00003.png").unlink()
    (folder / "00003.png").symlink_to("nowhere")


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda folder: (folder / "00003.png").unlink(), "picture 3 is missing among 5"),
    "no first": (lambda folder: (folder / "00001.png").unlink(), "picture 1 is missing"),
    "twice": (lambda folder: shutil.copy(folder / "00003.png", folder / "3.png"), "have the same number"),
    "empty": (lambda folder: (folder / "00003.png").write_bytes(b""), "00003.png is empty"),
    "text": (lambda folder: (folder / "00003.png").write_text("#EXTM3U\n"), "00003.png cannot be read"),
    "cut": (cut, "00003.png"),
    "cut jpeg": (cut_jpeg, "00003.jpg cannot be read"),
    "pipe": (pipe, "00003.png is no file"),
    "folder": (nest, "00003.png is no file"),
    "dangling": (dangle, "00003.png cannot be read"),
    "other size": (
        lambda folder: cv2.imwrite(str(folder / "00003.png"), picture(3, (50, 64))),
        "00003.png is 64x50, pictures before it are 64x48",
    ),
    "none": (lambda folder: [each.unlink() for each in folder.iterdir()], "without numbered pictures"),
    "line break": (lambda folder: (folder / "00003.png").rename(folder / "00009\n.png"), "is missing"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_is_wrong_is_named_in_one_line(tmp_path: Path, damage: str) -> None:
    folder = write(tmp_path / "frames", 6)
    make, said = DAMAGE[damage]
    make(folder)
    with pytest.raises(ClipError) as caught:
        sample_frames(folder, 6)
    assert said in caught.value.message and caught.value.hint
    assert caught.value.message.isprintable()
    assert sample_frames(write(tmp_path / "good", 3), 3)[0].shape[0] == 3, "the decoder lives on"


def test_a_picture_that_claims_to_be_huge_is_not_made_room_for(tmp_path: Path) -> None:
    """A PNG of a few bytes whose header promises 30000 x 30000 pixels."""
    folder = write(tmp_path / "frames", 1)
    raw = bytearray((folder / "00001.png").read_bytes())
    raw[16:24] = (30_000).to_bytes(4, "big") * 2
    raw[29:33] = zlib.crc32(raw[12:29]).to_bytes(4, "big")
    (folder / "00001.png").write_bytes(raw)
    with pytest.raises(ClipError, match=r"00001\.png cannot be read as a picture of at most 80 megapixels"):
        sample_frames(folder, 1)


def test_a_segment_that_begins_behind_the_last_picture_is_refused(tmp_path: Path) -> None:
    folder = write(tmp_path / "frames", 6)
    with pytest.raises(ClipError, match=r"is 2\.000 s long, the segment starts at 2 s"):
        sample_frames(folder, 4, 2.0, 3.0)


def test_a_folder_of_too_many_pictures_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pllava_cli.video import folder as module

    monkeypatch.setattr(module, "MAX_PICTURES", 5)
    assert limits.MAX_PICTURES > 5
    with pytest.raises(ClipError, match="more than 5 pictures"):
        FolderReader(write(tmp_path / "frames", 6), Selection(1)).read()


def test_more_frames_than_there_is_memory_for_are_refused(tmp_path: Path) -> None:
    def allocate(shape: tuple[int, ...]) -> np.ndarray:
        raise MemoryError

    with pytest.raises(ClipError, match="more than there is"):
        FolderReader(write(tmp_path / "frames", 2), Selection(2), allocate).read()


def test_progress_is_told_for_every_picture(tmp_path: Path) -> None:
    told: list[None] = []
    FolderReader(write(tmp_path / "frames", 6), Selection(6), progress=lambda: told.append(None)).read()
    assert len(told) >= 6


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_an_error_of_the_clip(tmp_path: Path) -> None:
    folder = write(tmp_path / "frames", 2)
    folder.chmod(0)
    try:
        with pytest.raises(PllavaError):
            sample_frames(folder, 1)
    finally:
        folder.chmod(0o700)


def test_shots_are_not_sought_in_a_folder(tmp_path: Path) -> None:
    decoder = Decoder()
    with pytest.raises(UsageError, match="is a directory"):
        decoder.shots(write(tmp_path / "frames", 2))
    decoder.stop()
