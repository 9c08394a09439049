"""The tokenizer: Llama's special tokens, words of the world whole, and no text that it refuses."""

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from pllava_cli.model.tokenizer import Tokenizer as CheckpointTokenizer
from pllava_cli.shapes.scene import COLOURS, SHAPES
from recipes.tiny import tokens
from recipes.tiny.tokens import BOS, EOS, IMAGE, PAD, id_of, special_ids


def test_special_tokens_have_llamas_ids(tokenizer: Tokenizer) -> None:
    assert [tokenizer.id_to_token(number) for number in range(3)] == ["<unk>", BOS, EOS]
    assert tokenizer.token_to_id("<0x00>") == 3
    size = tokenizer.get_vocab_size()
    assert (id_of(tokenizer, IMAGE), id_of(tokenizer, PAD)) == (size - 2, size - 1)
    assert special_ids(tokenizer) == {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": size - 1}
    assert size <= 1000
    with pytest.raises(ValueError, match="no token <video>"):
        id_of(tokenizer, "<video>")


def test_special_tokens_are_found_within_text_and_left_out_of_answers(tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode(f"USER: {IMAGE}\n Red.{EOS}").ids
    assert ids[0] == id_of(tokenizer, BOS)
    assert ids.count(id_of(tokenizer, IMAGE)) == 1
    assert ids[-1] == id_of(tokenizer, EOS)
    assert not any(name in tokenizer.decode(ids) for name in (BOS, EOS, IMAGE))


@pytest.mark.parametrize("word", [*COLOURS, *SHAPES, "background", "left"])
def test_a_word_of_the_world_is_one_token(tokenizer: Tokenizer, word: str) -> None:
    assert len(tokenizer.encode(f"A {word}", add_special_tokens=False).ids) == 2


@pytest.mark.parametrize(
    "text",
    [
        "A small red circle moves to the left.",
        "Best option:(A) The red ring.",
        "xylophones qu1ckly ZEBRA_42 @#$%^&*",
        "Füße, naïve, Ελλάδα, 日本語, 🎬",
        "One line.\nAnother.\n\n\tA third.\r\n",
        "two  spaces,   three",
        " a space before and behind ",
        "",
        "\0\x7f",
        "▁",
    ],
)
def test_text_comes_back_as_it_was(tokenizer: Tokenizer, text: str) -> None:
    ids = tokenizer.encode(text).ids
    assert tokenizer.token_to_id("<unk>") not in ids
    expected = text.replace("▁", " ")  # the sign for a space is one, as in Llama's own
    assert tokenizer.decode(ids) == expected


def test_it_is_the_same_when_saved_and_read_by_the_tool(tokenizer: Tokenizer, tmp_path: Path) -> None:
    tokens.save(tokenizer, tmp_path)
    read = CheckpointTokenizer(tmp_path, IMAGE)
    text = f"USER: {IMAGE}\nWhat? Ü ASSISTANT:A red ring.{EOS}"
    assert read.encode(text) == tokenizer.encode(text).ids
    assert read.placeholder_id == id_of(tokenizer, IMAGE)
    stored = json.loads((tmp_path / "tokenizer.json").read_text(encoding="utf-8"))
    assert {each["content"] for each in stored["added_tokens"]} == {"<unk>", BOS, EOS, IMAGE, PAD}
