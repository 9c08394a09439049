"""Answers whose steps are recorded and replayed are the answers of steps as they come."""

import gc
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from pllava_cli import Captioner
from pllava_cli.encoded import DecodedClip
from pllava_cli.engine import Decoding
from pllava_cli.model.recorded import Step, StepRecorder
from tests.clips import write_clip
from tests.engine_checks import QUESTIONS, told
from tests.model.tracing import Tracer

DECODING = Decoding(max_new_tokens=20)
DRAWN = Decoding(max_new_tokens=20, temperature=1.2, seed=7)


@pytest.fixture
def tracer(captioner: Captioner) -> Iterator[Tracer]:
    """Records every step but the first of a kind."""
    tracer = Tracer()
    captioner.model.recorder = StepRecorder(tracer, steps_before=1)
    yield tracer
    captioner.model.recorder = None


@pytest.fixture(scope="module")
def decoded(captioner: Captioner, tmp_path_factory: pytest.TempPathFactory) -> list[DecodedClip]:
    """Five clips; nothing of them may be changed."""
    folder = tmp_path_factory.mktemp("recorded")
    return [captioner.decode(write_clip(folder / f"{seed}.mp4", seed)) for seed in range(5)]


def as_they_come(captioner: Captioner) -> None:
    captioner.model.recorder = None


@pytest.mark.parametrize("decoding", [DECODING, DRAWN])
def test_questions_about_a_clip(decoding: Decoding, captioner: Captioner, clip: Path, tracer: Tracer) -> None:
    encoded = captioner.encode(clip)
    recorded = [told(captioner.answer(encoded, each, decoding=decoding)) for each in QUESTIONS]
    assert tracer.recorded == 1, "one clip's memory needs one recording, however often it is asked"
    assert tracer.replayed > 20
    as_they_come(captioner)
    assert recorded == [told(captioner.answer(encoded, each, decoding=decoding)) for each in QUESTIONS]


def test_an_answer_at_the_same_time_has_a_recording_of_its_own(
    captioner: Captioner, clip: Path, tracer: Tracer
) -> None:
    encoded = captioner.encode(clip)
    streams = [captioner.stream(encoded, each, decoding=DECODING) for each in QUESTIONS[:2]]
    pieces: list[list[str]] = [[], []]
    going = list(zip(streams, pieces, strict=True))
    while going:
        for stream, said in list(going):
            piece = next(stream, None)
            if piece is None:
                going.remove((stream, said))
            else:
                said.append(piece)
    assert tracer.recorded == 2
    as_they_come(captioner)
    for stream, said, question in zip(streams, pieces, QUESTIONS, strict=False):
        wanted = captioner.answer(encoded, question, decoding=DECODING)
        assert "".join(said) == wanted.text and stream.answer.new_tokens == wanted.new_tokens


