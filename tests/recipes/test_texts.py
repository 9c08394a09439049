"""What a conversation says of a scene is so, and moments in order are told only where they tell all."""

from itertools import pairwise
from random import Random

import pytest

from pllava_cli.prompts import CAPTION, SYSTEM
from pllava_cli.shapes.captions import facts, read
from pllava_cli.shapes.questions import NUMBERS
from pllava_cli.shapes.scene import BLINK, Action, Scene, Thing, moves
from recipes.tiny.texts import (
    SHORT,
    STILL,
    about,
    about_still,
    moments,
    one_of,
    still_caption,
    storyboard,
    system,
)
from tests.shapes.scenes import scene

SEEDS = range(60)
ALL = 99
"""More than there is to ask."""
NO_ORDER = {"spin", "blink", "collide"}
"""What is the same, or can be, in four moments whether it happens or not."""


def kinds(what: Scene) -> set[str]:
    return {action.kind for thing in what.things for action in thing.actions}


def test_every_conversation_has_one_caption_and_it_is_true() -> None:
    places = set()
    for seed in SEEDS:
        turns = about(scene(seed), Random(seed), 2, 1)
        captions = [place for place, (asked, _) in enumerate(turns) if asked in (CAPTION, *SHORT)]
        assert len(captions) == 1
        assert read(turns[captions[0]][1]) == facts(scene(seed))
        assert 2 <= len(turns) <= 4
        places |= set(captions)
    assert places == {0, 1, 2, 3}


def test_answers_about_a_clip_are_those_of_the_scene() -> None:
    asked = set()
    for seed in SEEDS:
        what = scene(seed)
        answers = {"How many objects move?": f"{NUMBERS[sum(map(moves, what.things))]}."}
        answers["How many objects are there?"] = f"{NUMBERS[len(what.things)]}."
        answers["What colour is the background?"] = f"{what.background.capitalize()}."
        answers["What colour is the background at the end?"] = f"{what.background_at(1.0).capitalize()}."
        for thing in what.things:
            answers[f"Is the {thing.name} small or large?"] = f"{thing.size.capitalize()}."
            answers[f"Does the {thing.name} move?"] = "Yes." if moves(thing) else "No."
        for question, answer in about(what, Random(seed), ALL, ALL):
            if question in answers:
                assert answer == answers[question], question
                asked.add(question)
    assert len(asked) > 40


def test_a_choice_is_answered_with_the_candidate_behind_its_letter() -> None:
    found = 0
    for seed in SEEDS:
        for question, answer in about(scene(seed), Random(seed), 0, ALL):
            if question.startswith("Question: "):
                start, _, reply = answer.partition(":")
                assert start == "Best option"
                assert f"\n{reply}\n" in question.replace(" \n", "\n")
                found += 1
    assert found > 200


def test_of_multiple_choice_what_few_scenes_can_pose_is_asked_first() -> None:
    common, rare = ("Is there ", "Does "), ("In which order ", "Which object acts ")

    def share(starts: tuple[str, ...]) -> float:
        """Of the items that can be posed, those asked where there is room for two."""
        found = {ALL: 0, 2: 0}
        for seed in SEEDS:
            for number in range(10):
                for items in found:
                    turns = about(scene(seed), Random(f"{seed} {number}"), 0, items)
                    asked = [question.removeprefix("Question: ") for question, _ in turns]
                    found[items] += sum(each.startswith(starts) for each in asked)
        return found[2] / found[ALL]

    assert share(rare) > 1.2 * share(common) > 0


