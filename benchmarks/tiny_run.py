"""Ask a checkpoint about held-out clips: under which settings, and by how many processes.

Clips are written as video files and go through `Captioner` as a user's would: encoded once, then asked
for a caption, open questions and multiple-choice items. A model this small gains nothing from several
threads, so clips are shared out among processes of one thread each.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from random import Random
from typing import TypeVar

from tqdm import tqdm

from benchmarks.tiny_scores import Asked, Said
from pllava_cli import keep_freed
from pllava_cli.engine import Captioner, Decoding, EncodedClip
from pllava_cli.errors import PllavaError
from pllava_cli.model.pooling import PoolingShape
from pllava_cli.multiple_choice import REPLY_START
from pllava_cli.shapes.captions import facts
from pllava_cli.shapes.casting import cast
from pllava_cli.shapes.choices import as_prompt, choose
from pllava_cli.shapes.questions import ask
from pllava_cli.shapes.render import film, write_clip
from pllava_cli.shapes.scene import Scene

HELD_OUT = 70_000_000
"""The first seed; all that `tiny` is trained on comes from smaller ones."""
FOURS = 71_000_000
"""The first seed of the clips with four things."""
MOST_THINGS = 3
"""Of all other clips."""
OPEN = Decoding(max_new_tokens=64)
"""Of open questions: no true answer is half as long."""
LETTER = Decoding(max_new_tokens=2)
"""Of multiple choice: the letter is the first token, and nothing after it counts."""
AT_ONCE = 5
"""Clips handed to a process at a time: few, so that none waits long for the last."""


Result = TypeVar("Result")


@dataclass(frozen=True)
class Clip:
    """A clip of the world of shapes."""

    file: Path
    seed: int
    count: int | None = None
    """How many things were asked for; `None`: as the seed draws it."""

    @property
    def scene(self) -> Scene:
        """What it shows."""
        return cast(self.seed, self.count)


@dataclass(frozen=True)
class Setting:
    """How a checkpoint is loaded and asked; what is `None` or "auto" is left to the tool."""

    model: str
    device: str = "auto"
    dtype: str = "auto"
    quantize: str = "auto"
    encode: str = "auto"
    alpha: float | None = None
    pooling_shape: PoolingShape | None = None
    keep_tokens: float = 1.0
    user: str | None = None
    """What opens a user's turn."""
    system: str | None = None
    max_questions: int = 0
    """Open questions a clip, drawn from those that it can answer."""


@dataclass(frozen=True)
class Loaded:
    """What the tool made of a setting."""

    device: str
    dtype: str
    quantize: str
    alpha: float | None
    pooling_shape: tuple[int, int, int]
    visual_tokens: int
    encode: str = "exact"
    """How clips are put into the model."""


def held_out(folder: Path, count: int) -> list[Clip]:
    """The first `count` held-out clips of up to three things."""
    clips: list[Clip] = []
    seed = HELD_OUT
    while len(clips) < count:
        clip = Clip(folder / f"{seed}.mp4", seed)
        if len(clip.scene.things) <= MOST_THINGS:
            clips.append(clip)
        seed += 1
    return clips


def held_out_fours(folder: Path, count: int) -> list[Clip]:
    """The first `count` held-out clips of four things."""
    return [Clip(folder / f"{seed}.mp4", seed, 4) for seed in range(FOURS, FOURS + count)]


class Workers:
    """Processes that write clips and ask about them."""

    def __init__(self, pool: Executor) -> None:
        self._pool = pool

    def write(self, clips: Sequence[Clip]) -> None:
        """Write the clips' files."""
        if clips:
            _shared_out(self._pool, _write, clips, "clips written", lambda _: None)

    def probe(self, setting: Setting, clip: Clip) -> Loaded:
        """Load a checkpoint and let it say something.

        Raises:
            PllavaError: It cannot be done on this machine.
        """
        return self._pool.submit(_probe, setting, clip).result()

    def ask(self, setting: Setting, clips: Sequence[Clip], label: str) -> list[Said]:
        """What is said about all clips, in no order."""
        said: list[Said] = []
        _shared_out(self._pool, _Ask(setting), clips, label, said.extend)
        return said


