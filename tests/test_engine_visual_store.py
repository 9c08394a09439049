"""The engine with a store of visual tokens: the same to the bit, and nothing is decoded or seen twice."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from pllava_cli import Captioner, EncodedClip, encoding
from pllava_cli.encoded import DecodedClip, EncodedClips
from pllava_cli.errors import UsageError
from pllava_cli.model.modeling import PllavaModel
from pllava_cli.visualstore.store import VisualStore
from tests.clips import write_clip
from tests.engine_checks import EXACT, QUESTIONS, SHORT, same, state, told

CLIPS = 3
MODES = [
    EXACT,
    EXACT | {"dtype": "bf16"},
    EXACT | {"dtype": "bf16", "quantize": "4bit"},
    EXACT | {"quantize": "8bit"},
    EXACT | {"keep_tokens": 0.5},
]


class Count:
    """How often clips were decoded, and frames seen."""

    def __init__(self) -> None:
        self.decoded = self.seen = 0

    @property
    def both(self) -> tuple[int, int]:
        return self.decoded, self.seen

    def since(self, before: tuple[int, int]) -> tuple[int, int]:
        return self.decoded - before[0], self.seen - before[1]


@pytest.fixture
def count(monkeypatch: pytest.MonkeyPatch) -> Count:
    counted, sample, see = Count(), encoding.sample_frames, PllavaModel.see

    def sample_frames(*args: Any, **options: Any) -> Any:
        counted.decoded += 1
        return sample(*args, **options)

    def counted_see(self: PllavaModel, *args: Any, **options: Any) -> Any:
        counted.seen += 1
        return see(self, *args, **options)

    monkeypatch.setattr(encoding, "sample_frames", sample_frames)
    monkeypatch.setattr(PllavaModel, "see", counted_see)
    return counted


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("clips")
    return [write_clip(folder / f"{seed}.mp4", seed) for seed in range(CLIPS)]


@pytest.fixture
def store(tmp_path: Path) -> VisualStore:
    return VisualStore(tmp_path / "visual")


def all_state(encoded: EncodedClips) -> Iterator[torch.Tensor]:
    for layer in encoded.cache.layers:
        for part in (layer.keys, layer.values):
            yield part[:, :, : len(encoded.prefix_ids)]


@pytest.mark.parametrize("options", MODES, ids=str)
def test_memory_is_the_same_to_the_bit(
    options: dict[str, Any], checkpoint: Path, clips: list[Path], store: VisualStore, count: Count
) -> None:
    without = Captioner(checkpoint, **options)
    wanted = [state(without.encode(clip)) for clip in clips]
    together = without.encode_many([without.decode(clip) for clip in clips])
    said = [[told(each) for each in without.answer_many(together, q, decoding=SHORT)] for q in QUESTIONS]
    before = count.both
    captioner = Captioner(checkpoint, **options, visual_store=store)
    for _ in range(2):
        encoded = [captioner.encode(clip) for clip in clips]
        assert all(same(state(each), other) for each, other in zip(encoded, wanted, strict=True))
        assert count.since(before) == (CLIPS, CLIPS)
    again = Captioner(checkpoint, **options, visual_store=VisualStore(store.folder))
    batch = again.encode_many([again.decode(clip) for clip in clips])
    assert count.since(before) == (CLIPS, CLIPS)
    for ours, theirs in zip(all_state(batch), all_state(together), strict=True):
        assert torch.equal(ours, theirs)
    for question, answers in zip(QUESTIONS, said, strict=True):
        assert [told(each) for each in again.answer_many(batch, question, decoding=SHORT)] == answers


def test_batch_mixes_what_is_kept_and_what_is_not(
    checkpoint: Path, captioner: Captioner, clips: list[Path], store: VisualStore, count: Count
) -> None:
    kept = Captioner(checkpoint, **EXACT, visual_store=store)
    kept.encode(clips[1])
    decoded = [kept.decode(clip) for clip in clips]
    assert [each.visual is None for each in decoded] == [True, False, True]
    assert [each.pictures is None for each in decoded] == [False, True, False]
    batch = kept.encode_many(decoded)
    assert count.both == (CLIPS, CLIPS)
    wanted = captioner.encode_many([captioner.decode(clip) for clip in clips])
    assert all(torch.equal(a, b) for a, b in zip(all_state(batch), all_state(wanted), strict=True))
    assert [each.report for each in batch.clips] == [each.report for each in wanted.clips]
    assert all(kept.decode(clip).visual is not None for clip in clips)


def test_alpha_sees_nothing_anew(
    checkpoint: Path, clips: list[Path], store: VisualStore, count: Count
) -> None:
    texts = set()
    for alpha in (0, 8, 64):
        captioner = Captioner(checkpoint, **EXACT, alpha=alpha, visual_store=store)
        encoded = captioner.encode(clips[0])
        without = Captioner(checkpoint, **EXACT, alpha=alpha)
        assert same(state(encoded), state(without.encode(clips[0])))
        texts.add(captioner.answer(encoded, decoding=SHORT).text)
    assert len(texts) == 3
    assert len(list(store.folder.rglob("*.safetensors"))) == 1
    assert count.both == (1 + 3, 1 + 3)  # the three without a store


def test_parts_of_a_clip_are_kept_apart(
    checkpoint: Path, clips: list[Path], store: VisualStore, count: Count
) -> None:
    captioner = Captioner(checkpoint, **EXACT, visual_store=store)
    for _ in range(2):
        for start, end in ((None, None), (0.0, 0.5), (0.5, 1.0)):
            encoded = captioner.encode(clips[0], start=start, end=end)
            assert min(encoded.report.timestamps_s) >= (start or 0)
    assert count.both == (3, 3)


def test_report_is_that_of_decoding(
    checkpoint: Path, encoded: EncodedClip, clip: Path, store: VisualStore
) -> None:
    captioner = Captioner(checkpoint, **EXACT, visual_store=store)
    first, second = captioner.encode(clip), captioner.encode(clip)
    assert first.report == second.report == encoded.report
    assert second.elapsed_s.keys() == encoded.elapsed_s.keys()


def test_nothing_is_kept_without_a_store(captioner: Captioner, clip: Path, isolated: Path) -> None:
    decoded = captioner.decode(clip)
    captioner.remember(decoded)
    assert decoded.key is None and not (isolated / ".cache").exists()


def test_nowhere_to_keep_it_is_no_reason_to_fail(checkpoint: Path, clips: list[Path], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    heard: list[str] = []
    store = VisualStore(tmp_path / "file" / "visual", warn=heard.append)
    captioner = Captioner(checkpoint, **EXACT, visual_store=store)
    for clip in clips:
        captioner.answer(captioner.encode(clip), decoding=SHORT)
    assert len(heard) == 1


def test_tokens_of_another_kind_are_refused(captioner: Captioner, checkpoint: Path, clip: Path) -> None:
    decoded = captioner.decode(clip)
    half = Captioner(checkpoint, **EXACT, keep_tokens=0.5)
    made = encoding.look(half.model, half.processor.preprocess, decoded.pictures)  # type: ignore[arg-type]
    foreign = DecodedClip(clip, None, decoded.report, 0.1, made)
    with pytest.raises(UsageError, match="8 visual tokens of width 64") as caught:
        captioner.remember(foreign)
    assert "give 16 of width 64" in caught.value.hint
    with pytest.raises(UsageError, match="pictures are missing"):
        captioner.remember(replace(foreign, visual=None))
