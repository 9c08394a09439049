"""Questions of their own to clips that share a batch: what is said is what each clip says alone."""

from dataclasses import replace
from pathlib import Path

import pytest

from pllava_cli import Answer, Captioner, EncodedClip
from pllava_cli.encoded import DecodedClip, EncodedClips
from pllava_cli.engine import Decoding
from pllava_cli.errors import UsageError
from tests.clips import write_clip
from tests.engine_checks import EXACT, SHORT, told

ASKED = {
    0: "What?",
    1: None,
    2: "Where is it, and which colour has it, and how long does it stay there?",
    3: "Why?",
}
DRAWN = Decoding(max_new_tokens=24, temperature=1.2, top_p=0.9, seed=5)


@pytest.fixture(scope="module")
def decoded(captioner: Captioner, tmp_path_factory: pytest.TempPathFactory) -> list[DecodedClip]:
    folder = tmp_path_factory.mktemp("each")
    return [captioner.decode(write_clip(folder / f"{seed}.mp4", seed)) for seed in range(4)]


@pytest.fixture(scope="module")
def apart(captioner: Captioner, decoded: list[DecodedClip]) -> list[EncodedClip]:
    return [captioner.remember(each) for each in decoded]


@pytest.fixture
def together(captioner: Captioner, decoded: list[DecodedClip]) -> EncodedClips:
    return captioner.encode_many(decoded)


def all_told(found: dict[int, Answer | UsageError]) -> dict[int, object]:
    return {clip: told(each) if isinstance(each, Answer) else each for clip, each in found.items()}


@pytest.mark.parametrize("decoding", [SHORT, DRAWN], ids=["greedy", "drawn"])
@pytest.mark.parametrize("clips", [(0, 1, 2, 3), (2,), (3, 0), (1, 2)], ids=str)
def test_is_what_each_clip_says_alone(
    clips: tuple[int, ...],
    decoding: Decoding,
    captioner: Captioner,
    together: EncodedClips,
    apart: list[EncodedClip],
) -> None:
    asked = {clip: ASKED[clip] for clip in clips}
    wanted = {clip: told(captioner.answer(apart[clip], q, decoding=decoding)) for clip, q in asked.items()}
    for _ in range(2):  # rows have changed places after the first time
        assert all_told(captioner.answer_each(together, asked, decoding=decoding)) == wanted
    assert list(captioner.answer_each(together, asked, decoding=decoding)) == list(clips)


def test_questions_in_turn(captioner: Captioner, together: EncodedClips, apart: list[EncodedClip]) -> None:
    """Each clip has another number of them, so that ever fewer rows are asked."""
    questions = ["What?", "What is it that moves there?", None, "Who?"]
    for turn, question in enumerate(questions):
        asked = {clip: questions[(turn + clip) % 4] for clip in range(turn, 4)}
        wanted = {c: told(captioner.answer(apart[c], q, decoding=SHORT)) for c, q in asked.items()}
        assert all_told(captioner.answer_each(together, asked, decoding=SHORT)) == wanted
        same = [told(captioner.answer(each, question, decoding=SHORT)) for each in apart]
        assert [told(each) for each in captioner.answer_many(together, question, decoding=SHORT)] == same


def test_start_of_the_answer(captioner: Captioner, together: EncodedClips, apart: list[EncodedClip]) -> None:
    found = captioner.answer_each(together, ASKED, decoding=SHORT, answer_start="Best option:(")
    for clip, question in ASKED.items():
        alone = captioner.answer(apart[clip], question, decoding=SHORT, answer_start="Best option:(")
        assert all_told(found)[clip] == told(alone)


def test_merged_tokens(checkpoint: Path, decoded: list[DecodedClip]) -> None:
    half = Captioner(checkpoint, keep_tokens=0.5, **EXACT)
    found = half.answer_each(half.encode_many(decoded), ASKED, decoding=SHORT)
    for clip, question in ASKED.items():
        assert all_told(found)[clip] == told(
            half.answer(half.remember(decoded[clip]), question, decoding=SHORT)
        )


def test_longer_than_the_room_reserved(
    captioner: Captioner, together: EncodedClips, apart: list[EncodedClip]
) -> None:
    asked = {0: "What?", 3: "which? " * 150}
    found = captioner.answer_each(together, asked, decoding=SHORT)
    for clip, question in asked.items():
        assert all_told(found)[clip] == told(captioner.answer(apart[clip], question, decoding=SHORT))


def test_what_cannot_be_asked_costs_no_other(
    captioner: Captioner, together: EncodedClips, apart: list[EncodedClip]
) -> None:
    asked = {0: "x <image>", 2: "What?", 3: "why? " * 900}
    found = captioner.answer_each(together, asked, decoding=SHORT)
    assert list(found) == [0, 2, 3]
    assert isinstance(found[0], UsageError) and isinstance(found[3], UsageError)
    assert all_told(found)[2] == told(captioner.answer(apart[2], "What?", decoding=SHORT))
    nothing = captioner.answer_each(together, {1: "x <image>"}, decoding=SHORT)
    assert isinstance(nothing[1], UsageError)
    assert captioner.answer_each(together, {}, decoding=SHORT) == {}


def test_clips_of_another_prompt(captioner: Captioner, together: EncodedClips) -> None:
    other = replace(together, prefix_ids=[*together.prefix_ids[:-1], 5])
    found = captioner.answer_each(other, {0: "What?"}, decoding=SHORT)
    assert "was encoded with another" in str(found[0])


def test_questions_about_one_clip_at_a_time(
    captioner: Captioner, decoded: list[DecodedClip], apart: list[EncodedClip]
) -> None:
    """A clip that is given several times is seen and put through the model once."""
    clips = [1, 0, 1, 1, 2, 0]
    batch = captioner.encode_many([decoded[clip] for clip in clips])
    assert [each.path for each in batch.clips] == [decoded[clip].path for clip in clips]
    for _ in range(2):
        asked = {row: ASKED[row % 4] for row in range(len(clips))}
        found = all_told(captioner.answer_each(batch, asked, decoding=SHORT))
        for row, question in asked.items():
            assert found[row] == told(captioner.answer(apart[clips[row]], question, decoding=SHORT))


def test_copies_are_not_seen_again(
    captioner: Captioner, decoded: list[DecodedClip], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    see = captioner.model.model.see
    monkeypatch.setattr(captioner.model.model, "see", lambda *args: seen.append(1) or see(*args))
    batch = captioner.encode_many([decoded[0], decoded[1], decoded[0], decoded[0]])
    assert len(seen) == 2
    length = len(batch.prefix_ids)
    for layer in batch.cache.layers:
        for part in (layer.keys, layer.values):
            rows = {clip: part[row, :, :length] for row, clip in enumerate(batch.order)}
            assert all((rows[0] == rows[clip]).all() for clip in (2, 3)) and (rows[0] != rows[1]).any()
