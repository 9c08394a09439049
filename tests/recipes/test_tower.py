"""What a patch is said to show is what the scene has there, and what the picture shows."""

import math

import numpy as np
import pytest

from pllava_cli.shapes.render import COLOURS_RGB
from pllava_cli.shapes.scene import BACKGROUNDS, COLOURS, SHAPES, SYMMETRY, Action, Scene, State, Thing
from recipes.tiny.sizes import TOWER
from recipes.tiny.tower import GRID, NUMBERS, still, truth
from tests.shapes.scenes import scene

TIMES = (0.0, 0.25, 0.5, 1.0)
PATCH = 1 / GRID


def seen(what: Scene, time: float) -> list[tuple[Thing, State]]:
    states = [(thing, thing.at(time)) for thing in what.things]
    return [(thing, state) for thing, state in states if state.visible]


def collides(what: Scene) -> bool:
    """Whether things touch, so that the patch under one's middle may be nearer to the other's."""
    return any(action.kind == "collide" for thing in what.things for action in thing.actions)


@pytest.mark.parametrize("time", TIMES)
def test_the_patch_under_a_thing_says_what_it_is_and_where(time: float) -> None:
    looked_at = 0
    for what in filter(lambda each: not collides(each), map(scene, range(60))):
        classes, numbers = truth(what, time)
        for thing, state in seen(what, time):
            row, column = int(state.y * GRID), int(state.x * GRID)
            colour, shape, background = classes[row, column]
            assert COLOURS[colour - 1] == state.colour
            assert SHAPES[shape - 1] == thing.shape
            assert BACKGROUNDS[background] == what.background_at(time)
            dx, dy, x, y, size, cos, sin, there = numbers[row, column]
            assert ((x + 1) / 2, (y + 1) / 2) == pytest.approx((state.x, state.y), abs=1e-6)
            assert (column + 0.5 + 2 * dx) * PATCH == pytest.approx(state.x, abs=1e-6)
            assert (row + 0.5 + 2 * dy) * PATCH == pytest.approx(state.y, abs=1e-6)
            assert 0.12 * math.exp(size / 2) == pytest.approx(state.radius, rel=1e-5)
            assert there == 1
            if repeats := SYMMETRY[thing.shape]:
                turn = (math.atan2(sin, cos) - repeats * state.angle) / math.tau
                assert turn == pytest.approx(round(turn), abs=1e-5)
            else:
                assert (cos, sin) == (0, 0)
            looked_at += 1
    assert looked_at > 80


@pytest.mark.parametrize("time", TIMES)
def test_a_patch_that_no_thing_reaches_has_nothing_but_background(time: float) -> None:
    middles = (np.arange(GRID) + 0.5) * PATCH
    for what in map(scene, range(60)):
        classes, numbers = truth(what, time)
        far = np.ones((GRID, GRID), bool)
        for _, state in seen(what, time):
            distance = np.hypot(middles[None, :] - state.x, middles[:, None] - state.y)
            far &= distance > state.radius + PATCH / 2
        assert far.any()
        assert not classes[far, :2].any()
        assert not numbers[far].any()
        assert (classes[..., 2] == BACKGROUNDS.index(what.background_at(time))).all()


def test_what_has_gone_is_nowhere_and_what_was_recoloured_is_new() -> None:
    gone = Thing("red", "star", "large", 0.25, 0.25, 0.16, 0.0, (Action("disappear", 0.0, 0.5),))
    new = Thing(
        "blue", "ring", "small", 0.75, 0.75, 0.09, 0.0, (Action("recolour", 0.4, 0.5, colour="pink"),)
    )
    what = Scene((gone, new), "black", "navy", 0.5)
    before, _ = truth(what, 0.2)
    after, numbers = truth(what, 0.9)
    assert set(before[..., 1].flat) == {0, 1 + SHAPES.index("star"), 1 + SHAPES.index("ring")}
    assert set(after[..., 1].flat) == {0, 1 + SHAPES.index("ring")}
    assert set(after[..., 0].flat) == {0, 1 + COLOURS.index("pink")}
    assert set(before[..., 2].flat) == {BACKGROUNDS.index("black")}
    assert set(after[..., 2].flat) == {BACKGROUNDS.index("navy")}
    assert numbers.shape == (GRID, GRID, NUMBERS)


def test_where_two_touch_each_has_the_patches_nearer_to_it() -> None:
    left = Thing("red", "circle", "large", 0.4, 0.5, 0.16, 0.0)
    right = Thing("green", "square", "large", 0.6, 0.5, 0.16, 0.0)
    classes, _ = truth(Scene((left, right), "white"), 0.0)
    row = classes[GRID // 2, :, 0]
    assert set(row[: GRID // 2]) == {0, 1 + COLOURS.index("red")}
    assert set(row[GRID // 2 :]) == {0, 1 + COLOURS.index("green")}


def test_the_picture_has_the_named_colour_where_the_truth_says_so() -> None:
    palette = np.array([COLOURS_RGB[name] for name in COLOURS])
    side, looked_at = TOWER.image_size, 0
    for seed in range(30):
        what, time, picture = still(seed)
        assert picture.shape == (side, side, 3)
        for thing, state in seen(what, time):
            if thing.shape == "ring":
                continue  # has nothing in its middle
            row, column = int(state.y * side), int(state.x * side)
            colour = picture[row - 1 : row + 2, column - 1 : column + 2].mean((0, 1))
            assert COLOURS[np.linalg.norm(palette - colour, axis=1).argmin()] == state.colour, (seed, thing)
            looked_at += 1
    assert looked_at > 30


def test_a_seed_gives_the_same_still() -> None:
    one, other = still(5), still(5)
    assert one[:2] == other[:2]
    assert np.array_equal(one[2], other[2])
    assert one[1] != still(6)[1]
