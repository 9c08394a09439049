"""Captions: whatever is told can be read back, in every wording."""

from collections import Counter
from random import Random

import pytest

from pllava_cli.shapes.captions import TOGETHER, VERBS, Facts, facts, read, tell
from pllava_cli.shapes.scene import Action, Scene, Thing
from tests.shapes.scenes import scene as cast


def test_what_is_told_is_read_back() -> None:
    for seed in range(500):
        scene = cast(seed)
        caption = tell(scene, Random(seed))
        assert read(caption) == facts(scene), caption


def test_every_wording_is_used_and_read_back() -> None:
    scenes = [cast(seed) for seed in range(60)]
    captions = [tell(scene, Random(f"{seed}")) for seed, scene in enumerate(scenes * 5)]
    assert all(read(caption) == facts(scene) for caption, scene in zip(captions, scenes * 5, strict=True))
    text = " ".join(captions)
    for wordings in (*VERBS.values(), *TOGETHER.values()):
        for wording in wordings:
            assert wording.replace(" {}", "") in text


def test_the_same_generator_tells_the_same() -> None:
    assert tell(cast(3), Random(1)) == tell(cast(3), Random(1))
    assert len({tell(cast(3), Random(seed)) for seed in range(20)}) > 1


def test_sentences_are_well_formed() -> None:
    for seed in range(300):
        caption = tell(cast(seed), Random(seed))
        assert "background, first" not in caption and "  " not in caption and "{" not in caption
        for sentence in caption.removesuffix(".").split(". "):
            assert sentence[0].isupper()


def a_scene(*things: Thing, staged: bool = False) -> Scene:
    return Scene(things, "white", staged=staged)


RED = Thing("red", "circle", "small", 0.2, 0.5, 0.1, 0.0, (Action("move", direction="left", distance=0.3),))
BLUE = Thing("blue", "star", "large", 0.7, 0.5, 0.16, 0.0, (Action("blink", gone=(0.3, 0.6)),))


def test_facts_of_a_scene() -> None:
    assert facts(a_scene(RED, BLUE)) == Facts(
        (
            ("large", "blue", "star", (("blink", "2"),)),
            ("small", "red", "circle", (("move", "left"),)),
        ),
        ("white",),
    )


def test_things_are_told_from_left_to_right() -> None:
    caption = tell(a_scene(BLUE, RED), Random(0))
    assert caption.index("red circle") < caption.index("blue star")


def test_first_and_then_are_said_only_where_two_things_happen() -> None:
    for seed in (279, 847, 1306):  # staged, but only one thing does anything
        assert "First" not in tell(cast(seed), Random(seed))


def test_a_wrong_caption_differs_in_what_is_wrong() -> None:
    said = "On a white background, a small red circle moves right. A large blue star blinks twice."
    right, wrong = facts(a_scene(RED, BLUE)), read(said)
    differing = Counter(wrong.things) - Counter(right.things)
    assert list(differing) == [("small", "red", "circle", (("move", "right"),))]
    assert wrong.background == right.background


@pytest.mark.parametrize(
    "text",
    ["", "....", "a a a", "A small red", "On a background, background is", "{}{", "blinks moves \x00" * 50],
)
def test_any_text_can_be_read(text: str) -> None:
    assert read(text) == Facts((), ())


def test_a_thing_without_anything_told_of_it() -> None:
    assert read("There is a small red circle.").things == (("small", "red", "circle", ()),)