@pytest.mark.parametrize("decoding", [DECODING, DRAWN])
def test_a_batch_that_becomes_shorter(
    decoding: Decoding,
    captioner: Captioner,
    decoded: list[DecodedClip],
    tracer: Tracer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    batch = captioner.encode_many(decoded)
    monkeypatch.setattr(
        captioner, "_stop_ids", frozenset(range(3, 40))
    )  # so that rows end at different steps
    recorded = [captioner.answer_many(batch, each, decoding=decoding) for each in QUESTIONS[:2]]
    assert 1 < tracer.recorded < 5 < tracer.replayed
    as_they_come(captioner)
    wanted = [captioner.answer_many(batch, each, decoding=decoding) for each in QUESTIONS[:2]]
    assert [list(map(told, each)) for each in recorded] == [list(map(told, each)) for each in wanted]


def test_questions_of_different_lengths(
    captioner: Captioner, decoded: list[DecodedClip], tracer: Tracer
) -> None:
    batch = captioner.encode_many(decoded)
    questions = dict(enumerate([*QUESTIONS, "Why?"]))
    recorded = captioner.answer_each(batch, questions, decoding=DECODING)
    again = captioner.answer_many(batch, QUESTIONS[1], decoding=DECODING)  # nobody is hidden from now on
    as_they_come(captioner)
    wanted = captioner.answer_each(batch, questions, decoding=DECODING)
    assert {row: told(each) for row, each in recorded.items()} == {
        row: told(each) for row, each in wanted.items()
    }
    assert list(map(told, again)) == list(
        map(told, captioner.answer_many(batch, QUESTIONS[1], decoding=DECODING))
    )


def test_what_lies_behind_the_filled_positions_counts_for_nothing(
    captioner: Captioner, clip: Path, tracer: Tracer
) -> None:
    encoded = captioner.encode(clip)
    texts = []
    for _ in range(2):
        with torch.inference_mode():
            for layer in encoded.cache.layers:
                layer.keys[:, :, len(encoded.prefix_ids) :] = torch.nan
                layer.values[:, :, len(encoded.prefix_ids) :] = torch.inf
        texts.append(told(captioner.answer(encoded, decoding=DECODING)))
    assert tracer.replayed > 20
    as_they_come(captioner)
    assert texts == [told(captioner.answer(encoded, decoding=DECODING))] * 2


def test_a_memory_that_grows_is_recorded_anew(captioner: Captioner, clip: Path, tracer: Tracer) -> None:
    encoded = captioner.encode(clip)
    for layer in encoded.cache.layers:  # as if no room had been left
        layer.keys = layer.keys[:, :, : len(encoded.prefix_ids) + 30].clone()
        layer.values = layer.values[:, :, : len(encoded.prefix_ids) + 30].clone()
    short = told(captioner.answer(encoded, "Why?", decoding=Decoding(max_new_tokens=4)))
    assert tracer.recorded == 1
    recorded = told(captioner.answer(encoded, decoding=Decoding(max_new_tokens=40)))
    assert tracer.recorded == 2
    as_they_come(captioner)
    assert recorded == told(captioner.answer(encoded, decoding=Decoding(max_new_tokens=40)))
    assert short == told(captioner.answer(encoded, "Why?", decoding=Decoding(max_new_tokens=4)))


def test_a_memory_that_grows_and_cannot_be_recorded_anew(
    captioner: Captioner, clip: Path, tracer: Tracer
) -> None:
    """What was recorded of the smaller memory would go on in what is no longer the clip's."""

    def once(step: Step) -> tuple[Callable[[], object], torch.Tensor]:
        if tracer.recorded:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return tracer(step)

    captioner.model.recorder = StepRecorder(once, steps_before=1)
    encoded = captioner.encode(clip)
    captioner.answer(encoded, "Why?", decoding=Decoding(max_new_tokens=4))
    replayed = tracer.replayed
    assert replayed
    encoded.cache.reserve(encoded.cache.buffer.shape[2] + 1)
    found = told(captioner.answer(encoded, decoding=DECODING))
    assert tracer.replayed == replayed
    assert found == told(captioner.answer(encoded, decoding=DECODING))


def test_short_answers_are_not_recorded(captioner: Captioner, clip: Path) -> None:
    tracer = Tracer()
    captioner.model.recorder = StepRecorder(tracer, steps_before=8)
    try:
        captioner.answer(captioner.encode(clip), decoding=Decoding(max_new_tokens=9))
        assert tracer.recorded == 0
        captioner.answer(captioner.encode(clip), decoding=Decoding(max_new_tokens=10))
        assert tracer.recorded == 1
    finally:
        captioner.model.recorder = None


def test_a_step_that_cannot_be_recorded_is_taken_as_it_comes(captioner: Captioner, clip: Path) -> None:
    def fail(step: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    encoded = captioner.encode(clip)
    captioner.model.recorder = StepRecorder(fail, steps_before=1)  # type: ignore[arg-type]
    try:
        found = told(captioner.answer(encoded, decoding=DECODING))
        assert captioner.model.recorder is None
    finally:
        captioner.model.recorder = None
    assert found == told(captioner.answer(encoded, decoding=DECODING))


def test_another_alpha_forgets_what_was_recorded(
    captioner: Captioner, clip: Path, tracer: Tracer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(captioner, "_merge_again", lambda alpha: True)
    encoded = captioner.encode(clip)
    alpha, _ = captioner.alpha, captioner.answer(encoded, decoding=DECODING)
    captioner.set_alpha(3.0)
    captioner.answer(encoded, decoding=DECODING)
    captioner.alpha = alpha
    assert tracer.recorded == 2


def test_a_clip_that_is_forgotten_takes_its_recording_along(captioner: Captioner, clip: Path) -> None:
    captioner.model.recorder = StepRecorder(_only_once, steps_before=0)
    try:
        encoded = captioner.encode(clip)
        captioner.answer(encoded, decoding=Decoding(max_new_tokens=2))
        buffer = weakref.ref(encoded.cache.layers[1].keys)
        del encoded
        gc.collect()
        assert buffer() is None
    finally:
        captioner.model.recorder = None


def _only_once(step: object) -> tuple[object, torch.Tensor]:
    """As a CUDA graph, it does not hold what it was recorded from."""
    logits = step()  # type: ignore[operator]
    return lambda: None, torch.zeros_like(logits)
