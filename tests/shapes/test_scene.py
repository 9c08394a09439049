"""Scenes: repeatable, within the picture, nothing on top of anything else, and all kinds of things happen."""

import itertools
import math
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from pllava_cli.shapes.casting import EDGE, GAP, RADII, cast
from pllava_cli.shapes.scene import COLOURS, DIRECTIONS, SHAPES, Action, Scene, Thing

SEEDS = range(300)
MOMENTS = [index / 60 for index in range(61)]


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [cast(seed) for seed in SEEDS]


def test_a_seed_gives_one_scene(scenes: list[Scene]) -> None:
    assert [cast(seed) for seed in SEEDS[:50]] == scenes[:50]
    assert len(set(scenes)) == len(scenes)


def test_a_seed_gives_the_same_scene_in_another_process(scenes: list[Scene]) -> None:
    script = "from pllava_cli.shapes.casting import cast; print([cast(seed) for seed in range(10)])"
    for hashing in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", script],
            env={"PYTHONHASHSEED": hashing},
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == str(scenes[:10])


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_as_many_things_as_asked(count: int) -> None:
    assert all(len(cast(seed, count).things) == count for seed in range(20))


def test_things_stay_inside_and_apart(scenes: list[Scene]) -> None:
    slack = 0.01  # between the moments that casting looks at
    for scene in scenes:
        for moment in MOMENTS:
            states = [thing.at(moment) for thing in scene.things]
            for index, one in enumerate(states):
                for place in (one.x, one.y):
                    assert one.radius + EDGE - slack <= place <= 1 - one.radius - EDGE + slack
                for thing, other in zip(scene.things[:index], states[:index], strict=True):
                    if not meet(scene.things[index], thing):
                        distance = math.dist((one.x, one.y), (other.x, other.y))
                        assert distance >= one.radius + other.radius + GAP - slack


def meet(one: Thing, other: Thing) -> bool:
    return one.actions[0].kind == other.actions[0].kind == "collide"


def test_things_are_told_apart_by_colour_and_shape(scenes: list[Scene]) -> None:
    for scene in scenes:
        names = [{f"{thing.at(moment).colour} {thing.shape}" for moment in MOMENTS} for thing in scene.things]
        assert sum(map(len, names)) == len(set().union(*names))


def test_sizes_differ(scenes: list[Scene]) -> None:
    things = [thing for scene in scenes for thing in scene.things]
    assert RADII["small"][1] < RADII["large"][0]
    assert all(RADII[thing.size][0] <= thing.radius <= RADII[thing.size][1] for thing in things)


def test_everything_happens(scenes: list[Scene]) -> None:
    things = [thing for scene in scenes for thing in scene.things]
    assert {thing.colour for thing in things} == set(COLOURS)
    assert {thing.shape for thing in things} == set(SHAPES)
    actions = [action for thing in things for action in thing.actions]
    kinds = Counter(action.kind for action in actions)
    assert len(kinds) == 11 and min(kinds.values()) >= 10
    assert {action.direction for action in actions if action.kind == "move"} == set(DIRECTIONS)
    assert {len(action.gone) for action in actions if action.kind == "blink"} == {1, 2, 3}
    assert 0.1 < sum(scene.background_later is not None for scene in scenes) / len(scenes) < 0.3


def test_one_thing_follows_another_where_staged(scenes: list[Scene]) -> None:
    staged = [scene for scene in scenes if scene.staged]
    assert len(staged) > 40
    for scene in staged:
        spans = sorted(
            (action.start, action.end)
            for thing in scene.things
            for action in thing.actions
            if action.kind != "still"
        )
        assert all(ends <= begins for (_, ends), (begins, _) in itertools.pairwise(spans))


def a_thing(*actions: Action) -> Thing:
    return Thing("red", "square", "small", 0.3, 0.5, 0.1, 0.0, actions)


def test_moving() -> None:
    thing = a_thing(Action("move", 0.2, 0.7, direction="upper right", distance=0.4))
    assert (thing.at(0.1).x, thing.at(0.1).y) == (0.3, 0.5)
    for moment in (0.7, 1.0):
        assert thing.at(moment).x == pytest.approx(0.3 + 0.4 * math.sqrt(0.5))
        assert thing.at(moment).y == pytest.approx(0.5 - 0.4 * math.sqrt(0.5))


def test_growing_and_turning() -> None:
    thing = a_thing(Action("grow", factor=2.0), Action("spin", turn=3.0))
    assert (thing.at(0.5).radius, thing.at(0.5).angle) == pytest.approx((0.15, 1.5))
    assert (thing.at(1.0).radius, thing.at(1.0).angle) == pytest.approx((0.2, 3.0))


def test_coming_and_going() -> None:
    blinking = a_thing(Action("blink", gone=(0.3, 0.7)))
    assert [blinking.at(moment).visible for moment in (0.2, 0.3, 0.5, 0.7, 0.8)] == [True, False] * 2 + [True]
    assert [a_thing(Action("appear", 0.4)).at(moment).visible for moment in (0.3, 0.5)] == [False, True]
    leaving = a_thing(Action("disappear", 0.0, 0.6))
    assert [leaving.at(moment).visible for moment in (0.5, 0.7)] == [True, False]


def test_swapping_ends_where_the_other_began() -> None:
    thing = a_thing(Action("swap", partner=1, to=(0.7, 0.4)))
    assert (thing.at(1).x, thing.at(1).y) == pytest.approx((0.7, 0.4))
    assert (thing.at(0).x, thing.at(0).y) == pytest.approx((0.3, 0.5))


def test_colliding_comes_back() -> None:
    thing = a_thing(Action("collide", partner=1, to=(0.6, 0.5)))
    assert (thing.at(0.5).x, thing.at(1).x) == pytest.approx((0.6, 0.3))
