"""Decoded clips: the pixels of inference, kept once, and kept over an interruption."""

import json
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from pllava_cli.errors import ClipError, UsageError
from pllava_cli.loader import check_checkpoint
from pllava_cli.model.processing import Processor
from pllava_cli.training import clips as module
from pllava_cli.training.clips import INDEX_FILE, PICTURES_FILE, ClipStore, Look
from pllava_cli.training.data import ClipRef
from pllava_cli.video.reader import sample_frames

MANY = 1 << 30


@pytest.fixture(scope="module")
def processor(base: Path) -> Processor:
    found = check_checkpoint(base, alpha=None, base=None, num_frames=None, pooling_shape=None, device="cpu")
    return found.processor


@pytest.fixture
def look(processor: Processor) -> Look:
    return Look(processor.num_frames, processor.preprocess, 60.0)


def check(store: ClipStore, *refs: ClipRef) -> dict[ClipRef, Exception]:
    return dict(store.check(refs, lambda done: None, decoders=1))


@pytest.mark.parametrize("limit", [MANY, 0], ids=["kept", "decoded again"])
def test_pixels_are_those_of_inference(
    processor: Processor, look: Look, clips: Path, tmp_path: Path, limit: int
) -> None:
    store = ClipStore(tmp_path, look, limit)
    whole, part = ClipRef(clips / "0.mp4"), ClipRef(clips / "0.mp4", 0.5, 1.0)
    assert check(store, whole, part) == {}
    assert store.keeps([whole, part]) == (limit > 0)
    for ref in (whole, part):
        frames, _, _ = sample_frames(ref.path, 4, ref.start_s, ref.end_s)
        assert torch.equal(look.preprocess.normalise(store.pictures(ref)), processor.pixel_values(frames))
    assert not np.array_equal(store.pictures(whole), store.pictures(part))
    store.close()


def test_a_picture_stands_in_every_slot_and_is_kept_once(look: Look, clips: Path, tmp_path: Path) -> None:
    store = ClipStore(tmp_path, look, MANY)
    still = ClipRef(clips / "still.png", is_still=True)
    assert check(store, still) == {}
    pictures = store.pictures(still)
    assert pictures.shape == (4, 28, 28, 3)
    assert (pictures == pictures[0]).all()
    assert (tmp_path / PICTURES_FILE).stat().st_size == 28 * 28 * 3


def test_what_is_kept_serves_the_next_start(
    look: Look, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refs = [ClipRef(clips / f"{number}.mp4") for number in range(3)]
    first = ClipStore(tmp_path, look, MANY)
    check(first, *refs)
    wanted = [first.pictures(ref).copy() for ref in refs]
    monkeypatch.setattr(module.Decoder, "sample", lambda *_, **__: pytest.fail("decoded again"))
    second = ClipStore(tmp_path, look, MANY)
    assert check(second, *refs) == {}
    for ref, pictures in zip(refs, wanted, strict=True):
        assert np.array_equal(second.pictures(ref), pictures)


def test_what_a_kill_has_torn_is_decoded_again(look: Look, clips: Path, tmp_path: Path) -> None:
    refs = [ClipRef(clips / f"{number}.mp4") for number in range(3)]
    first = ClipStore(tmp_path, look, MANY)
    check(first, *refs)
    wanted = [first.pictures(ref).copy() for ref in refs]
    with (tmp_path / PICTURES_FILE).open("r+b") as file:
        file.seek(10)
        file.write(bytes(10))
    index = (tmp_path / INDEX_FILE).read_text()
    (tmp_path / INDEX_FILE).write_text(index[:-20])
    second = ClipStore(tmp_path, look, MANY)
    assert sum(second.keeps([ref]) for ref in refs) == 1
    assert check(second, *refs) == {}
    for ref, pictures in zip(refs, wanted, strict=True):
        assert np.array_equal(second.pictures(ref), pictures)


def test_a_clip_that_has_changed_is_decoded_again(look: Look, clips: Path, tmp_path: Path) -> None:
    clip = Path(shutil.copy(clips / "0.mp4", tmp_path / "clip.mp4"))
    check(ClipStore(tmp_path / "kept", look, MANY), ClipRef(clip))
    shutil.copy(clips / "1.mp4", clip)
    os.utime(clip, ns=(1, 1))
    store = ClipStore(tmp_path / "kept", look, MANY)
    check(store, ClipRef(clip))
    other = ClipStore(None, look, 0)
    assert np.array_equal(store.pictures(ClipRef(clip)), other.pictures(ClipRef(clips / "1.mp4")))
    other.close()


def test_what_is_kept_outlives_its_file(look: Look, clips: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.mp4"
    shutil.copy(clips / "0.mp4", copy)
    ref = ClipRef(copy)
    store = ClipStore(tmp_path / "kept", look, MANY)
    assert check(store, ref) == {}
    before = store.pictures(ref).copy()
    copy.unlink()
    assert store.keeps([ref]) and np.array_equal(store.pictures(ref), before)


def test_without_room_nothing_is_kept_and_nothing_lost(
    look: Look, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ClipStore(tmp_path / "kept", look, MANY)
    first, ref = ClipRef(clips / "1.mp4"), ClipRef(clips / "0.mp4")
    assert check(store, first) == {}
    with monkeypatch.context() as patch:
        patch.setattr(module, "PICTURES_FILE", "gone/pictures")  # cannot be opened for writing
        assert check(store, ref) == {} and store.keeps([first]) and not store.keeps([ref])
    for each in (first, ref):
        frames, _, _ = sample_frames(each.path, 4)
        assert np.array_equal(store.pictures(each), look.preprocess.pictures([frames]))
    store.close()


def test_another_look_begins_anew(look: Look, clips: Path, tmp_path: Path) -> None:
    check(ClipStore(tmp_path, look, MANY), ClipRef(clips / "0.mp4"))
    store = ClipStore(tmp_path, Look(2, look.preprocess, 60.0), MANY)
    check(store, ClipRef(clips / "0.mp4"))
    assert store.pictures(ClipRef(clips / "0.mp4")).shape[0] == 2
    assert len((tmp_path / INDEX_FILE).read_text().splitlines()) == 2


def test_bad_clips_are_told_and_the_others_kept(look: Look, clips: Path, tmp_path: Path) -> None:
    torn = tmp_path / "torn.mp4"
    torn.write_bytes((clips / "0.mp4").read_bytes()[:300])
    refs = [ClipRef(tmp_path / "missing.mp4"), ClipRef(torn), ClipRef(clips / "0.mp4")]
    store = ClipStore(tmp_path / "kept", look, MANY)
    bad = check(store, *refs)
    assert isinstance(bad.pop(refs[0]), UsageError)
    assert isinstance(bad.pop(refs[1]), ClipError)
    assert bad == {}
    assert store.keeps(refs[2:])


def test_a_store_goes_to_other_processes(look: Look, clips: Path, tmp_path: Path) -> None:
    store = ClipStore(tmp_path, look, MANY)
    ref = ClipRef(clips / "0.mp4")
    check(store, ref)
    wanted = store.pictures(ref)
    assert np.array_equal(pickle.loads(pickle.dumps(store)).pictures(ref), wanted)


def test_the_index_is_lines_of_json(look: Look, clips: Path, tmp_path: Path) -> None:
    check(ClipStore(tmp_path, look, MANY), ClipRef(clips / "0.mp4"))
    head, line = map(json.loads, (tmp_path / INDEX_FILE).read_text().splitlines())
    assert head["num_frames"] == 4
    assert (line["first"], line["count"]) == (0, 4)
