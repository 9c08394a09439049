"""Several clips at once: the answers of one at a time, whatever ends when, and what memory allows."""

import json
import subprocess
import sys
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pllava_cli import Captioner, sample_frames
from pllava_cli.encoded import DecodedClip, EncodedClip, EncodedClips
from pllava_cli.engine import Decoding
from pllava_cli.errors import DeviceError, MemoryFullError, UsageError
from pllava_cli.model import batching
from pllava_cli.model.cache import PrefixCache
from tests.checkpoints import copied, write_script
from tests.clips import write_clip
from tests.engine_checks import EXACT, QUESTIONS, SHORT, same, state, told

DRAWN = Decoding(max_new_tokens=40, temperature=1.2, seed=7)


@pytest.fixture(scope="module")
def decoded(captioner: Captioner, tmp_path_factory: pytest.TempPathFactory) -> list[DecodedClip]:
    """Five clips; nothing of them may be changed."""
    folder = tmp_path_factory.mktemp("batch")
    return [captioner.decode(write_clip(folder / f"{seed}.mp4", seed)) for seed in range(5)]


@pytest.fixture(scope="module")
def apart(captioner: Captioner, decoded: list[DecodedClip]) -> list[EncodedClip]:
    """The clips, each encoded alone."""
    return [captioner.remember(each) for each in decoded]


@pytest.fixture(scope="module")
def together(captioner: Captioner, decoded: list[DecodedClip]) -> EncodedClips:
    """The clips in one batch; tests share it, so that each finds it as the one before left it."""
    return captioner.encode_many(decoded)


class TestDecodedElsewhere:
    def test_is_remembered_as_encode_does(self, captioner: Captioner, clip: Path) -> None:
        assert same(state(captioner.remember(captioner.decode(clip))), state(captioner.encode(clip)))

    def test_pictures_are_made_without_torch(self, captioner: Captioner, clip: Path, tmp_path: Path) -> None:
        frames, _, report = sample_frames(clip, captioner.num_frames)
        np.save(tmp_path / "frames.npy", frames)
        look = captioner.processor.preprocess
        code = (
            "import sys, numpy as np\n"
            "from pllava_cli.model.preprocessing import ClipPreprocessor, check_frames\n"
            f"look = {look!r}\n"
            f"frames = check_frames(np.load({str(tmp_path / 'frames.npy')!r}))\n"
            f"np.save({str(tmp_path / 'pictures.npy')!r}, look.pictures([frames]))\n"
            "assert 'torch' not in sys.modules\n"
        )
        subprocess.run([sys.executable, "-c", code], check=True)
        handed = DecodedClip(clip, np.load(tmp_path / "pictures.npy"), report, 1.5)
        encoded = captioner.remember(handed)
        assert same(state(encoded), state(captioner.encode(clip)))
        assert encoded.elapsed_s["decode"] == 1.5
        assert encoded.elapsed_s["encode"] > 0

    @pytest.mark.parametrize("change", [lambda p: p[:3], lambda p: p[:, :20], lambda p: p.astype(np.float32)])
    def test_pictures_of_another_kind_are_refused(
        self, change: Callable[[Any], Any], captioner: Captioner, decoded: list[DecodedClip]
    ) -> None:
        wrong = replace(decoded[1], pictures=change(decoded[1].pictures))
        for encode in (captioner.remember, lambda each: captioner.encode_many([decoded[0], each])):
            with pytest.raises(UsageError, match=r"1\.mp4: pictures are") as caught:
                encode(wrong)
            assert "uint8 of shape [4, 28, 28, 3]" in caught.value.hint