@contextmanager
def workers(jobs: int) -> Iterator[Workers]:
    """Start processes, and end them when the block is left, however it is left."""
    os.environ["OMP_NUM_THREADS"] = "1"  # read by torch when the processes import it
    # Forked processes would inherit torch's threads in an unknown state.
    pool = ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=_start)
    try:
        yield Workers(pool)
    finally:
        pool.shutdown(cancel_futures=True)


def _shared_out(
    pool: Executor,
    work: Callable[[Sequence[Clip]], Result],
    clips: Sequence[Clip],
    label: str,
    take: Callable[[Result], object],
) -> None:
    parts = [clips[start : start + AT_ONCE] for start in range(0, len(clips), AT_ONCE)]
    futures: dict[Future[Result], int] = {pool.submit(work, part): len(part) for part in parts}
    with tqdm(total=len(clips), desc=label, unit="clip") as bar:
        for future in as_completed(futures):
            take(future.result())
            bar.update(futures[future])


def _start() -> None:
    import warnings

    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that shares the work out
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)


def _write(clips: Sequence[Clip]) -> None:
    for clip in clips:
        write_clip(clip.file, clip.scene, film(clip.seed))


@lru_cache(maxsize=1)
def _open(setting: Setting) -> Captioner:
    captioner = Captioner(
        setting.model,
        device=setting.device,
        dtype=setting.dtype,
        quantize=setting.quantize,
        encode=setting.encode,
        alpha=setting.alpha,
        pooling_shape=setting.pooling_shape,
        keep_tokens=setting.keep_tokens,
        system=setting.system,
    )
    keep_freed()  # as `pllava` does
    if setting.user is not None:
        captioner.template = replace(captioner.template, user=setting.user)
    return captioner


def _probe(setting: Setting, clip: Clip) -> Loaded:
    try:
        captioner = _open(setting)
        encoded = captioner.encode(clip.file)
        captioner.answer(encoded, decoding=Decoding(max_new_tokens=2))
    except (RuntimeError, NotImplementedError) as error:  # an operation that a precision or device lacks
        raise PllavaError(" ".join(str(error).split()) or type(error).__name__) from error
    plan, shape = captioner.plan, captioner.pooling_shape
    tokens = encoded.visual_tokens
    return Loaded(plan.device, plan.dtype, plan.quantize, captioner.alpha, shape, tokens, plan.encode)


@dataclass(frozen=True)
class _Ask:
    """Ask about clips under a setting, in a worker."""

    setting: Setting

    def __call__(self, clips: Sequence[Clip]) -> list[Said]:
        captioner = _open(self.setting)
        return [ask_about(captioner, clip, self.setting.max_questions) for clip in clips]


def ask_about(captioner: Captioner, clip: Clip, max_questions: int) -> Said:
    """Encode a clip once; ask for its caption, some open questions and all multiple-choice items."""
    began, scene, rng = time.perf_counter(), clip.scene, Random(f"ask {clip.seed}")
    encoded = captioner.encode(clip.file)
    caption = captioner.answer(encoded)
    possible = ask(scene, rng)
    questions = tuple(
        Asked(each.kind, each.question, each.answer, _say(captioner, encoded, each.question, OPEN))
        for each in rng.sample(possible, min(max_questions, len(possible)))
    )
    items = tuple(
        Asked(
            each.task,
            each.question,
            each.answer,
            _say(captioner, encoded, as_prompt(each), LETTER, REPLY_START),
            each.candidates,
        )
        for each in choose(scene, Random(f"choose {clip.seed}"))
    )
    return Said(
        seed=clip.seed,
        truth=facts(scene),
        caption=caption.text,
        tokens=caption.new_tokens,
        stopped=caption.stopped,
        elapsed_s=time.perf_counter() - began,
        questions=questions,
        items=items,
    )


def _say(
    captioner: Captioner, encoded: EncodedClip, question: str, decoding: Decoding, start: str = ""
) -> str:
    return captioner.answer(encoded, question, decoding=decoding, answer_start=start).text
