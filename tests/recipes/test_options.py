"""Every option that a conversation offers is found where it ends, and every reply where it begins."""

from random import Random

import torch
from tokenizers import Tokenizer

from recipes.tiny.conversation import Row, encode
from recipes.tiny.options import Reader
from recipes.tiny.texts import Turns, about
from recipes.tiny.tokens import IMAGE, id_of
from tests.shapes.scenes import scene

ITEM = (
    "Question: Where?\nOptions:\n(A) Left.\n(B) To the right.\n(C) Up. \nOnly give the best option.",
    "Best option:(B) To the right.",
)


def encoded(tokenizer: Tokenizer, turns: Turns) -> Row:
    return encode(tokenizer, "", f"{IMAGE}\n", turns, id_of(tokenizer, IMAGE), 3)


def found(tokenizer: Tokenizer, turns: Turns) -> list[tuple[str, str, bool, str]]:
    """Letter and words of what is found, whether it is an option, and the token that it is found at."""
    row = encoded(tokenizer, turns)
    return [
        (
            tokenizer.id_to_token(each.letter),
            tokenizer.decode(each.words).strip(),
            each.is_option,
            tokenizer.id_to_token(row.ids[each.at]),
        )
        for each in Reader(tokenizer)(row)
    ]


def test_options_are_found_at_their_ends_and_replies_before_the_letter(tokenizer: Tokenizer) -> None:
    told = [
        ("A", "Left.", True, "."),
        ("B", "To the right.", True, "."),
        ("C", "Up.", True, "."),
        ("B", "To the right.", False, "("),
    ]
    assert found(tokenizer, [ITEM]) == told
    assert found(tokenizer, [("What?", "A circle."), ITEM, ITEM]) == told * 2


def test_open_questions_offer_nothing(tokenizer: Tokenizer) -> None:
    assert found(tokenizer, [("Where is the circle?", "At the left.")]) == []


def test_of_every_item_about_a_scene_one_option_says_what_the_reply_says(tokenizer: Tokenizer) -> None:
    items = 0
    for seed in range(30):
        options: dict[str, str] = {}
        for letter, words, is_option, _ in found(tokenizer, about(scene(seed), Random(seed), 3, 3)):
            if is_option:
                options[letter] = words
            else:
                assert [each for each in options if options[each] == words] == [letter]
                options, items = {}, items + 1
    assert items > 30


def test_those_of_several_conversations_are_put_together(tokenizer: Tokenizer) -> None:
    rows = [encoded(tokenizer, turns) for turns in ([ITEM], [("What?", "A circle.")], [ITEM])]
    made = Reader(tokenizer).tensors(rows)
    assert made["said_at"][:, 0].tolist() == [0] * 4 + [2] * 4
    assert made["is_option"].tolist() == [True, True, True, False] * 2
    assert made["said_words"].shape == (8, tokenizer.get_vocab_size())
    assert torch.allclose(made["said_words"].sum(1), torch.ones(8))
    assert torch.equal(made["said_words"][1], made["said_words"][3])  # what is right is what is replied


def test_conversations_without_any_give_nothing(tokenizer: Tokenizer) -> None:
    made = Reader(tokenizer).tensors([encoded(tokenizer, [("What?", "A circle.")])])
    assert made["said_at"].shape == (0, 2)
    assert made["is_option"].dtype == torch.bool