class TestEncoding:
    def test_each_row_is_what_the_clip_gives_alone(
        self, captioner: Captioner, decoded: list[DecodedClip], apart: list[EncodedClip]
    ) -> None:
        batch = captioner.encode_many(decoded)
        length = len(batch.prefix_ids)
        assert batch.prefix_ids == apart[0].prefix_ids
        for row, alone in enumerate(apart):
            for layer, own in zip(batch.cache.layers, alone.cache.layers, strict=True):
                for ours, theirs in ((layer.keys, own.keys), (layer.values, own.values)):
                    assert torch.allclose(ours[row, :, :length], theirs[0, :, :length], atol=1e-5)

    @pytest.mark.parametrize("positions", [1, 200, 1000])
    def test_passes_over_fewer_clips_give_the_same(
        self,
        positions: int,
        captioner: Captioner,
        decoded: list[DecodedClip],
        together: EncodedClips,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(batching, "POSITIONS_AT_ONCE", positions)
        batch = captioner.encode_many(decoded)
        for question in QUESTIONS:
            wanted = [told(each) for each in captioner.answer_many(together, question, decoding=SHORT)]
            assert [told(a) for a in captioner.answer_many(batch, question, decoding=SHORT)] == wanted

    def test_clips_are_told_in_order(self, together: EncodedClips, decoded: list[DecodedClip]) -> None:
        assert [each.path for each in together.clips] == [each.path for each in decoded]
        assert [each.report for each in together.clips] == [each.report for each in decoded]
        for seen, given in zip(together.clips, decoded, strict=True):
            assert seen.elapsed_s["decode"] == given.decode_s
            assert seen.visual_tokens == 16

    def test_nothing_to_encode(self, captioner: Captioner) -> None:
        with pytest.raises(UsageError, match="no clips"):
            captioner.encode_many([])

    def test_shows_itself_without_its_tensors(self, together: EncodedClips) -> None:
        assert "tensor" not in repr(together)


class TestAnswers:
    @pytest.mark.parametrize("question", QUESTIONS)
    def test_are_those_of_one_at_a_time(
        self, question: str | None, captioner: Captioner, together: EncodedClips, apart: list[EncodedClip]
    ) -> None:
        wanted = [told(captioner.answer(each, question, decoding=SHORT)) for each in apart]
        assert [told(a) for a in captioner.answer_many(together, question, decoding=SHORT)] == wanted
        assert len({text for text, *_ in wanted}) > 2

    @pytest.mark.parametrize("temperature", [0.0, 1.2])
    def test_rows_that_end_earlier_leave_the_others_alone(
        self, temperature: float, checkpoint: Path, decoded: list[DecodedClip], tmp_path: Path
    ) -> None:
        """Asked again and again, as the rows have changed places after each question."""
        folder = copied(checkpoint, tmp_path / "talkative")
        (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [2, *range(3, 30)]}))
        captioner = Captioner(folder, **EXACT)
        batch = captioner.encode_many(decoded)
        apart = [captioner.remember(each) for each in decoded]
        orders, ends = [], set()
        for question in [*QUESTIONS, *QUESTIONS]:
            decoding = Decoding(max_new_tokens=60, temperature=temperature, seed=3)
            wanted = [told(captioner.answer(each, question, decoding=decoding)) for each in apart]
            assert [told(a) for a in captioner.answer_many(batch, question, decoding=decoding)] == wanted
            orders.append(list(batch.order))
            ends |= {tokens for *_, tokens in wanted}
        assert len(ends) > 3, "all answers end at about the same step: nothing is tested"
        assert any(order != [0, 1, 2, 3, 4] for order in orders)

    def test_clip_drawn_with_a_seed_does_not_depend_on_its_mates(
        self, captioner: Captioner, decoded: list[DecodedClip]
    ) -> None:
        alone = told(captioner.answer_many(captioner.encode_many(decoded[2:3]), decoding=DRAWN)[0])
        for mates in ([1, 2], [2, 3, 4], [4, 3, 2, 1, 0]):
            batch = captioner.encode_many([decoded[i] for i in mates])
            assert told(captioner.answer_many(batch, decoding=DRAWN)[mates.index(2)]) == alone

    def test_same_clip_drawn_without_a_seed_differs(
        self, captioner: Captioner, decoded: list[DecodedClip]
    ) -> None:
        batch = captioner.encode_many([decoded[0]] * 3)
        decoding = Decoding(max_new_tokens=40, temperature=2.0)
        assert len({answer.text for answer in captioner.answer_many(batch, decoding=decoding)}) == 3

    def test_top_p_is_each_rows_own(
        self, captioner: Captioner, together: EncodedClips, apart: list[EncodedClip]
    ) -> None:
        decoding = replace(DRAWN, top_p=0.6)
        wanted = [told(captioner.answer(each, decoding=decoding)) for each in apart]
        assert [told(a) for a in captioner.answer_many(together, decoding=decoding)] == wanted

    def test_start_of_the_answer(
        self, captioner: Captioner, together: EncodedClips, apart: list[EncodedClip]
    ) -> None:
        options: dict[str, Any] = {"decoding": SHORT, "answer_start": "It moves"}
        wanted = [told(captioner.answer(each, "What?", **options)) for each in apart]
        assert [told(a) for a in captioner.answer_many(together, "What?", **options)] == wanted

    def test_question_longer_than_the_room_reserved(
        self, captioner: Captioner, together: EncodedClips, apart: list[EncodedClip]
    ) -> None:
        question = "which? " * 150
        wanted = [told(captioner.answer(each, question, decoding=SHORT)) for each in apart]
        assert [told(a) for a in captioner.answer_many(together, question, decoding=SHORT)] == wanted

    @pytest.mark.parametrize(
        ("tokens", "most", "wanted"),
        [
            (("▁", "A", "b", "c", ".", "</s>"), 20, ("Abc.", None, "eos", 5)),
            (("</s>",), 20, ("", None, "eos", 0)),
            (("a", "b", "c", "d", "</s>"), 3, ("abc", None, "length", 3)),
            (("a", "▁", "b", "a"), 256, None),
        ],
        ids=["eos", "nothing", "length", "repetition"],
    )
    def test_why_they_end(
        self, tokens: tuple[str, ...], most: int, wanted: Any, tmp_path: Path, clip: Path
    ) -> None:
        captioner = Captioner(write_script(tmp_path / "script", tokens), **EXACT)
        decoding = Decoding(max_new_tokens=most)
        alone = told(captioner.answer(captioner.encode(clip), decoding=decoding))
        assert alone == wanted or alone[2] == "repetition"
        batch = captioner.encode_many([captioner.decode(clip)] * 3)
        assert [told(a) for a in captioner.answer_many(batch, decoding=decoding)] == [alone] * 3

    def test_times_are_measured(self, captioner: Captioner, together: EncodedClips) -> None:
        for answer in captioner.answer_many(together, decoding=SHORT):
            assert 0 < answer.elapsed_s["first_token"] < answer.elapsed_s["generate"]

    def test_what_cannot_be_asked(self, captioner: Captioner, together: EncodedClips) -> None:
        for question, said in (("x <image>", "the question holds"), ("why? " * 900, "positions of 4096")):
            with pytest.raises(UsageError, match=said):
                captioner.answer_many(together, question)
        other = replace(together, prefix_ids=[*together.prefix_ids[:-1], 5])
        with pytest.raises(
            UsageError, match=r"batch of 5 clips, .*0\.mp4 among them, was encoded with another"
        ):
            captioner.answer_many(other)


