"""The engine, on real files: encode once, ask often, several at a time."""

import dataclasses
import gc
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch

from pllava_cli import Captioner, EncodedClip, sample_frames
from pllava_cli.answers import AnswerStream
from pllava_cli.engine import Decoding
from pllava_cli.errors import MemoryFullError
from pllava_cli.model.cache import PrefixCache
from pllava_cli.prompts import CAPTION
from tests.clips import write_clip
from tests.engine_checks import QUESTIONS, SHORT, same, state, told


class TestEncodeOnceAskOften:
    def test_three_questions_equal_three_fresh_encodes(
        self, captioner: Captioner, encoded: EncodedClip, clip: Path
    ) -> None:
        once = [told(captioner.answer(encoded, q, decoding=SHORT)) for q in QUESTIONS]
        fresh = [told(captioner.answer(captioner.encode(clip), q, decoding=SHORT)) for q in QUESTIONS]
        assert once == fresh
        assert len({text for text, *_ in once}) == 3

    def test_order_of_questions_does_not_matter(self, captioner: Captioner, encoded: EncodedClip) -> None:
        forth = {q: captioner.answer(encoded, q, decoding=SHORT).text for q in QUESTIONS}
        back = {q: captioner.answer(encoded, q, decoding=SHORT).text for q in reversed(QUESTIONS)}
        assert forth == back

    def test_question_never_changes_the_clip(self, captioner: Captioner, encoded: EncodedClip) -> None:
        before = state(encoded)
        for question in [*QUESTIONS, "a longer question " * 40]:
            captioner.answer(encoded, question, decoding=Decoding(max_new_tokens=40))
            assert same(state(encoded), before)

    def test_answer_equals_the_librarys_generate_on_the_whole_prompt(
        self, captioner: Captioner, encoded: EncodedClip, clip: Path
    ) -> None:
        question = "What moves?"
        frames, _, _ = sample_frames(clip, 4)
        prompt = captioner.template.render(captioner.template.turns(question), captioner.system)
        inputs = captioner.processor(frames, prompt)
        ids = captioner.model.generate(**inputs, max_new_tokens=16, do_sample=False)
        new = ids[0, inputs["input_ids"].shape[1] :].tolist()
        new = new[: new.index(2)] if 2 in new else new
        answer = captioner.answer(encoded, question, decoding=SHORT)
        assert answer.text == captioner.processor.tokenizer.decode(new).strip()
        assert answer.new_tokens == len(new)

    def test_clips_differ(self, captioner: Captioner, encoded: EncodedClip, tmp_path: Path) -> None:
        other = captioner.encode(write_clip(tmp_path / "other.mp4", seed=2))
        assert other.prefix_ids == encoded.prefix_ids
        assert not same(state(other), state(encoded))

    def test_sampling_is_repeated_by_its_seed(self, captioner: Captioner, encoded: EncodedClip) -> None:
        drawn = [
            captioner.answer(encoded, decoding=Decoding(max_new_tokens=12, temperature=1.5, seed=seed)).text
            for seed in (1, 1, 2)
        ]
        assert drawn[0] == drawn[1] != drawn[2]

    def test_caption_in_one_call(self, captioner: Captioner, encoded: EncodedClip, clip: Path) -> None:
        answer = captioner.caption(clip, decoding=SHORT)
        assert told(answer) == told(captioner.answer(encoded, decoding=SHORT))
        assert answer.question is None

    def test_caption_prompt_is_the_question_asked(self, captioner: Captioner, encoded: EncodedClip) -> None:
        caption = captioner.answer(encoded, decoding=SHORT)
        assert caption.text == captioner.answer(encoded, CAPTION, decoding=SHORT).text

    def test_times_are_measured(self, captioner: Captioner, encoded: EncodedClip) -> None:
        assert set(encoded.elapsed_s) == {"decode", "encode"}
        answer = captioner.answer(encoded, decoding=SHORT)
        assert 0 < answer.elapsed_s["first_token"] < answer.elapsed_s["generate"]


