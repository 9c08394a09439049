"""What is said of one text: loops and boilerplate are found, ordinary texts are left alone."""

from random import Random

import pytest

from pllava_cli.checks import text
from pllava_cli.shapes.captions import tell
from pllava_cli.shapes.casting import cast

PROSE = (
    "A man in a blue shirt stands at a kitchen counter and chops carrots with a large knife. He sweeps the"
    " pieces into a pan, stirs them with a wooden spoon, and turns the heat down. Behind him a woman opens a"
    " window. In the end he tastes the soup, nods, and ladles it into two white bowls on the table."
)


@pytest.mark.parametrize(
    "said",
    [
        "A man walks down a street. " * 3,
        "The video shows a man " * 6,
        "A red car, " * 9,
        "very " * 20,
        "一个人在街上走" * 5,
        PROSE + " " + PROSE,
        "A man is seen in a room. The man is seen walking in the room. The man is seen sitting in the room."
        " The man is seen standing in the room. The man is seen walking in the room. The man is seen sitting"
        " in the room.",
    ],
)
def test_loops(said: str) -> None:
    assert text.is_looping(text.words(said))


@pytest.mark.parametrize(
    "said",
    [
        "",
        "A bird.",
        PROSE,
        "Row, row, row your boat, gently down the stream. Merrily, merrily, merrily, merrily.",
        "A small yellow square drifts left. A small red square drifts left. A small blue ring drifts left.",
        "一个人在街上走，两只鸟飞过",
    ],
)
def test_what_is_no_loop(said: str) -> None:
    assert not text.is_looping(text.words(said))


def test_captions_of_the_built_in_world_do_not_loop() -> None:
    captions = [tell(cast(seed), Random(f"caption {seed}")) for seed in range(300)]
    shares = [text.repeated_share(text.words(caption)) for caption in captions]
    assert max(shares) < text.LOOPING_SHARE and any(shares)


def test_share_counts_what_came_before() -> None:
    assert text.repeated_share(text.words("a b c d e a b c d e")) == 0.5
    assert text.repeated_share(text.words("a b c d x a b c d y")) == 0.0
    assert text.repeated_share([]) == 0.0


@pytest.mark.parametrize(
    "said",
    [
        "The video shows a man.",
        "the video begins with a man",
        "This clip features a dog.",
        "In this video, a man walks.",
        "In the footage we see a dog",
        '"The image depicts a room."',
        "The short film opens on a beach.",
        "The images are blurry.",
    ],
)
def test_boilerplate(said: str) -> None:
    assert text.opens_with_boilerplate(said)


@pytest.mark.parametrize(
    "said",
    [
        "A man watches the video.",
        "The video game console sits on a table.",
        "The clipper cuts.",
        "In the imagery",
        "",
    ],
)
def test_what_is_no_boilerplate(said: str) -> None:
    assert not text.opens_with_boilerplate(said)


def test_words_of_any_script_and_length() -> None:
    assert text.words("Größe, 2 Vögel! it's") == ["größe", "2", "vögel", "it", "s"]
    assert text.words("犬dog犬") == ["犬", "dog", "犬"]
    assert len(text.words("word " * 100_000)) == text.MOST_WORDS
    assert text.opening(text.words("a b c d")) is None
    assert text.opening(text.words("A b c d e")) == ("a", "b", "c", "d")
