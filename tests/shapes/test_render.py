"""Rendering: the video file shows what the scene says, and says nothing of it otherwise."""

import hashlib
import math
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import count, islice, pairwise
from pathlib import Path

import numpy as np
import pytest

from pllava_cli.errors import UsageError
from pllava_cli.shapes.casting import cast
from pllava_cli.shapes.render import (
    BACKGROUNDS_RGB,
    COLOURS_RGB,
    FEWEST,
    Film,
    Picture,
    draw,
    film,
    frames,
    write_clip,
)
from pllava_cli.shapes.scene import SHAPES, Action, Scene, State, Thing
from pllava_cli.video import reader

ROOT = Path(__file__).parents[2]
CLEAN = Film(side=128, fps=8, frames=17, grain=0.0, jpeg=95, shade=0.0, tint=1)
PAINTS = COLOURS_RGB | BACKGROUNDS_RGB
FAR_OFF = 60.0
"""More than tint, compression and half-sized chroma together put a colour off, of 255 a channel."""


def level(picture: Picture, x: float, y: float) -> np.ndarray:
    """Mean colour of the nine pixels around a place."""
    side = picture.shape[0]
    column, row = round(x * side - 0.5), round(y * side - 0.5)
    return picture[row - 1 : row + 2, column - 1 : column + 2].reshape(-1, 3).mean(0)


def nearest(rgb: np.ndarray, known: dict[str, tuple[int, int, int]]) -> str:
    return min(known, key=lambda name: math.dist(rgb, known[name]))


def body(shape: str, state: State) -> tuple[float, float]:
    """A place that the thing covers: its middle, or for a ring the middle of its band."""
    return (state.x + 0.775 * state.radius * (shape == "ring"), state.y)


def covered(states: list[State], index: int) -> bool:
    """Whether something painted later comes near a thing."""
    one = states[index]
    return any(
        math.dist((one.x, one.y), (other.x, other.y)) < one.radius + other.radius
        for other in states[index + 1 :]
        if other.visible
    )


@pytest.mark.parametrize("seed", range(12))
def test_decoded_clips_show_the_colours_of_the_scene(seed: int, tmp_path: Path) -> None:
    scene, how = cast(seed), replace(film(seed), shade=0.0) if seed % 2 else CLEAN
    write_clip(tmp_path / "clip.mp4", scene, how)
    pictures, _, report = reader.sample_frames(tmp_path / "clip.mp4", how.frames)
    assert (report.frames_decoded, report.fps) == (how.frames, how.fps)
    assert pictures.shape == (how.frames, how.side, how.side, 3)
    for index, picture in zip(report.indices, pictures, strict=True):
        moment = index / (how.frames - 1)
        ground = scene.background_at(moment)
        assert nearest(level(picture, 0.012, 0.012), BACKGROUNDS_RGB) == ground
        states = [thing.at(moment) for thing in scene.things]
        for number, (thing, state) in enumerate(zip(scene.things, states, strict=True)):
            if covered(states, number):
                continue
            seen = level(picture, *body(thing.shape, state))
            shown = state.colour if state.visible else ground
            assert math.dist(seen, PAINTS[shown]) < FAR_OFF, (thing.name, moment, state.visible)
            if how is CLEAN:
                assert nearest(seen, PAINTS) == shown


def lone_blinks() -> Iterator[tuple[int, Scene, Thing, Action]]:
    """Things that only blink, before one and the same background."""
    for seed in count():
        scene = cast(seed)
        for thing in scene.things:
            (action, *more) = thing.actions
            if action.kind == "blink" and not more and not scene.background_later:
                yield seed, scene, thing, action


def test_a_blink_is_seen_among_eight_frames(tmp_path: Path) -> None:
    """Each time that a thing is gone, one of eight sampled frames shows it gone, and the next one there."""
    for seed, scene, thing, action in islice(lone_blinks(), 10):
        write_clip(tmp_path / f"{seed}.mp4", scene, film(seed))
        pictures, _, _ = reader.sample_frames(tmp_path / f"{seed}.mp4", 8)
        colour, ground = COLOURS_RGB[thing.colour], BACKGROUNDS_RGB[scene.background]
        seen = [level(picture, *body(thing.shape, thing.at(0))) for picture in pictures]
        gone = [math.dist(rgb, ground) < math.dist(rgb, colour) for rgb in seen]
        times = sum(here and not before for before, here in pairwise([False, *gone]))
        assert times == len(action.gone), (seed, thing.name, gone)


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_have_their_outline(shape: str) -> None:
    scene = Scene((Thing("yellow", shape, "large", 0.5, 0.5, 0.3, 0.0),), "black")
    picture = draw(scene, replace(CLEAN, side=200), 0.0)[..., 0]
    share = (picture > 128).mean() / 0.3**2
    area = {
        "circle": math.pi,
        "ring": math.pi * (1 - 0.55**2),
        "square": 1.6**2,
        "triangle": 3 * math.sqrt(3) / 4,
        "star": 10 * 0.5 * 0.42 * math.sin(math.pi / 5),
        "cross": 4 * (0.6 * 0.7) + 0.6**2,
    }[shape]
    assert share == pytest.approx(area, rel=0.03)
    rows, columns = np.nonzero(picture > 128)
    assert columns.mean() == pytest.approx(99.5, abs=0.6)
    assert rows.max() - rows.min() <= 2 * 0.3 * 200 + 1


def test_a_clip_is_the_same_byte_for_byte_in_every_process(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; import cv2; cv2.setNumThreads(int(sys.argv[2]));"
        "from pllava_cli.shapes.casting import cast; from pllava_cli.shapes.render import film, write_clip;"
        "write_clip(Path(sys.argv[1]), cast(5), film(5))"
    )
    write_clip(tmp_path / "here.mp4", cast(5), film(5))
    digests = {hashlib.sha256((tmp_path / "here.mp4").read_bytes()).hexdigest()}
    for threads in ("1", "3"):
        path = tmp_path / f"{threads}.mp4"
        subprocess.run([sys.executable, "-c", script, path, threads], cwd=ROOT, check=True)
        digests.add(hashlib.sha256(path.read_bytes()).hexdigest())
    assert len(digests) == 1


def test_films_differ_and_are_repeatable() -> None:
    films = [film(seed) for seed in range(200)]
    assert films == [film(seed) for seed in range(200)]
    for name in ("side", "fps", "frames", "grain", "jpeg"):
        assert len({getattr(each, name) for each in films}) >= 4
    assert all(each.frames >= FEWEST for each in films)


def test_grain_changes_pictures_and_nothing_else() -> None:
    scene = cast(1)
    plain, grainy = (next(frames(scene, replace(CLEAN, grain=grain))) for grain in (0.0, 9.0))
    difference = grainy.astype(int) - plain
    assert 3.0 < difference.std() < 12.0 and abs(difference.mean()) < 1.0


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot write .*No such file"):
        write_clip(tmp_path / "none" / "clip.mp4", cast(1), CLEAN)


def test_a_disk_that_fills_up_leaves_no_half_clip(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    write_clip(path, cast(1), CLEAN)
    size = path.stat().st_size
    path.unlink()
    script = (
        "import resource, sys; from tests.shapes.test_render import *\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)\n"
        "try: write_clip(Path(sys.argv[1]), cast(1), CLEAN)\n"
        "except UsageError as error: print(error.message)\n"
    )
    for limit in (size - 1, size // 2, 10):
        done = subprocess.run(
            [sys.executable, "-c", script, path, str(limit)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout == f"cannot write {path}: File too large\n" and not path.exists()
