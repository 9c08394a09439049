"""Text to ids and back, whole and in a stream; and tokenizer files that cannot be used."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pllava_cli.errors import CheckpointError
from pllava_cli.model.tokenizer import Tokenizer
from pllava_cli.prompts import VIDEO_PLACEHOLDER
from tests.parity import RECORDED, SMALL_GRID, facts, needs_recordings


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer(SMALL_GRID, VIDEO_PLACEHOLDER)


def byte_ids(tokenizer: Tokenizer, data: bytes) -> list[int]:
    ids = [tokenizer.id_of(f"<0x{byte:02X}>") for byte in data]
    assert None not in ids
    return [i for i in ids if i is not None]


def streamed(tokenizer: Tokenizer, ids: list[int]) -> list[str]:
    stream = tokenizer.stream()
    return [*(stream.feed(i) for i in ids), stream.rest()]


@needs_recordings
@pytest.mark.shared
def test_every_recorded_text_has_its_recorded_ids() -> None:
    folder = RECORDED / "tokenizer_llama_class"
    tokenizer, told = Tokenizer(folder, VIDEO_PLACEHOLDER), facts(folder / "expected.json")
    assert tokenizer.placeholder_id == told["image_token_id"]
    assert len(told["rows"]) == 39
    for row in told["rows"]:
        assert tokenizer.encode(row["text"]) == row["input_ids"], row["text"]
        assert "".join(streamed(tokenizer, row["input_ids"])) == tokenizer.decode(row["input_ids"])


class TestEncoding:
    def test_placeholder_is_one_token_and_cuts_the_text(self, tokenizer: Tokenizer) -> None:
        ids = tokenizer.encode("the <image>\n video")
        assert ids.count(tokenizer.placeholder_id) == 1
        before = ids[: ids.index(tokenizer.placeholder_id)]
        assert tokenizer.encode("the <image> quite other")[: len(before)] == before

    def test_start_of_text_is_added_once(self, tokenizer: Tokenizer) -> None:
        assert tokenizer.encode("")[:1] == tokenizer.encode("video")[:1] == [1]
        assert tokenizer.encode("video").count(1) == 1

    @pytest.mark.parametrize("text", ["a video", "  two  spaces", "tabs\tand\nlines\n\n", "café ☃ 😀", "x"])
    def test_ordinary_text_comes_back(self, text: str, tokenizer: Tokenizer) -> None:
        assert tokenizer.decode(tokenizer.encode(text)) == text

    def test_special_tokens_are_not_shown(self, tokenizer: Tokenizer) -> None:
        assert tokenizer.decode(tokenizer.encode("a</s>b<image>c")) == "a b c"

    def test_unknown_names_have_no_id(self, tokenizer: Tokenizer) -> None:
        assert tokenizer.id_of("<|im_end|>") is None
        assert tokenizer.id_of("</s>") == 2


class TestStreaming:
    @pytest.mark.parametrize("text", ["one é two", "☃", "😀😀 and 日本語", "é", "a\n\nb  c ", "flag 🇨🇭."])
    def test_characters_of_several_bytes_come_whole(self, text: str, tokenizer: Tokenizer) -> None:
        pieces = streamed(tokenizer, tokenizer.encode(text))
        assert "".join(pieces) == text
        assert not any("\ufffd" in piece for piece in pieces)
        assert len([piece for piece in pieces if piece]) >= 1

    def test_ordinary_words_are_not_held_back(self, tokenizer: Tokenizer) -> None:
        ids = tokenizer.encode("a video and")
        assert all(streamed(tokenizer, ids)[1:-1])

    def test_character_is_held_until_its_last_byte(self, tokenizer: Tokenizer) -> None:
        (letter,) = tokenizer.encode("x")[-1:]
        ids = [letter, *byte_ids(tokenizer, "😀".encode()), letter]
        assert streamed(tokenizer, ids) == ["x", "", "", "", "", "😀x", ""]

    @pytest.mark.parametrize(
        "data",
        [
            b"\x80",
            b"\xf0\x9f\x98",
            b"\xc3\xa9\x80",
            b"\xc3\xa9\xf0",
            b"\xff\xfe\xfd",
            b"\xed\xa0\x80",
            b"ab\xc3",
        ],
        ids=repr,
    )
    @pytest.mark.parametrize("followed", [False, True])
    def test_bytes_that_are_no_character(self, data: bytes, followed: bool, tokenizer: Tokenizer) -> None:
        (letter,) = tokenizer.encode("x")[-1:]
        ids = [letter, *byte_ids(tokenizer, data), *([letter] if followed else [])]
        pieces = streamed(tokenizer, ids)
        assert "".join(pieces) == tokenizer.decode(ids)
        assert pieces[0] == "x"
        assert "\ufffd" in "".join(pieces)

    def test_any_ids_at_all_stream_to_what_they_decode_to(self, tokenizer: Tokenizer) -> None:
        draw = random.Random(5)
        for _ in range(300):
            # Bytes are most of the draw; 402..447 are rows of the embedding that no token has.
            ids = [
                draw.choice((draw.randrange(3, 259), draw.randrange(448))) for _ in range(draw.randrange(40))
            ]
            assert "".join(streamed(tokenizer, ids)) == tokenizer.decode(ids), ids

    def test_streams_do_not_share_anything(self, tokenizer: Tokenizer) -> None:
        ids = tokenizer.encode("a video and é")
        one, two = tokenizer.stream(), tokenizer.stream()
        interleaved = [(one.feed(i), two.feed(i)) for i in ids]
        assert all(a == b for a, b in interleaved)
        assert one.rest() == two.rest()


class TestFiles:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        (tmp_path / "tokenizer.json").write_bytes((SMALL_GRID / "tokenizer.json").read_bytes())
        return tmp_path

    def test_missing(self, tmp_path: Path) -> None:
        with pytest.raises(CheckpointError, match=r"has no tokenizer\.json"):
            Tokenizer(tmp_path, VIDEO_PLACEHOLDER)

    @pytest.mark.parametrize(
        "damage",
        [
            lambda text: "",
            lambda text: text[: len(text) // 2],
            lambda text: "{}",
            lambda text: "[1, 2]",
            lambda text: text.replace('"BPE"', '"Bytes"'),
            lambda text: "\x00\xff",
        ],
        ids=["empty", "cut short", "no object", "a list", "unknown model", "binary"],
    )
    def test_damaged(self, damage: Callable[[str], str], folder: Path) -> None:
        file = folder / "tokenizer.json"
        file.write_text(damage(file.read_text(encoding="utf-8")), encoding="latin-1", errors="replace")
        with pytest.raises(CheckpointError, match=r"tokenizer\.json cannot be read") as caught:
            Tokenizer(folder, VIDEO_PLACEHOLDER)
        assert "\n" not in caught.value.message
        assert caught.value.hint

    def test_of_a_language_model_alone(self, folder: Path) -> None:
        with pytest.raises(CheckpointError, match="does not know <video>"):
            Tokenizer(folder, "<video>")

    def test_padding_and_truncation_stored_in_the_file_are_ignored(self, folder: Path) -> None:
        file = folder / "tokenizer.json"
        content = json.loads(file.read_text(encoding="utf-8"))
        content["truncation"] = {
            "direction": "Right",
            "max_length": 4,
            "strategy": "LongestFirst",
            "stride": 0,
        }
        content["padding"] = {
            "strategy": {"Fixed": 64},
            "direction": "Right",
            "pad_to_multiple_of": None,
            "pad_id": 0,
            "pad_type_id": 0,
            "pad_token": "<unk>",
        }
        file.write_text(json.dumps(content), encoding="utf-8")
        text = "a video and a video and a video"
        ids = Tokenizer(folder, VIDEO_PLACEHOLDER).encode(text)
        assert ids == Tokenizer(SMALL_GRID, VIDEO_PLACEHOLDER).encode(text)
        assert len(ids) > 4

    def test_decoder_that_fails(self, folder: Path) -> None:
        """The library panics, which Python does not take for an error."""
        file = folder / "tokenizer.json"
        content = json.loads(file.read_text(encoding="utf-8"))
        content["decoder"] = {"type": "Strip", "content": "a", "start": 3, "stop": 3}
        file.write_text(json.dumps(content), encoding="utf-8")
        tokenizer = Tokenizer(folder, VIDEO_PLACEHOLDER)
        for said in (tokenizer.decode, lambda ids: streamed(tokenizer, ids)):
            with pytest.raises(CheckpointError, match=r"tokenizer\.json makes no text of tokens"):
                said(list(range(tokenizer.size)))

    def add(self, folder: Path, content: Any) -> None:
        (folder / "added_tokens.json").write_text(json.dumps(content), encoding="utf-8")

    def test_added_tokens_join_in_the_order_of_their_ids(self, folder: Path) -> None:
        self.add(folder, {"<two>": 403, "<image>": 400, "<one>": 402})
        tokenizer = Tokenizer(folder, VIDEO_PLACEHOLDER)
        assert (tokenizer.id_of("<one>"), tokenizer.id_of("<two>")) == (402, 403)
        assert tokenizer.placeholder_id == 400
        assert tokenizer.size == 404
        assert 402 in tokenizer.encode("a <one> b")

    def test_placeholder_may_be_an_added_token(self, folder: Path) -> None:
        self.add(folder, {"<video>": 402})
        tokenizer = Tokenizer(folder, "<video>")
        assert tokenizer.placeholder_id == 402
        assert tokenizer.encode("a<video>b").count(402) == 1

    def test_added_tokens_of_another_checkpoint(self, folder: Path) -> None:
        self.add(folder, {"<one>": 7000})
        with pytest.raises(CheckpointError, match="gives <one> the id 7000, the tokenizer 402"):
            Tokenizer(folder, VIDEO_PLACEHOLDER)

    def test_many_added_tokens_take_no_longer_than_they_must(self, folder: Path) -> None:
        """One by one these took a minute, and twice as many four times as long."""
        self.add(folder, {f"<{number}>": number for number in range(402, 10_402)})
        assert Tokenizer(folder, VIDEO_PLACEHOLDER).size == 10_402

    @pytest.mark.parametrize(
        "content",
        [
            ["<one>"],
            {"<one>": "402"},
            {"<one>": 402, "<two>": None},
            {"<one>": [402]},
            {"<one>": 10**400},
            {"": 402},
            {"\ud800": 402},
            3,
        ],
        ids=repr,
    )
    def test_damaged_added_tokens(self, content: Any, folder: Path) -> None:
        self.add(folder, content)
        with pytest.raises(CheckpointError, match=r"added_tokens\.json") as caught:
            Tokenizer(folder, VIDEO_PLACEHOLDER)
        assert "\n" not in caught.value.message
        assert "instance" not in caught.value.message and "attribute" not in caught.value.message
