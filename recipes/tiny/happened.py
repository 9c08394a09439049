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

from pllava_cli.shapes.scene import COLOURS, SYMMETRY, Scene, State, Thing
from recipes.tiny.sizes import POOLING_SHAPE

ROWS, COLUMNS = POOLING_SHAPE[1:]
MEASURED, COUNTED, FLAGS = slice(0, 5), 5, slice(6, 12)
"""Told of each thing: its way since it was first seen, x, y, how it grew, as a logarithm, and where it was
first seen, x, y; how often it was gone; and whether it appeared, was recoloured, has turned, swapped,
collided, and whether the background has changed."""
NUMBERS = FLAGS.stop
LATE = 0.6
"""The share of a swap or a collision after which it can be told from a move."""


@dataclass(frozen=True)
class Happened:
    """Truth of the cells [moments, rows, columns]."""

    colour: NDArray[np.int64]
    """The colour that the cell's thing was first seen in, from 0 on; -1 where there is no thing."""
    numbers: NDArray[np.float32]
    """[..., NUMBERS], all 0 where there is no thing."""


def happened(scene: Scene, times: Sequence[float]) -> Happened:
    """What the things of a scene have done by each of some moments in order."""
    colour = np.full((len(times), ROWS, COLUMNS), -1, np.int64)
    numbers = np.zeros((len(times), ROWS, COLUMNS, NUMBERS), np.float32)
    nearest = np.full(colour.shape, np.inf)
    xs, ys = ((np.arange(cells) + 0.5) / cells for cells in (COLUMNS, ROWS))
    for thing in scene.things:
        states = [thing.at(time) for time in times]
        for moment, state in enumerate(states):
            if not state.visible:
                continue
            distance = np.hypot(state.x - xs[None, :], state.y - ys[:, None])
            here = (distance < max(state.radius, distance.min() + 1e-9)) & (distance < nearest[moment])
            nearest[moment][here] = distance[here]
            so_far = states[: moment + 1]
            start = next(each for each in so_far if each.visible)
            colour[moment][here] = COLOURS.index(start.colour)
            changed = scene.background_at(times[moment]) != scene.background_at(times[0])
            numbers[moment][here] = (*_done(thing, so_far, start, times[moment]), float(changed))
    return Happened(colour, numbers)


def _done(thing: Thing, states: Sequence[State], start: State, time: float) -> tuple[float, ...]:
    now = states[-1]
    went = sum(before.visible and not after.visible for before, after in pairwise(states))
    turned = SYMMETRY[thing.shape] and abs(now.angle - states[0].angle) > 0.1
    both = {
        action.kind for action in thing.actions if time > action.start + LATE * (action.end - action.start)
    }
    return (
        (now.x - start.x) * 3,
        (now.y - start.y) * 3,
        math.log(now.radius / start.radius) * 2,
        start.x * 2 - 1,
        start.y * 2 - 1,
        float(went),
        float(not states[0].visible),
        float(now.colour != start.colour),
        float(bool(turned)),
        float("swap" in both),
        float("collide" in both),
    )
