"""An answer that the model is made to begin in a given way, as multiple-choice questions are asked."""

from pathlib import Path

import pytest

from pllava_cli import Captioner, EncodedClip, sample_frames
from pllava_cli.errors import UsageError
from pllava_cli.multiple_choice import REPLY_START
from pllava_cli.prompts import Message
from tests.checkpoints import write_script
from tests.engine_checks import EXACT, SHORT, same, state, told

QUESTION = "Which way does it move?"


def test_equals_the_librarys_generate_behind_the_start(
    captioner: Captioner, encoded: EncodedClip, clip: Path
) -> None:
    turns = [*captioner.template.turns(QUESTION), Message("answer start", REPLY_START)]
    prompt = captioner.template.render(turns, captioner.system)
    assert prompt.endswith("ASSISTANT:Best option:(")
    frames, _, _ = sample_frames(clip, 4)
    inputs = captioner.processor(frames, prompt)
    ids = captioner.model.generate(**inputs, max_new_tokens=16, do_sample=False)
    new = ids[0, inputs["input_ids"].shape[1] :].tolist()
    new = new[: new.index(2)] if 2 in new else new
    answer = captioner.answer(encoded, QUESTION, decoding=SHORT, answer_start=REPLY_START)
    assert answer.text == captioner.processor.tokenizer.decode(new).strip()
    assert answer.question == QUESTION


def test_answer_is_what_follows_the_start(tmp_path: Path, clip: Path) -> None:
    captioner = Captioner(write_script(tmp_path / "script", ["B", ")", "</s>"], start="("), **EXACT)
    encoded = captioner.encode(clip)
    answer = captioner.answer(encoded, QUESTION, decoding=SHORT, answer_start=REPLY_START)
    assert (answer.text, answer.stopped) == ("B)", "eos")


def test_clip_stays_as_it_was(captioner: Captioner, encoded: EncodedClip) -> None:
    before, alone = state(encoded), told(captioner.answer(encoded, QUESTION, decoding=SHORT))
    started = captioner.answer(encoded, QUESTION, decoding=SHORT, answer_start="It moves")
    assert same(state(encoded), before)
    assert told(captioner.answer(encoded, QUESTION, decoding=SHORT)) == alone != told(started)
    assert told(captioner.answer(encoded, QUESTION, decoding=SHORT, answer_start="")) == alone


def test_caption_may_have_a_start_too(captioner: Captioner, encoded: EncodedClip) -> None:
    answer = captioner.answer(encoded, decoding=SHORT, answer_start="A")
    assert answer.text != captioner.answer(encoded, decoding=SHORT).text


def test_start_with_the_clips_placeholder_is_refused(captioner: Captioner, encoded: EncodedClip) -> None:
    with pytest.raises(UsageError, match="the answer's start holds <image>"):
        captioner.stream(encoded, QUESTION, answer_start="In <image>")


def test_start_counts_among_the_positions(captioner: Captioner, encoded: EncodedClip) -> None:
    with pytest.raises(UsageError, match=r"need \d+ \+ 16 positions of 4096"):
        captioner.stream(encoded, QUESTION, decoding=SHORT, answer_start="so " * 2000)