def test_one_of_is_a_caption_or_two_questions_or_a_choice() -> None:
    found = {"caption": 0, "questions": 0, "choice": 0}
    for seed in range(200):
        what = scene(seed % len(SEEDS))
        turns = one_of(what, Random(seed))
        asked, answer = turns[0]
        if asked in (CAPTION, *SHORT):
            assert (len(turns), read(answer)) == (1, facts(what))
            found["caption"] += 1
        elif asked.startswith("Question: "):
            assert len(turns) == 1
            assert f"\n{answer.removeprefix('Best option:')}\n" in asked.replace(" \n", "\n")
            found["choice"] += 1
        else:
            assert len({question for question, _ in turns}) == 2
            found["questions"] += 1
    assert found["caption"] > max(found["questions"], found["choice"])
    assert min(found.values()) > 20


def place(x: float, y: float) -> str:
    words = ["upper", "middle", "lower"][int(y * 3)], ["left", "middle", "right"][int(x * 3)]
    return "middle" if words == ("middle", "middle") else " ".join(words)


@pytest.mark.parametrize("time", [0.0, 0.4, 1.0])
def test_answers_about_a_still_are_those_of_its_moment(time: float) -> None:
    asked: set[str] = set()
    for seed in SEEDS:
        what = scene(seed)
        states = [(thing.shape, thing.at(time)) for thing in what.things]
        there = [(f"{state.colour} {shape}", state) for shape, state in states if state.visible]
        answers = {"How many objects are there?": f"{NUMBERS[len(there)]}."}
        answers["What colour is the background?"] = f"{what.background_at(time).capitalize()}."
        answers |= {f"Where is the {name}?": f"At the {place(state.x, state.y)}." for name, state in there}
        names = {name for name, _ in there}
        for question, answer in about_still(what, time, Random(seed), ALL):
            if question in STILL:
                assert answer == still_caption(what, time)
                assert all(f" {name} at the " in answer for name in names)
                assert answer.count(" at the ") == len(names)
            elif question.startswith("Is there a"):
                name = question.removesuffix("?").split(" ", 3)[3]
                assert answer == ("Yes." if name in names else "No.")
                asked.add(answer)
            elif question.startswith("What shape is the "):
                colour = question.split()[4]
                assert [f"A {n.split()[1]}." for n in names if n.startswith(f"{colour} ")] == [answer]
            elif question.startswith("What colour is the ") and question not in answers:
                shape = question.split()[4].removesuffix("?")
                assert [f"{n.split()[0].capitalize()}." for n in names if n.endswith(f" {shape}")] == [answer]
            elif not question.endswith("small or large?"):
                assert answer == answers[question], question
    assert asked == {"Yes.", "No."}


def test_a_storyboard_tells_four_moments_in_order_or_is_none() -> None:
    told = 0
    for seed in SEEDS:
        what = scene(seed)
        text = storyboard(what, Random(seed))
        assert (text is None) == bool(kinds(what) & NO_ORDER)
        if text is not None:
            times = moments(Random(seed))
            assert text == " ".join(f"{n}: {still_caption(what, t)}" for n, t in enumerate(times, 1))
            told += 1
    assert 10 < told < len(SEEDS) - 10


@pytest.mark.parametrize(
    "action",
    [
        Action("spin", turn=6.0),
        Action("blink", gone=(0.5,)),
        Action("collide", partner=0, to=(0.5, 0.5)),
    ],
)
def test_what_comes_back_to_where_it_was_has_no_storyboard(action: Action) -> None:
    resting = Thing("blue", "circle", "small", 0.2, 0.2, 0.09, 0.0)
    acting = Thing("red", "square", "small", 0.8, 0.8, 0.09, 0.0, (action,))
    assert storyboard(Scene((resting,), "black"), Random(0)) is not None
    assert storyboard(Scene((resting, acting), "black"), Random(0)) is None


def test_moments_are_in_order_and_apart_from_end_to_end() -> None:
    for seed in range(100):
        times = moments(Random(seed))
        assert (times[0], times[-1]) == (0.0, 1.0)
        assert all(after - before > BLINK / 2 for before, after in pairwise(times))


def test_the_system_text_is_the_tools_or_none() -> None:
    assert {system(Random(seed)) for seed in range(20)} == {SYSTEM, ""}