class TestSeveralStreams:
    def test_two_on_one_clip_do_not_disturb_each_other(
        self, captioner: Captioner, encoded: EncodedClip
    ) -> None:
        alone = [captioner.answer(encoded, q, decoding=SHORT).text for q in QUESTIONS[:2]]
        before = state(encoded)
        streams = [captioner.stream(encoded, q, decoding=SHORT) for q in QUESTIONS[:2]]
        pieces: list[list[str]] = [[], []]
        running = {0, 1}
        while running:
            for number in sorted(running):
                piece = next(streams[number], None)
                if piece is None:
                    running.discard(number)
                else:
                    pieces[number].append(piece)
        assert ["".join(some) for some in pieces] == alone
        assert [stream.answer.text for stream in streams] == alone
        assert same(state(encoded), before)

    def test_one_may_end_within_the_other(self, captioner: Captioner, encoded: EncodedClip) -> None:
        alone = [captioner.answer(encoded, q, decoding=SHORT).text for q in QUESTIONS]
        outer = captioner.stream(encoded, QUESTIONS[0], decoding=SHORT)
        first = next(outer)
        assert captioner.answer(encoded, QUESTIONS[1], decoding=SHORT).text == alone[1]
        assert captioner.answer(encoded, QUESTIONS[2], decoding=SHORT).text == alone[2]
        assert first + "".join(outer) == alone[0]

    def test_from_several_threads(self, captioner: Captioner, encoded: EncodedClip) -> None:
        alone = {q: captioner.answer(encoded, q, decoding=SHORT).text for q in QUESTIONS}
        said: dict[str | None, str] = {}

        def ask(question: str | None) -> None:
            said[question] = captioner.answer(encoded, question, decoding=SHORT).text

        threads = [threading.Thread(target=ask, args=(question,)) for question in QUESTIONS]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert said == alone

    @pytest.mark.parametrize("how", ["close", "drop"])
    def test_abandoned_stream_frees_the_clip(
        self, how: str, captioner: Captioner, encoded: EncodedClip
    ) -> None:
        stream = captioner.stream(encoded, decoding=SHORT)
        next(stream)
        lent = encoded.borrow()
        assert lent is not encoded.cache  # a copy: the clip's own is in use
        if how == "close":
            stream.close()
        else:
            del stream
            gc.collect()
        lent = encoded.borrow()
        assert lent is encoded.cache
        encoded.give_back(lent)

    def test_stream_that_was_never_begun_holds_nothing(
        self, captioner: Captioner, encoded: EncodedClip
    ) -> None:
        stream = captioner.stream(encoded, decoding=SHORT)
        lent = encoded.borrow()
        assert lent is encoded.cache
        encoded.give_back(lent)
        stream.close()
        with pytest.raises(RuntimeError, match="closed before the answer was complete"):
            _ = stream.answer

    def test_failure_while_answering_frees_the_clip(
        self, captioner: Captioner, encoded: EncodedClip, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stream = captioner.stream(encoded, decoding=SHORT)
        next(stream)
        with monkeypatch.context() as patch:
            patch.setattr(captioner.model, "forward", lambda *args, **kwargs: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                list(stream)
        lent = encoded.borrow()
        assert lent is encoded.cache
        encoded.give_back(lent)

    def test_memory_that_does_not_suffice_for_a_second_one(
        self, captioner: Captioner, encoded: EncodedClip, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(cache: PrefixCache, length: int) -> None:
            raise torch.OutOfMemoryError("CUDA out of memory.")

        alone = captioner.answer(encoded, decoding=SHORT).text
        stream = captioner.stream(encoded, decoding=SHORT)
        first = next(stream)
        monkeypatch.setattr(PrefixCache, "copy", full)
        with pytest.raises(MemoryFullError, match="for this clip"):
            captioner.answer(encoded, decoding=SHORT)
        assert first + "".join(stream) == alone


class TestSurface:
    def test_answer_cannot_be_changed(self, captioner: Captioner, encoded: EncodedClip) -> None:
        answer = captioner.answer(encoded, decoding=SHORT)
        with pytest.raises(dataclasses.FrozenInstanceError):
            answer.text = "other"  # type: ignore[misc]

    def test_clip_shows_itself_without_its_tensors(self, encoded: EncodedClip) -> None:
        assert "tensor" not in repr(encoded)
        assert len(repr(encoded)) < 2000

    def test_stream_is_an_iterator(self, captioner: Captioner, encoded: EncodedClip) -> None:
        stream = captioner.stream(encoded, decoding=SHORT)
        assert isinstance(stream, AnswerStream)
        assert iter(stream) is stream
        stream.close()

    def test_importing_the_package_imports_nothing_heavy(self) -> None:
        code = (
            "import pllava_cli, sys\n"
            "assert pllava_cli.__version__ and 'Captioner' in dir(pllava_cli)\n"
            "heavy = {'torch', 'transformers', 'cv2', 'numpy', 'bitsandbytes', 'peft'} & set(sys.modules)\n"
            "assert not heavy, heavy\n"
            "try: pllava_cli.nothing\n"
            "except AttributeError: print('done')\n"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout.strip()) == (0, "done"), done.stderr

    def test_every_public_name_is_there(self) -> None:
        import pllava_cli

        for name in pllava_cli.__all__:
            assert getattr(pllava_cli, name) is not None
