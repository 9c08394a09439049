"""Frames of a clip, sampled as the published checkpoints expect them: exactly n, exactly these.

This is the one door to video for the rest of the package. Decoding happens in a worker process, so that
no clip, however broken, can crash or hang the program that asks.
"""

import atexit
import math
import operator
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from pllava_cli.errors import ClipError, UsageError
from pllava_cli.video.limits import MAX_FRAMES
from pllava_cli.video.probe import check_clip, check_file, shown_name
from pllava_cli.video.process import (
    DAMAGED_HINT,
    DecodeWorker,
    Transform,
    WorkerDiedError,
    WorkerSilentError,
)
from pllava_cli.video.report import DecodeReport as DecodeReport
from pllava_cli.video.sampling import Selection

DEFAULT_TIMEOUT_S = 60.0
"""Seconds without progress after which a decoder counts as hung."""

Answer = TypeVar("Answer")


class Decoder:
    """A decode worker and its successors: replaced after a crash, for one thread at a time.

    `sample_frames` uses one for the whole program; who reads many clips makes several.
    """

    def __init__(self) -> None:
        """Nothing is started yet."""
        self._lock = threading.Lock()
        self._worker: DecodeWorker | None = None

    def sample(
        self,
        path: str | os.PathLike[str],
        n: int,
        start: float | None = None,
        end: float | None = None,
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        transform: Transform | None = None,
    ) -> tuple[NDArray[np.uint8], list[float], DecodeReport]:
        """Sample frames as `sample_frames` does.

        With a `transform`, what it makes of the frames in the worker is returned in their place.
        """
        selection = _checked(n, start, end)
        clip = check_clip(path)
        frames, report = self._ask(
            path, clip, timeout_s, lambda worker: worker.decode(clip, selection, timeout_s, transform)
        )
        return frames, report.timestamps_s, report

    def shots(
        self, path: str | os.PathLike[str], *, timeout_s: float = DEFAULT_TIMEOUT_S
    ) -> list[tuple[float, float]]:
        """Find where a clip cuts from one shot to the next; every picture of it is decoded for that.

        Returns:
            Start and end of each shot, in seconds from the clip's first picture; the whole clip where it
            is one shot, or nothing where how long that is is not known.

        Raises:
            UsageError: There is no such file.
            ClipError: The file is no video that can be decoded, or has no usable times.
            PllavaError: PySceneDetect, the extra `shots`, is not installed.
        """
        clip = check_file(path)
        return self._ask(path, clip, timeout_s, lambda worker: worker.shots(clip, timeout_s))

    def _ask(
        self,
        path: str | os.PathLike[str],
        clip: Path,
        timeout_s: float,
        ask: Callable[[DecodeWorker], Answer],
    ) -> Answer:
        """Ask the worker, and turn its end or silence into errors of the clip.

        Args:
            path: The clip as it was named, and as errors name it.
            clip: The same, absolute.
            timeout_s: Of silence.
            ask: Puts the question.
        """
        name = shown_name(path)
        if not timeout_s > 0:
            raise UsageError(f"a decoder cannot be given {timeout_s} s", "give a timeout above 0")
        with self._lock:
            try:
                return ask(self._running())
            except WorkerDiedError as cause:
                self._discard()
                raise ClipError(f"{name}: the decoder crashed ({cause})", DAMAGED_HINT) from None
            except WorkerSilentError:
                self._discard()
                raise ClipError(
                    f"{name}: the decoder made no progress for {timeout_s:g} s", DAMAGED_HINT
                ) from None
            except ClipError as error:  # by a worker that knows absolute names only
                raise ClipError(error.message.replace(shown_name(clip), name), error.hint) from None
            except BaseException:
                # Interrupted in the middle of a conversation: its rest must not answer the next question.
                self._discard()
                raise

    def start(self) -> None:
        """Start the worker, if it does not run, without waiting for it to be ready."""
        with self._lock:
            self._running()

    def stop(self) -> None:
        """End the worker; the next call starts a new one."""
        with self._lock:
            self._discard()

    def abort(self) -> None:
        """End the worker, even while another thread waits for it: the clip under way fails."""
        worker = self._worker
        if worker is not None:
            worker.kill()

    @property
    def pid(self) -> int | None:
        """Process id of the worker; None while none runs."""
        return None if self._worker is None or not self._worker.is_alive() else self._worker.pid

    def _running(self) -> DecodeWorker:
        if self._worker is None or not self._worker.is_alive():
            self._discard()
            self._worker = DecodeWorker()
        return self._worker

    def _discard(self) -> None:
        if self._worker is not None:
            worker, self._worker = self._worker, None
            worker.stop()


_decoder = Decoder()


def sample_frames(
    path: str | os.PathLike[str],
    n: int,
    start: float | None = None,
    end: float | None = None,
    *,
    timeout_s: float = DEFAULT_TIMEOUT_S,
) -> tuple[NDArray[np.uint8], list[float], DecodeReport]:
    """Sample `n` frames evenly from a clip, or from the segment [start, end] of it.

    Args:
        path: The video file, or a folder of frames (`pllava_cli.video.folder`).
        n: How many frames; a clip or segment with fewer repeats its own.
        start: Start of the segment in seconds from the first picture; None is the first picture.
        end: End of the segment in seconds; None, or a time past the end, is the last picture.
        timeout_s: Give the clip up after so many seconds in which the decoder made no progress.

    Returns:
        frames: Uint8 RGB `[n, H, W, 3]`, upright, at the clip's own size.
        timestamps_s: When each frame is shown, in seconds from the clip's first picture.
        report: What was found out about the clip on the way.

    Raises:
        UsageError: There is no such file, or `n`, `start` or `end` cannot be meant.
        ClipError: The file is no video that can be decoded, or the segment lies outside it.
    """
    return _decoder.sample(path, n, start, end, timeout_s=timeout_s)


def start_decoder() -> None:
    """Start the decode worker, if it does not run, without waiting for it to be ready."""
    _decoder.start()


def stop_decoder() -> None:
    """End the decode worker; the next call starts a new one."""
    _decoder.stop()


def decoder_pid() -> int | None:
    """Process id of the decode worker, for accounting; None while none runs."""
    return _decoder.pid


def _checked(n: int, start: float | None, end: float | None) -> Selection:
    try:  # numpy's numbers are as good as Python's
        n = operator.index(n)
        start, end = (None if time is None else float(time) for time in (start, end))
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"frames are counted in whole numbers and times in seconds: {error}",
            "give n as an int, start and end as floats",
        ) from None
    if not 1 <= n <= MAX_FRAMES:
        raise UsageError(
            f"the number of frames must be from 1 to {MAX_FRAMES}, not {n}", "choose another number of frames"
        )
    for name, value in (("start", start), ("end", end)):
        if value is not None and not (math.isfinite(value) and value >= 0):
            raise UsageError(
                f"the {name} of a segment must be a time of at least 0 s, not {value:g}",
                "count times from the beginning of the clip",
            )
    if end is not None and (start or 0.0) >= end:
        raise UsageError(
            f"the segment's start ({start or 0:g} s) must lie before its end ({end:g} s)",
            "choose an earlier start or a later end",
        )
    return Selection(n, start, end)


def _forget_worker() -> None:
    """After a fork: the worker is the parent's, and its lock may be held by a thread that is not here."""
    global _decoder
    _decoder = Decoder()


atexit.register(stop_decoder)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_worker)
