"""Pictures of a scene, and the video file they make.

How a clip is filmed (its size, rate, grain and compression) is drawn from its seed too, apart from
the scene, so that nothing of it tells what happens.
"""

import math
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random

import cv2
import numpy as np
from numpy.typing import NDArray

from pllava_cli.errors import UsageError
from pllava_cli.shapes.scene import Scene, State

Picture = NDArray[np.uint8]
"""[side, side, 3], RGB."""

COLOURS_RGB = {
    "red": (220, 30, 35),
    "green": (40, 170, 60),
    "blue": (45, 90, 240),
    "yellow": (245, 220, 40),
    "purple": (140, 50, 180),
    "orange": (250, 135, 25),
    "cyan": (50, 215, 225),
    "pink": (250, 140, 190),
}
BACKGROUNDS_RGB = {
    "black": (8, 8, 8),
    "gray": (125, 125, 125),
    "white": (244, 244, 244),
    "navy": (22, 28, 78),
}

FEWEST = 17
"""Pictures of the shortest clip: with fewer, eight frames sampled evenly may miss a blink."""
PROBE_BYTES = 1 << 20
"""More than a clip has: what is written to learn from the system why one could not be."""
FINE = 3
"""Things are drawn this many times larger and shrunk, for smooth edges."""


@dataclass(frozen=True)
class Film:
    """How a scene is filmed."""

    side: int
    """Width and height, pixels."""
    fps: int
    frames: int
    grain: float
    """Standard deviation of the noise, of 255."""
    jpeg: int
    """Quality from 1 to 100 that each frame has before the video is encoded: how hard it was compressed."""
    shade: float
    """How much lighter the background gets from one side to the other, of 255."""
    tint: int
    """Seed of small differences between the colours of one clip and another."""


def film(seed: int) -> Film:
    """Draw how a clip is filmed; the same seed gives the same."""
    rng = Random(f"film {seed}")
    fps = rng.choice((6, 8, 10, 12))
    return Film(
        side=rng.choice((112, 128, 144, 160)),
        fps=fps,
        frames=max(FEWEST, round(fps * rng.uniform(1.6, 3.0))),
        grain=rng.choice((0.0, 2.0, 5.0, 9.0)),
        jpeg=rng.choice((55, 70, 85, 95)),
        shade=rng.uniform(-22, 22),
        tint=rng.randrange(1 << 30),
    )


def draw(scene: Scene, how: Film, time: float) -> Picture:
    """The picture of a scene at a moment from 0 to 1, [side, side, 3] RGB, without grain."""
    side = how.side
    light = np.linspace(-how.shade / 2, how.shade / 2, side, dtype=np.float32)[None, :, None]
    base = np.array(_tinted(BACKGROUNDS_RGB[scene.background_at(time)], how.tint), np.float32)
    picture = np.broadcast_to(np.clip(base + light, 0, 255), (side, side, 3)).astype(np.uint8)
    for thing in scene.things:
        state = thing.at(time)
        if state.visible:
            _paint(picture, thing.shape, state, _tinted(COLOURS_RGB[state.colour], how.tint))
    return picture


def frames(scene: Scene, how: Film) -> Iterator[Picture]:
    """All pictures of a clip in order, with grain and traces of compression."""
    noise = np.random.Generator(np.random.PCG64(how.tint))
    last = max(how.frames - 1, 1)
    for index in range(how.frames):
        yield worn(draw(scene, how, index / last), how, noise)


def worn(picture: Picture, how: Film, noise: np.random.Generator) -> Picture:
    """A picture with the film's grain, compressed as hard as the film was."""
    if how.grain:
        # In place: most of the time that a clip takes goes into its grain.
        rough = noise.standard_normal(picture.shape, np.float32)
        rough *= np.float32(how.grain)
        rough += picture
        picture = np.clip(rough, 0, 255, out=rough).astype(np.uint8)
    _, coded = cv2.imencode(".jpg", _bgr(picture), (cv2.IMWRITE_JPEG_QUALITY, how.jpeg))
    return _bgr(np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8))


def write_clip(path: Path, scene: Scene, how: Film) -> None:
    """Write a clip as MPEG-4 video in an MP4 file.

    Raises:
        UsageError: The file cannot be written, as on a full disk.
    """
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), how.fps, (how.side, how.side))
    if not writer.isOpened():
        raise _refusal(path)
    try:
        for picture in frames(scene, how):
            writer.write(_bgr(picture))
    finally:
        writer.release()
    if not _is_whole(path):  # OpenCV does not say that the disk is full
        raise _refusal(path)


