"""What has happened so far to what stands in each cell of the pooled grid: exact truth, moment by moment.

Captions name one word for what a thing does over a whole clip. A small language model finds what that
word depends on far sooner when every visual token is also to tell what its own thing has done by then.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pllava_cli.shapes.scene import BLINK, COLOURS, SHAPES, SYMMETRY, Action, Scene, State, Thing
from recipes.tiny.sizes import POOLING_SHAPE

ROWS, COLUMNS = POOLING_SHAPE[1:]
MEASURED, COUNTED, FLAGS = slice(0, 6), 6, slice(7, 13)
"""Told of each thing: its way since it was first seen, x, y, how it grew, as a logarithm, where it was first
seen, x, y, and when its latest action was first to be seen; how often it was gone; and whether it appeared,
was recoloured, has turned, swapped, collided, and whether the background has changed."""
NUMBERS = FLAGS.stop
LATE = 0.6
"""The share of a swap or a collision after which it can be told from a move."""
DOINGS = ("", "move", "grow", "shrink", "spin", "blink", "appear", "recolour", "swap", "collide")
"""What a thing that is there may have begun to do; first nothing."""


@dataclass(frozen=True)
class Happened:
    """Truth of the cells [moments, rows, columns]."""

    colour: NDArray[np.int64]
    """The colour that the cell's thing was first seen in, from 0 on; -1 where there is no thing."""
    shape: NDArray[np.int64]
    """The shape of the cell's thing, from 0 on; -1 where there is no thing."""
    numbers: NDArray[np.float32]
    """[..., NUMBERS], all 0 where there is no thing."""
    doings: NDArray[np.int64]
    """[..., 2]: the latest action that its thing has begun, and the one before that, of `DOINGS`."""
    gone: NDArray[np.int64]
    """The colour, from 1 on, of the thing that was last seen here and is nowhere now; 0 if none was, and -1
    where there is a thing."""


def happened(scene: Scene, times: Sequence[float]) -> Happened:
    """What the things of a scene have done by each of some moments in order."""
    colour = np.full((len(times), ROWS, COLUMNS), -1, np.int64)
    shape = colour.copy()
    numbers = np.zeros((*colour.shape, NUMBERS), np.float32)
    doings, gone = np.zeros((*colour.shape, 2), np.int64), np.zeros_like(colour)
    nearest = np.full(colour.shape, np.inf)
    for thing in scene.things:
        states = [thing.at(time) for time in times]
        for moment, state in enumerate(states):
            so_far = states[: moment + 1]
            start = next((each for each in so_far if each.visible), None)
            if start is None:
                continue
            if not state.visible:
                last = next(each for each in reversed(so_far) if each.visible)
                gone[moment][_distance(last) < _reach(last)] = 1 + COLOURS.index(last.colour)
                continue
            distance = _distance(state)
            here = (distance < _reach(state)) & (distance < nearest[moment])
            nearest[moment][here] = distance[here]
            begun = [_seen_since(action, times[: moment + 1]) for action in thing.actions]
            since = [each for each in begun if each is not None]
            colour[moment][here] = COLOURS.index(start.colour)
            shape[moment][here] = SHAPES.index(thing.shape)
            doings[moment][here] = _latest(thing, len(since))
            changed = scene.background_at(times[moment]) != scene.background_at(times[0])
            done = _done(thing, so_far, start, max(since, default=0.0))
            numbers[moment][here] = (*done, *_together(thing, times[moment]), float(changed))
    gone[colour >= 0] = -1
    return Happened(colour, shape, numbers, doings, gone)


def _distance(state: State) -> NDArray[np.float64]:
    """Of the middle of every cell from a thing's."""
    xs, ys = ((np.arange(cells) + 0.5) / cells for cells in (COLUMNS, ROWS))
    return np.hypot(state.x - xs[None, :], state.y - ys[:, None])


def _reach(state: State) -> float:
    """How far from its middle cells are a thing's; at least one always is."""
    return max(state.radius, float(_distance(state).min()) + 1e-9)


def _seen_since(action: Action, times: Sequence[float]) -> float | None:
    """The first of the moments at which it can be seen that an action has begun; None if there is none."""
    return next((time for time in times if _has_begun(action, time)), None)


def _has_begun(action: Action, time: float) -> bool:
    done = min(max((time - action.start) / (action.end - action.start), 0.0), 1.0)
    match action.kind:
        case "move":
            return done * action.distance > 0.04
        case "grow" | "shrink":
            return done > 0.15
        case "spin":
            return abs(action.turn) * done > 0.15
        case "blink":
            return time > action.gone[0] + BLINK / 2
        case "swap" | "collide":
            return done > LATE
        case "appear" | "recolour":
            return time >= action.start
    return False


def _latest(thing: Thing, begun: int) -> tuple[int, int]:
    """What `doings` tells once a thing has begun so many of its actions, which come one after the other."""
    kinds = ["", "", *(action.kind for action in thing.actions[:begun])]
    return DOINGS.index(kinds[-1]), DOINGS.index(kinds[-2])


def _done(thing: Thing, states: Sequence[State], start: State, since: float) -> tuple[float, ...]:
    now = states[-1]
    went = sum(before.visible and not after.visible for before, after in pairwise(states))
    turned = SYMMETRY[thing.shape] and abs(now.angle - states[0].angle) > 0.1
    return (
        (now.x - start.x) * 3,
        (now.y - start.y) * 3,
        math.log(now.radius / start.radius) * 2,
        start.x * 2 - 1,
        start.y * 2 - 1,
        since,
        float(went),
        float(not states[0].visible),
        float(now.colour != start.colour),
        float(bool(turned)),
    )


def _together(thing: Thing, time: float) -> tuple[float, float]:
    """Whether a thing has swapped places, and whether it has collided."""
    kinds = {
        action.kind for action in thing.actions if action.partner is not None and _has_begun(action, time)
    }
    return float("swap" in kinds), float("collide" in kinds)
