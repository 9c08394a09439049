"""Answers as they come, from models that say what the test wants and from ones that say anything."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pllava_cli import Captioner, EncodedClip
from pllava_cli.engine import Decoding
from tests.checkpoints import write_script
from tests.engine_checks import EXACT, QUESTIONS, SHORT, told


@pytest.fixture
def script(tmp_path: Path) -> Callable[..., tuple[Captioner, EncodedClip]]:
    """Captioners that say the given tokens, with a clip encoded."""

    def made(*tokens: str, clip: Path, **options: Any) -> tuple[Captioner, EncodedClip]:
        captioner = Captioner(write_script(tmp_path / "script", tokens), **EXACT | options)
        return captioner, captioner.encode(clip)

    return made


class TestStreaming:
    def test_pieces_joined_are_the_answer(self, captioner: Captioner, encoded: EncodedClip) -> None:
        for question in QUESTIONS:
            stream = captioner.stream(encoded, question, decoding=SHORT)
            pieces = list(stream)
            answer = stream.answer
            assert "".join(pieces) == answer.text == answer.text.strip()
            assert all(pieces)
            assert stream.answer is answer
            assert next(stream, None) is None

    def test_answer_may_be_asked_for_half_way(self, captioner: Captioner, encoded: EncodedClip) -> None:
        whole = captioner.answer(encoded, decoding=SHORT).text
        stream = captioner.stream(encoded, decoding=SHORT)
        first = next(stream)
        assert stream.answer.text == whole
        assert whole.startswith(first)

    def test_models_own_end(self, script: Any, clip: Path) -> None:
        captioner, encoded = script("▁", "A", "b", "c", ".", "</s>", clip=clip)
        answer = captioner.answer(encoded)
        assert told(answer) == ("Abc.", None, "eos", 5)
        assert list(captioner.stream(encoded)) == ["A", "b", "c", "."]

    def test_limit(self, script: Any, clip: Path) -> None:
        captioner, encoded = script("a", "b", "c", "d", "</s>", clip=clip)
        answer = captioner.answer(encoded, "Why?", decoding=Decoding(max_new_tokens=3))
        assert told(answer) == ("abc", "Why?", "length", 3)

    def test_loop(self, script: Any, clip: Path) -> None:
        captioner, encoded = script("a", "▁", "b", "a", clip=clip)
        answer = captioner.answer(encoded)
        assert answer.stopped == "repetition"
        assert answer.text == ("a b" * 40)[: len(answer.text)]
        assert answer.new_tokens < 40

    def test_nothing_said(self, script: Any, clip: Path) -> None:
        captioner, encoded = script("</s>", clip=clip)
        assert told(captioner.answer(encoded)) == ("", None, "eos", 0)
        assert list(captioner.stream(encoded)) == []

    def test_space_around_the_answer_is_left_out_and_within_it_kept(self, script: Any, clip: Path) -> None:
        tokens = ("▁", "<0x0A>", "a", "<0x09>", "b", "<0x20>", "</s>")
        captioner, encoded = script(*tokens, clip=clip)
        stream = captioner.stream(encoded)
        pieces = list(stream)
        assert "".join(pieces) == stream.answer.text == "a\tb"
        assert pieces[0] == "a"

    def test_character_of_several_bytes_is_never_halved(self, script: Any, clip: Path) -> None:
        emoji = [f"<0x{byte:02X}>" for byte in "😀".encode()]
        accent = [f"<0x{byte:02X}>" for byte in "é".encode()]
        captioner, encoded = script("a", *emoji, "b", *accent, "</s>", clip=clip)
        pieces = list(captioner.stream(encoded))
        assert "".join(pieces) == "a😀bé"
        assert not any("\ufffd" in piece for piece in pieces)

    def test_answer_cut_off_within_a_character(self, script: Any, clip: Path) -> None:
        emoji = [f"<0x{byte:02X}>" for byte in "😀".encode()]
        captioner, encoded = script("a", *emoji, "b", "</s>", clip=clip)
        stream = captioner.stream(encoded, decoding=Decoding(max_new_tokens=3))
        assert "".join(stream) == stream.answer.text == "a\ufffd\ufffd"

    @pytest.mark.parametrize("seed", range(6))
    def test_any_bytes_at_all(self, seed: int, captioner: Captioner, encoded: EncodedClip) -> None:
        """A random model says mostly bytes that are no characters."""
        decoding = Decoding(max_new_tokens=40, temperature=3.0, seed=seed)
        stream = captioner.stream(encoded, decoding=decoding)
        assert "".join(stream) == stream.answer.text
