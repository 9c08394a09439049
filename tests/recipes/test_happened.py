"""What every cell is told to have happened is what its thing did, and nothing before it did it."""

import numpy as np
import pytest

from pllava_cli.shapes.casting import SAMPLED
from pllava_cli.shapes.scene import COLOURS, SHAPES, STILL, Action, Scene, Thing
from recipes.tiny.happened import COLUMNS, COUNTED, DOINGS, FLAGS, MEASURED, ROWS, Happened, happened

WAY_X, WAY_Y, GROWN, START_X, START_Y, SINCE = range(MEASURED.stop)
WENT = COUNTED
APPEARED, RECOLOURED, TURNED, SWAPPED, COLLIDED, BACKGROUND = range(FLAGS.start, FLAGS.stop)


def thing(*actions: Action, x: float = 0.375, y: float = 0.375) -> Thing:
    return Thing("red", "square", "small", x, y, 0.09, 0.0, actions or (STILL,))


def alone(one: Thing) -> Happened:
    return happened(Scene((one,), "black"), SAMPLED)


def of(one: Thing, **rest: object) -> np.ndarray:
    """The numbers of the cell that a thing is in, [moments, NUMBERS]; of none where it is nowhere."""
    told = happened(Scene((one,), "black", **rest), SAMPLED)  # type: ignore[arg-type]
    rows = []
    for moment, time in enumerate(SAMPLED):
        state = one.at(time)
        row, column = int(state.y * ROWS), int(state.x * COLUMNS)
        assert (told.colour[moment, row, column] >= 0) == state.visible
        rows.append(told.numbers[moment, row, column])
    return np.stack(rows)


def test_of_what_stays_still_nothing_has_happened() -> None:
    told = of(thing())
    assert told[0, [START_X, START_Y]] == pytest.approx([-0.25, -0.25])
    assert not np.delete(told, [START_X, START_Y], axis=1).any()


def test_a_way_grows_in_its_direction() -> None:
    way = of(thing(Action("move", 0.0, 1.0, "right", 0.4)))
    assert way[0, WAY_X] == 0
    assert (np.diff(way[:, WAY_X]) > 0).all()
    assert not way[:, WAY_Y].any()


@pytest.mark.parametrize(
    ("action", "number", "seen"),
    [
        (Action("appear", 0.5, 1.0), APPEARED, [1, 1, 1, 1]),
        (Action("recolour", 0.5, 0.52, colour="blue"), RECOLOURED, [0, 0, 0, 0, 1, 1, 1, 1]),
        (Action("spin", turn=6.0), TURNED, [0, 1, 1, 1, 1, 1, 1, 1]),
        (Action("swap", partner=0, to=(0.7, 0.7)), SWAPPED, [0, 0, 0, 0, 0, 1, 1, 1]),
        (Action("collide", partner=0, to=(0.7, 0.7)), COLLIDED, [0, 0, 0, 0, 0, 1, 1, 1]),
    ],
)
def test_what_happened_is_told_from_then_on(action: Action, number: int, seen: list[int]) -> None:
    doing = thing(action)
    told = of(doing)[:, number]
    visible = [doing.at(time).visible for time in SAMPLED]
    assert told[visible].tolist() == seen


def test_times_gone_are_counted_where_it_is_back() -> None:
    told = happened(Scene((thing(Action("blink", gone=(SAMPLED[2], SAMPLED[5]))),), "black"), SAMPLED)
    assert told.numbers[:, 1, 1, WENT].tolist() == [0, 0, 0, 1, 1, 0, 2, 2]  # 0 where it is not


def test_growth_is_told_by_its_logarithm() -> None:
    grown = of(thing(Action("grow", 0.0, 1.0, factor=2.0)))[:, GROWN]
    assert grown[0] == 0
    assert (np.diff(grown) > 0).all()


def test_the_colour_is_the_one_it_was_first_seen_in() -> None:
    told = happened(Scene((thing(Action("recolour", 0.5, 0.52, colour="blue")),), "black"), SAMPLED)
    assert set(told.colour[:, 1, 1].tolist()) == {COLOURS.index("red")}


def test_a_change_of_background_is_told_where_there_is_a_thing() -> None:
    changed = of(thing(), background_later="white", change_at=0.5)[:, BACKGROUND]
    assert changed.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]


def test_the_nearest_of_two_things_is_the_cells() -> None:
    one, other = thing(x=0.45), Thing("blue", "ring", "small", 0.75, 0.375, 0.09, 0.0)
    told = happened(Scene((one, other), "black"), SAMPLED)
    assert [told.colour[0, 1, column] for column in range(COLUMNS)] == [
        -1,
        COLOURS.index("red"),
        COLOURS.index("blue"),
        COLOURS.index("blue"),
    ]


@pytest.mark.parametrize(
    ("action", "first"),
    [
        (Action("move", 0.0, 1.0, "right", 0.4), 1),
        (Action("grow", 0.25, 1.0, factor=2.0), 3),
        (Action("spin", turn=6.0), 0),
        (Action("blink", gone=(SAMPLED[2],)), 3),
        (Action("appear", 0.5), 4),
        (Action("recolour", 0.5, 0.52, colour="blue"), 4),
        (Action("swap", partner=0, to=(0.45, 0.45)), 5),
    ],
)
def test_what_a_thing_does_is_told_from_when_it_can_be_seen(action: Action, first: int) -> None:
    doing = thing(action)
    told = alone(doing)
    states = [(doing.at(time), moment) for moment, time in enumerate(SAMPLED) if doing.at(time).visible]
    cells = [(moment, int(state.y * ROWS), int(state.x * COLUMNS)) for state, moment in states]
    kinds = [DOINGS[told.doings[cell][0]] for cell in cells]
    assert kinds == [action.kind if moment >= first else "" for _, moment in states]
    assert [told.numbers[cell][SINCE] for cell in cells] == [
        pytest.approx(SAMPLED[first] if moment >= first else 0) for _, moment in states
    ]


def test_of_two_actions_in_turn_both_are_told() -> None:
    one, other = Action("grow", 0.05, 0.45, factor=2.0), Action("recolour", 0.7, 0.72, colour="blue")
    told = alone(thing(one, other)).doings[:, 1, 1]
    assert [tuple(DOINGS[kind] for kind in kinds) for kinds in told[[0, 1, 4, 6]]] == [
        ("", ""),
        ("grow", ""),
        ("grow", ""),
        ("recolour", "grow"),
    ]


def test_where_a_thing_is_gone_its_colour_is_told() -> None:
    told = alone(thing(Action("disappear", 0.0, 0.5)))
    red = 1 + COLOURS.index("red")
    assert told.gone[:, 1, 1].tolist() == [-1, -1, -1, -1, red, red, red, red]
    assert not told.gone[:, 3, 3].any()


def test_what_is_yet_to_appear_is_not_gone() -> None:
    assert alone(thing(Action("appear", 0.5))).gone[:, 1, 1].tolist() == [0, 0, 0, 0, -1, -1, -1, -1]


def test_the_shape_is_told_where_there_is_a_thing() -> None:
    told = alone(thing())
    assert ((told.shape >= 0) == (told.colour >= 0)).all()
    assert set(told.shape[told.shape >= 0].tolist()) == {SHAPES.index("square")}
