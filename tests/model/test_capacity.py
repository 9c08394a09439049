"""How many clips fit: held against caches that exist, and against the published shapes' figures."""

from pathlib import Path

import pytest
import torch

from benchmarks.random_checkpoint import SHAPES, config
from pllava_cli import Captioner
from pllava_cli.model import device as device_module
from pllava_cli.model.capacity import MOST_CLIPS, QUESTION_ROOM, Capacity, free_bytes, plannable
from pllava_cli.model.config import read_config
from pllava_cli.model.device import DeviceInfo
from tests.clips import write_clip

GIB = 1 << 30
PREFIX = 2304 + 48


def of(shape: str, prefix: int = PREFIX, bytes_each: int = 2) -> Capacity:
    return Capacity(read_config(config(SHAPES[shape]), None, None), prefix, bytes_each)


class TestFormula:
    @pytest.mark.parametrize(
        ("shape", "kib"), [("7b", 512), ("13b", 800), ("34b", 240)], ids=lambda value: str(value)
    )
    def test_bytes_of_a_position(self, shape: str, kib: int) -> None:
        """2 x layers x key-value heads x 128 x 2 bytes: 32 x 32, 40 x 40 and 60 x 8 layers and heads."""
        assert of(shape).kv_bytes(256) == kib * 1024 * (PREFIX + QUESTION_ROOM + 256)
        assert of(shape, bytes_each=4).kv_bytes(256) == 2 * of(shape).kv_bytes(256)

    def test_positions_end_with_the_models(self) -> None:
        assert of("7b", prefix=4000).positions(256) == 4096

    def test_planned_batch_fits(self) -> None:
        for gib in (3, 10, 24, 64, 200):
            capacity = of("7b")
            clips = capacity.clips(gib * GIB, 256)
            each = capacity.kv_bytes(256) + capacity.step_bytes(256)
            assert (
                capacity.pass_bytes() + clips * each <= gib * GIB < capacity.pass_bytes() + (clips + 1) * each
            )

    def test_no_clip_fits(self) -> None:
        assert of("7b").clips(GIB, 256) == of("7b").clips(0, 256) == 0

    def test_encoding_takes_no_more_for_more_clips_than_a_pass_has(self) -> None:
        """What a pass takes is small beside the clips of an 80 GB device, and bounded for odd poolings."""
        assert of("7b").pass_bytes() < 4 * GIB
        assert of("7b", prefix=64).pass_bytes() < 4 * GIB

    def test_useful_follows_the_weights(self) -> None:
        capacity = of("7b")
        assert capacity.useful("cuda", 4 * 10**9, 256) == 24  # 36 GB / 1.50 GB
        assert capacity.useful("cuda", 10**12, 256) == MOST_CLIPS["cuda"]
        assert capacity.useful("cpu", 10**12, 256) == MOST_CLIPS["cpu"]
        assert capacity.useful("cpu", 1, 256) == 1

    def test_main_memory_is_not_planned_to_the_brim(self) -> None:
        assert plannable("cpu", 1000) < plannable("cuda", 1000) < 1000


class TestCaptioner:
    def test_bytes_are_those_of_the_cache(self, captioner: Captioner, tmp_path: Path) -> None:
        clips = [captioner.decode(write_clip(tmp_path / f"{seed}.mp4", seed)) for seed in range(3)]
        for most in (16, 256):
            batch = captioner.encode_many(clips, max_new_tokens=most)
            assert batch.cache.nbytes == 3 * captioner.kv_bytes_per_clip(most)

    def test_reserved_room_is_not_outgrown(self, captioner: Captioner, clip: Path) -> None:
        batch = captioner.encode_many([captioner.decode(clip)] * 2)
        before = [layer.keys.data_ptr() for layer in batch.cache.layers]
        captioner.answer_many(batch)
        assert [layer.keys.data_ptr() for layer in batch.cache.layers] == before

    def test_grows_with_the_memory_up_to_what_is_useful(self, captioner: Captioner) -> None:
        found = [captioner.clips_at_once(free=free) for free in (0, 10**7, 3 * 10**7, 10**8, 10**12)]
        assert found == sorted(found)
        assert found[0] == 1 < found[-1] <= MOST_CLIPS["cpu"]
        assert captioner.clips_at_once(2000, free=10**8) <= captioner.clips_at_once(16, free=10**8)

    def test_device_is_asked(self, captioner: Captioner, monkeypatch: pytest.MonkeyPatch) -> None:
        gpu = DeviceInfo("cuda", "a card", 80 * GIB, 70 * GIB)
        monkeypatch.setattr(device_module, "devices", lambda: [gpu, DeviceInfo("cpu", "2 threads", GIB, 9)])
        assert free_bytes(torch.device("cpu")) == 9
        assert captioner.clips_at_once() == 1