def _refusal(path: Path) -> UsageError:
    """Remove what there is of a file and say why it cannot be written: the system knows, OpenCV does not."""
    reason = "OpenCV does not say why"
    try:
        with path.open("wb") as file:
            file.write(bytes(PROBE_BYTES))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        reason = error.strerror or str(error)
    with suppress(OSError):
        path.unlink()
    return UsageError(
        f"cannot write {path}: {reason}",
        "free some space and give the same command again, or choose another folder",
    )


def _is_whole(path: Path) -> bool:
    """Whether the boxes of an MP4 file fill it, and its index, which is written last, is among them."""
    data = path.read_bytes() if path.exists() else b""
    at, kind = 0, b""
    while at + 8 <= len(data):
        size, kind = int.from_bytes(data[at : at + 4]), data[at + 4 : at + 8]
        if size < 8:
            return False
        at += size
    return at == len(data) and kind == b"moov"


def _bgr(picture: Picture) -> Picture:
    """Turn RGB into OpenCV's order of channels, or back."""
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), np.uint8)


def _tinted(rgb: tuple[int, int, int], seed: int) -> tuple[int, int, int]:
    """A colour as it is in one clip: a little off its standard, always the same way."""
    rng = Random(f"tint {seed} {rgb}")
    light = rng.uniform(-14, 14)
    red, green, blue = (min(max(round(level + light + rng.uniform(-9, 9)), 0), 255) for level in rgb)
    return red, green, blue


def _paint(picture: Picture, shape: str, state: State, rgb: tuple[int, int, int]) -> None:
    """Paint a thing over a picture, in place, with smooth edges."""
    side = picture.shape[0]
    reach = state.radius * side * 1.25 + 2
    left, top = (max(int(place * side - reach), 0) for place in (state.x, state.y))
    right, bottom = (min(int(place * side + reach) + 1, side) for place in (state.x, state.y))
    if right <= left or bottom <= top:
        return
    mask = np.zeros(((bottom - top) * FINE, (right - left) * FINE), np.uint8)
    centre = np.array([state.x * side - left, state.y * side - top]) * FINE
    _fill(mask, shape, centre, state.radius * side * FINE, state.angle)
    cover = cv2.resize(mask, (right - left, bottom - top), interpolation=cv2.INTER_AREA)
    share = cover[..., None] / np.float32(255)
    patch = picture[top:bottom, left:right]
    patch[:] = (patch * (1 - share) + np.array(rgb, np.float32) * share + 0.5).astype(np.uint8)


def _fill(
    mask: NDArray[np.uint8], shape: str, centre: NDArray[np.float64], radius: float, angle: float
) -> None:
    if shape in {"circle", "ring"}:
        middle = (round(float(centre[0])), round(float(centre[1])))
        cv2.circle(mask, middle, round(radius), 255, -1)
        if shape == "ring":
            cv2.circle(mask, middle, round(radius * 0.55), 0, -1)
        return
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    corners = np.array(OUTLINES[shape]) @ turn.T * radius + centre
    cv2.fillPoly(mask, [np.round(corners * 16).astype(np.int32)], 255, lineType=cv2.LINE_AA, shift=4)


def _star(points: int, inner: float) -> list[tuple[float, float]]:
    """Corners of a star within a circle of radius 1, its first point upwards."""
    corners = []
    for index in range(2 * points):
        reach, angle = (1.0 if index % 2 == 0 else inner), math.pi * index / points
        corners.append((math.sin(angle) * reach, -math.cos(angle) * reach))
    return corners


def _cross(arm: float) -> list[tuple[float, float]]:
    """Corners of an upright cross whose arms are as long as 1 and twice `arm` wide."""
    quarter = [(arm, -1.0), (arm, -arm), (1.0, -arm)]
    corners = []
    for _ in range(4):
        corners += quarter
        quarter = [(-y, x) for x, y in quarter]
    return corners


OUTLINES = {
    "square": [(-0.8, -0.8), (0.8, -0.8), (0.8, 0.8), (-0.8, 0.8)],
    "triangle": _star(3, 0.5)[::2],
    "star": _star(5, 0.42),
    "cross": _cross(0.3),
}
"""Corners of the shapes of radius 1 around (0, 0)."""