class TestMemory:
    """The device's memory runs out: one error, nothing kept, and the next try works."""

    @pytest.fixture
    def full(self) -> Any:
        """A forward pass that fails, and weak references to what it was given and had made."""

        def forward(*args: Any, cache: PrefixCache, **kwargs: Any) -> None:
            made = torch.zeros(1000)
            forward.seen = [weakref.ref(made), weakref.ref(cache)]  # type: ignore[attr-defined]
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

        return forward

    def test_while_encoding(
        self, full: Any, captioner: Captioner, decoded: list[DecodedClip], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(captioner.model.model.language_model, "forward", full)
            with pytest.raises(MemoryFullError, match=r"the memory of cpu .* for 5 clips at once") as caught:
                captioner.encode_many(decoded)
        assert "--batch-size" in caught.value.hint
        assert isinstance(caught.value, DeviceError)
        assert caught.value.__context__ is None
        assert [each() for each in full.seen] == [None, None]
        assert len(captioner.encode_many(decoded[:2]).clips) == 2

    def test_while_answering(
        self,
        full: Any,
        captioner: Captioner,
        together: EncodedClips,
        apart: list[EncodedClip],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(captioner.model, "forward", full)
            with pytest.raises(MemoryFullError, match="5 clips") as caught:
                captioner.answer_many(together, decoding=SHORT)
        assert caught.value.__context__ is None
        assert full.seen[0]() is None
        wanted = [told(captioner.answer(each, decoding=SHORT)) for each in apart]
        assert [told(a) for a in captioner.answer_many(together, decoding=SHORT)] == wanted

    def test_one_at_a_time(
        self, full: Any, captioner: Captioner, decoded: list[DecodedClip], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        encoded = captioner.remember(decoded[0])
        wanted = told(captioner.answer(encoded, decoding=SHORT))
        with monkeypatch.context() as patch:
            patch.setattr(captioner.model.model.language_model, "forward", full)
            with pytest.raises(MemoryFullError, match="for this clip"):
                captioner.remember(decoded[0])
            patch.setattr(captioner.model, "forward", full)
            with pytest.raises(MemoryFullError, match="for this clip") as caught:
                captioner.answer(encoded, decoding=SHORT)
        assert "--quantize 4bit" in caught.value.hint
        assert full.seen[0]() is None
        assert told(captioner.answer(encoded, decoding=SHORT)) == wanted

    @pytest.mark.parametrize(
        ("error", "becomes"),
        [
            (MemoryError("Unable to allocate 3.00 GiB"), MemoryFullError),
            (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to"), MemoryFullError),
            (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling"), MemoryFullError),
            (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), RuntimeError),
            (ValueError("no memory"), ValueError),
        ],
        ids=["numpy", "cpu", "cublas", "other", "value"],
    )
    def test_which_errors_mean_memory(
        self,
        error: Exception,
        becomes: type[Exception],
        captioner: Captioner,
        together: EncodedClips,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        def forward(*args: Any, **kwargs: Any) -> None:
            raise error

        monkeypatch.setattr(captioner.model, "forward", forward)
        with pytest.raises(becomes) as caught:
            captioner.answer_many(together, decoding=SHORT)
        assert type(caught.value) is becomes
