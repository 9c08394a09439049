"""Which clips are found again, and which are not."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from pllava_cli.encoded import DecodedClip
from pllava_cli.errors import ClipError
from pllava_cli.model.visual import VisualTokens
from pllava_cli.visualstore import shelf as module
from pllava_cli.visualstore.shelf import Shelf
from pllava_cli.visualstore.store import VisualStore
from tests.visualstore.test_entry import REPORT

WAY = "a way of seeing"
TOKENS = VisualTokens(torch.arange(12.0).reshape(3, 4))


class Decoder:
    """Counts."""

    def __init__(self, path: Path) -> None:
        self.path, self.asked = path, 0

    def __call__(self) -> DecodedClip:
        self.asked += 1
        return DecodedClip(self.path, np.zeros((1, 2, 2, 3), np.uint8), REPORT, 0.5)


@pytest.fixture
def store(tmp_path: Path) -> VisualStore:
    return VisualStore(tmp_path / "store")


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    (tmp_path / "clip.mp4").write_bytes(b"moving pictures")
    return tmp_path / "clip.mp4"


def is_found(
    store: VisualStore, clip: Path, start_s: float | None = None, end_s: float | None = None, way: str = WAY
) -> bool:
    """Look for a clip; what is not found is kept."""
    decoder, shelf = Decoder(clip), Shelf(store, way)
    decoded = shelf.clip(clip, start_s, end_s, decoder)
    assert (decoded.path, decoded.report) == (clip, REPORT)
    if decoder.asked:
        assert decoded.visual is None and decoded.key is not None
        shelf.keep(decoded.key, TOKENS, decoded.report)
        return False
    assert decoded.visual is not None and decoded.pictures is None
    assert torch.equal(decoded.visual.tokens_SD, TOKENS.tokens_SD)
    return True


def test_each_ingredient_counts(store: VisualStore, clip: Path, tmp_path: Path) -> None:
    windows = [(None, None), (0.0, None), (1.0, None), (None, 1.0), (1.0, 2.0), (2.0, 1.0)]
    assert [is_found(store, clip, *window) for window in windows] == [False] * 6
    assert not is_found(store, clip, way="another")
    other = tmp_path / "other.mp4"
    other.write_bytes(b"moving picture")
    assert not is_found(store, other)
    assert [is_found(store, clip, *window) for window in windows] == [True] * 6
    assert is_found(store, clip, way="another") and is_found(store, other)


def test_clip_is_found_wherever_it_is(store: VisualStore, clip: Path, tmp_path: Path) -> None:
    assert not is_found(store, clip)
    os.utime(clip, (1, 1))
    assert is_found(store, clip.rename(tmp_path / "moved.avi"))


def test_whole_numbers_are_times_too(store: VisualStore, clip: Path) -> None:
    assert not is_found(store, clip, 1, 2)
    assert is_found(store, clip, 1.0, np.float64(2))


def test_folder_of_frames(store: VisualStore, tmp_path: Path) -> None:
    frames = tmp_path / "frames"
    frames.mkdir()
    (frames / "00001.jpg").write_bytes(b"a picture")
    assert [is_found(store, frames), is_found(store, frames)] == [False, True]
    (frames / "00002.jpg").write_bytes(b"another")
    assert not is_found(store, frames)


def test_damaged_entry_is_made_anew(store: VisualStore, clip: Path) -> None:
    assert [is_found(store, clip), is_found(store, clip)] == [False, True]
    (entry,) = store.folder.rglob("*.safetensors")
    content = entry.read_bytes()
    for damaged in (content[:-1], b"", content[:-1] + bytes([content[-1] ^ 1]), b"\xff" * 5000):
        entry.write_bytes(damaged)
        assert [is_found(store, clip), is_found(store, clip)] == [False, True]
    assert len(entry.read_bytes()) == len(content)


def test_nothing_is_written_out_for_a_store_that_keeps_no_more(
    tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    full = VisualStore(tmp_path / "store", 1, told.append)
    assert not is_found(full, clip) and len(told) == 1

    def refuse(*_: object) -> bytes:
        raise AssertionError("written out")

    monkeypatch.setattr(module, "to_bytes", refuse)
    assert not is_found(full, clip) and len(told) == 1


def test_clip_that_changes_while_it_is_decoded_is_not_kept(store: VisualStore, clip: Path) -> None:
    class Changing(Decoder):
        def __call__(self) -> DecodedClip:
            self.path.write_bytes(b"other pictures")
            return super().__call__()

    assert Shelf(store, WAY).clip(clip, None, None, Changing(clip)).key is None


def test_decoding_says_what_is_wrong(store: VisualStore, clip: Path, tmp_path: Path) -> None:
    def fail() -> DecodedClip:
        raise ClipError("it cannot be decoded", "convert it")

    for path in (clip, tmp_path / "gone.mp4"):
        with pytest.raises(ClipError):
            Shelf(store, WAY).clip(path, None, None, fail)
    with pytest.raises(ClipError):
        Shelf(store, WAY).clip(clip, "soon", None, fail)  # type: ignore[arg-type]
