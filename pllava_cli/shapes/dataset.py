"""A data set of clips with captions, questions and MVBench's sub-tasks, in a folder.

A clip is there whole or not at all, and the files that list clips appear once every clip is there; so
what an interruption leaves is valid, and the same call goes on with it. `dataset.json` says what the
folder is made from; the files of two folders that say the same are the same byte for byte. The folder
itself is locked while it is filled: that leaves no file behind, not even after a kill.
"""

import json
import os
import shutil
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, closing
from dataclasses import asdict
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import TextIO

import cv2

from pllava_cli import __version__
from pllava_cli.errors import PllavaError, UsageError
from pllava_cli.locks import held
from pllava_cli.shapes.render import write_clip
from pllava_cli.shapes.samples import SCENES, Lines, Recipe, lines, sample
from pllava_cli.signals import interrupts_held_back

RECIPE = "dataset.json"
UNFINISHED = ".unfinished"
"""Where files are written before they are moved to their place."""
CHUNK = 4
"""Clips that a process makes at a time: few, that an interruption need not wait for long."""

Counts = dict[str, int]
"""How much was written, by file."""


def make(folder: Path, recipe: Recipe, jobs: int, report: Callable[[int], None]) -> Counts:
    """Make a data set, or the rest of one that was interrupted.

    Args:
        folder: Where; it is made if it is not there.
        recipe: What.
        jobs: Processes to make clips in; 1: this one.
        report: Told how many clips are done.

    Raises:
        UsageError: If the folder holds anything else or cannot be made, another process fills it, or a
            file cannot be written, as on a full disk.
        PllavaError: If a process that makes clips was ended from outside.
    """
    folder = Path(os.path.abspath(folder))  # noqa: PTH100 (a relative name might pass for a URL with FFmpeg)
    _make_folder(folder)
    busy = UsageError(
        f"another process is making a data set in {folder}", "wait for it, or choose another folder"
    )
    try:
        with held(folder, busy, follow_symlinks=True):
            _prepare(folder, recipe)
            try:
                return _fill(folder, recipe, jobs, report)
            finally:
                shutil.rmtree(folder / UNFINISHED, ignore_errors=True)
    except OSError as error:
        raise UsageError(
            f"cannot write into {folder}: {error.strerror or error}",
            "free some space and give the same command again, or choose another folder",
        ) from None
    except BrokenProcessPool:
        raise PllavaError(
            "a process that makes clips was ended from outside",
            "make them with --jobs 1; what is done is kept",
        ) from None


def _make_folder(folder: Path) -> None:
    try:
        str(folder).encode()
    except UnicodeEncodeError:
        raise UsageError(f"the name of {folder} is not UTF-8", "OpenCV needs one that is") from None
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = "it is a file" if isinstance(error, FileExistsError) else error.strerror
        raise UsageError(f"cannot make the folder {folder}: {reason}", "choose another") from None


def _prepare(folder: Path, recipe: Recipe) -> None:
    """See that the folder is empty, or holds the beginning of the same data set."""
    described = json.dumps({"made_by": f"pllava {__version__} shapes make", **asdict(recipe)}) + "\n"
    if {each.name for each in folder.iterdir()} <= {UNFINISHED}:
        # Written whole or not at all: nothing else tells that what is there is ours.
        (folder / UNFINISHED).mkdir(exist_ok=True)
        (folder / UNFINISHED / RECIPE).write_text(described, encoding="utf-8")
        (folder / UNFINISHED / RECIPE).replace(folder / RECIPE)
    elif _recipe_in(folder) != described:
        raise UsageError(f"{folder} is not empty", "choose a folder that is empty or not there yet")
    elif (folder / SCENES).exists():
        raise UsageError(f"{folder} already holds this very data set", "choose another folder, or remove it")
    for part in ("clips", "mvbench/json", UNFINISHED):
        (folder / part).mkdir(parents=True, exist_ok=True)


def _recipe_in(folder: Path) -> str:
    try:
        return (folder / RECIPE).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""


def _fill(folder: Path, recipe: Recipe, jobs: int, report: Callable[[int], None]) -> Counts:
    counts: Counts = {}
    with ExitStack() as stack:
        files: dict[str, TextIO] = {}
        made = stack.enter_context(closing(_made(folder, recipe, jobs)))
        for done, written in enumerate(made, 1):
            for name, values in written.items():
                if name not in files:
                    path = folder / UNFINISHED / Path(name).name
                    files[name] = stack.enter_context(path.open("w", encoding="utf-8", newline="\n"))
                for value in values:
                    counts[name] = counts.get(name, 0) + 1
                    files[name].write(_entry(name, value, is_first=counts[name] == 1))
            report(done)
        for name, file in files.items():
            file.write("\n]\n" if name.endswith(".json") else "")
    # The scenes come last: with them the data set is complete.
    for name in sorted(files, key=lambda name: name == SCENES):
        (folder / UNFINISHED / Path(name).name).replace(folder / name)
    return {"clips": recipe.count, **{name: counts[name] for name in sorted(counts)}}


def _entry(name: str, value: str, *, is_first: bool) -> str:
    """A piece of JSON as it stands in a file of lines, or in one that is a list."""
    if name.endswith(".jsonl"):
        return value + "\n"
    return ("[\n" if is_first else ",\n") + value


def _made(folder: Path, recipe: Recipe, jobs: int) -> Generator[Lines, None, None]:
    """Make the clips; yield what is said of each, in order."""
    if jobs == 1:
        yield from (_make_clip(folder, recipe, number) for number in range(1, recipe.count + 1))
        return
    pool = ProcessPoolExecutor(jobs, get_context("spawn"), _settle)
    try:
        pending: deque[Future[list[Lines]]] = deque()
        for first in range(1, recipe.count + 1, CHUNK):
            with interrupts_held_back():  # with the first clips the pool starts its processes
                pending.append(pool.submit(_make_clips, folder, recipe, first))
            if len(pending) > 2 * jobs:
                yield from pending.popleft().result()
        while pending:
            yield from pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _settle() -> None:
    """Prepare a process for making clips."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches it too, but its parent decides
    cv2.setNumThreads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Leave no process behind when the one that started it was killed."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _make_clips(folder: Path, recipe: Recipe, first: int) -> list[Lines]:
    last = min(first + CHUNK - 1, recipe.count)
    return [_make_clip(folder, recipe, number) for number in range(first, last + 1)]


def _make_clip(folder: Path, recipe: Recipe, number: int) -> Lines:
    """Make a clip, unless it is there; return what is said of it."""
    made = sample(recipe, number)
    if not (folder / made.video).exists():
        unfinished = folder / UNFINISHED / f"{made.id}-{os.getpid()}.mp4"
        write_clip(unfinished, made.scene, made.film)
        unfinished.replace(folder / made.video)
    return lines(made)
