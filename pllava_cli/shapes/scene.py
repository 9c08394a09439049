"""A scene: what stands in the picture, where, and what happens to it, as a function of time.

Time runs from 0 to 1 over the clip and places from 0 to 1 over the picture, so a scene knows nothing
of frame rates and pixels. All else is computed from it.
"""

import math
from dataclasses import dataclass, replace
from typing import Literal

COLOURS = ("red", "green", "blue", "yellow", "purple", "orange", "cyan", "pink")
SHAPES = ("circle", "square", "triangle", "star", "cross", "ring")
SIZES = ("small", "large")
BACKGROUNDS = ("black", "gray", "white", "navy")
DIRECTIONS = {
    "left": (-1.0, 0.0),
    "right": (1.0, 0.0),
    "up": (0.0, -1.0),
    "down": (0.0, 1.0),
    "upper left": (-math.sqrt(0.5), -math.sqrt(0.5)),
    "upper right": (math.sqrt(0.5), -math.sqrt(0.5)),
    "lower left": (-math.sqrt(0.5), math.sqrt(0.5)),
    "lower right": (math.sqrt(0.5), math.sqrt(0.5)),
}
"""Unit vectors by name; y grows downwards, as in pictures."""

SYMMETRY = {"circle": 0, "ring": 0, "square": 4, "triangle": 3, "star": 5, "cross": 4}
"""Turns of 360/n degrees leave a shape as it is; 0: every turn does."""

Kind = Literal[
    "still", "move", "grow", "shrink", "spin", "blink", "appear", "disappear", "recolour", "swap", "collide"
]
PAIRED = frozenset({"swap", "collide"})
"""What only two things together can do."""

BLINK = 1 / 8
"""How long a thing is gone when it blinks, as a share of the clip: one of eight sampled frames."""


@dataclass(frozen=True)
class Action:
    """Something that happens to a thing between two moments."""

    kind: Kind
    start: float = 0.0
    end: float = 1.0
    direction: str | None = None
    """Of a move; a name of `DIRECTIONS`."""
    distance: float = 0.0
    """Of a move, as a share of the picture's side."""
    factor: float = 1.0
    """Of growing and shrinking: how many times the size it had."""
    turn: float = 0.0
    """Of spinning: radians over the whole action, clockwise."""
    gone: tuple[float, ...] = ()
    """Of blinking: the middle moments of the times it is gone."""
    colour: str | None = None
    """Of recolouring: the new one."""
    partner: int | None = None
    """Of swapping and colliding: which thing of the scene is the other."""
    to: tuple[float, float] = (0.0, 0.0)
    """Of swapping: where it goes; of colliding: where it is when they touch."""


STILL = Action("still")


@dataclass(frozen=True)
class State:
    """How a thing is at one moment."""

    x: float
    y: float
    radius: float
    angle: float
    colour: str
    visible: bool


@dataclass(frozen=True)
class Thing:
    """A coloured shape, as it is when the clip begins, and what happens to it in turn."""

    colour: str
    shape: str
    size: str
    x: float
    y: float
    radius: float
    angle: float
    actions: tuple[Action, ...] = (STILL,)

    @property
    def name(self) -> str:
        """Colour and shape; no two things of a scene share both."""
        return f"{self.colour} {self.shape}"

    def at(self, time: float) -> State:
        """How it is at a moment from 0 to 1."""
        state = State(self.x, self.y, self.radius, self.angle, self.colour, visible=True)
        for action in self.actions:
            state = _after(state, action, time)
        return state


@dataclass(frozen=True)
class Scene:
    """Everything that a clip shows, and nothing of how it is filmed."""

    things: tuple[Thing, ...]
    background: str
    background_later: str | None = None
    """What the background changes to; None: it stays."""
    change_at: float = 0.5
    """When the background changes."""
    staged: bool = False
    """Whether things happen one after the other instead of all over the clip."""

    def background_at(self, time: float) -> str:
        """The background's colour at a moment."""
        return self.background_later if self.background_later and time >= self.change_at else self.background


def _after(state: State, action: Action, time: float) -> State:
    """What an action has made of a state by `time`."""
    done = min(max((time - action.start) / max(action.end - action.start, 1e-9), 0.0), 1.0)
    match action.kind:
        case "move":
            dx, dy = DIRECTIONS[action.direction or "left"]
            way = done * action.distance
            return replace(state, x=state.x + dx * way, y=state.y + dy * way)
        case "grow" | "shrink":
            return replace(state, radius=state.radius * (1 + (action.factor - 1) * done))
        case "spin":
            return replace(state, angle=state.angle + action.turn * done)
        case "blink":
            gone = any(abs(time - middle) < BLINK / 2 for middle in action.gone)
            return replace(state, visible=state.visible and not gone)
        case "appear":
            return replace(state, visible=time >= action.start)
        case "disappear":
            return replace(state, visible=state.visible and time < action.end)
        case "recolour":
            return replace(state, colour=action.colour or state.colour) if done > 0 else state
        case "swap":
            return _around(state, action.to, done)
        case "collide":
            nearness = 1 - abs(2 * done - 1)
            x, y = action.to
            return replace(state, x=state.x + (x - state.x) * nearness, y=state.y + (y - state.y) * nearness)
    return state


def _around(state: State, to: tuple[float, float], done: float) -> State:
    """A place on the half circle from where the thing stands to `to`: two that swap pass by each other."""
    middle_x, middle_y = (state.x + to[0]) / 2, (state.y + to[1]) / 2
    dx, dy = state.x - middle_x, state.y - middle_y
    cos, sin = math.cos(math.pi * done), math.sin(math.pi * done)
    # A flattened circle: wide enough to pass, and nearer to a straight line.
    return replace(state, x=middle_x + dx * cos - dy * sin * 0.7, y=middle_y + dy * cos + dx * sin * 0.7)


def moves(thing: Thing) -> bool:
    """Whether a thing ends up elsewhere or bounces: it changes its place at some time."""
    return any(action.kind in {"move", "swap", "collide"} for action in thing.actions)
