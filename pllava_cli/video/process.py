"""The decode worker as seen from outside: start it, ask it, replace it when it crashes or hangs.

One worker serves this process, over all calls and threads, one clip at a time: starting it costs more
than decoding a short clip. It is started as a plain subprocess, so a script that calls us needs no
`if __name__ == "__main__"`, and in a session of its own, so Ctrl-C reaches only the caller.
"""

import base64
import contextlib
import json
import os
import pickle
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pllava_cli.errors import ClipError, PllavaError
from pllava_cli.signals import cause_of_death, take
from pllava_cli.video.handover import map_frames
from pllava_cli.video.limits import MAX_DECODER_BYTES
from pllava_cli.video.probe import shown_name
from pllava_cli.video.report import DecodeReport
from pllava_cli.video.sampling import Selection

START_TIMEOUT_S = 60.0
"""Importing OpenCV takes 0.2 s from a warm disk, many seconds from a cold one over a network."""
BOOT = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from pllava_cli.video.worker import main; main()"
)
"""The worker imports exactly what this process would, wherever the package was found."""
SETUP_HINTS = {
    "OpenCV": "install opencv-python again, or opencv-python-headless on a machine without a display",
    "PySceneDetect": "pip install 'pllava[shots]'",
}
DAMAGED_HINT = "the file may be damaged; convert it: ffmpeg -i CLIP converted.mp4"

Transform = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]
"""What is done to frames in the worker, so that only its result is handed over; must be one that pickles."""


class WorkerDiedError(Exception):
    """The worker ended by itself; the text says how."""


class WorkerSilentError(Exception):
    """Nothing was heard from the worker for too long."""


class DecodeWorker:
    """One worker process and the conversation with it; for one thread at a time."""

    def __init__(self) -> None:
        """Start the process; it gets ready while the caller goes on."""
        private = ("OPENCV_FFMPEG_", "OPENCV_VIDEOIO_")
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", BOOT, json.dumps(sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={name: value for name, value in os.environ.items() if not name.startswith(private)},
            start_new_session=True,
        )
        self._answers: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._listener = threading.Thread(target=self._listen, daemon=True, name="pllava-decoder")
        self._listener.start()
        self._ready = False
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    @property
    def pid(self) -> int:
        """Process id of the worker."""
        return self._process.pid

    def is_alive(self) -> bool:
        """Tell whether the process still runs."""
        return self._process.poll() is None

    def kill(self) -> None:
        """End the process now, from any thread; the one that waits for an answer hears of it."""
        self._process.kill()

    def stop(self) -> None:
        """End the process now, and let go of all that belongs to it."""
        self.kill()
        self._process.wait()
        self._listener.join()
        with contextlib.suppress(OSError):
            if self._process.stdin is not None:
                self._process.stdin.close()
            if self._folder is not None:
                self._folder.cleanup()

    def decode(
        self, clip: Path, selection: Selection, timeout_s: float, transform: Transform | None = None
    ) -> tuple[NDArray[np.uint8], DecodeReport]:
        """Have the worker read the frames of a clip, and make of them what `transform` says.

        Raises:
            ClipError: The clip cannot be decoded.
            PllavaError: The worker cannot load OpenCV.
            WorkerDiedError: The process ended meanwhile.
            WorkerSilentError: Nothing was heard for `timeout_s`.
        """
        request = {"task": "frames", "selection": vars(selection), "folder": self._frames_folder()}
        if transform is not None:
            request["transform"] = base64.b64encode(pickle.dumps(transform)).decode()
        answer = self._ask(clip, request, timeout_s)
        with Path(answer["frames"]).open("r+b") as file:
            frames = map_frames(file.fileno(), answer["shape"])
        self._say({"mapped": True})
        report = answer["report"]
        report["warnings"] = tuple(report["warnings"])
        return frames, DecodeReport(**report)

    def shots(self, clip: Path, timeout_s: float) -> list[tuple[float, float]]:
        """Have the worker find the shots of a clip; raises as `decode`, and if it lacks PySceneDetect."""
        found = self._ask(clip, {"task": "shots"}, timeout_s)["shots"]
        return [(start_s, end_s) for start_s, end_s in found]

    def _ask(self, clip: Path, request: dict[str, Any], timeout_s: float) -> dict[str, Any]:
        """Send a request and return its answer; each sign of progress renews the time that it may take."""
        starts_s = max(START_TIMEOUT_S, timeout_s)
        if not self._ready:
            started = self._hear(starts_s)
            if "error" in started:
                raise _error(started["error"], shown_name(clip))
            self._ready = True
        self._say({"clip": str(clip), **request})
        answer = self._hear(starts_s if request["task"] == "shots" else timeout_s)
        while "progress" in answer:
            answer = self._hear(timeout_s)
        if "error" in answer:
            raise _error(answer["error"], shown_name(clip))
        return answer

    def _say(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()
        except OSError:
            raise WorkerDiedError(cause_of_death(self._process.wait())) from None

    def _hear(self, timeout_s: float) -> dict[str, Any]:
        try:
            answer = take(self._answers, timeout_s)
        except queue.Empty:
            raise WorkerSilentError from None
        if answer is None:
            raise WorkerDiedError(cause_of_death(self._process.wait()))
        return answer

    def _listen(self) -> None:
        """Queue the worker's answers, and None at their end. Runs in a thread of its own."""
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self._answers.put(json.loads(line))
        self._answers.put(None)

    def _frames_folder(self) -> str | None:
        """Where the worker is to leave frames: None for memory files, where this process may open them."""
        if self._folder is None:
            try:
                os.readlink(f"/proc/{self.pid}/fd/0")  # noqa: PTH115  (a test of permission, not a path)
                if hasattr(os, "memfd_create"):
                    return None
            except OSError:
                pass  # no Linux, or a container that forbids it
            self._folder = tempfile.TemporaryDirectory(prefix="pllava-frames-", ignore_cleanup_errors=True)
        return self._folder.name


def _error(error: dict[str, str], name: str) -> Exception:
    """Turn the worker's error answer into an exception."""
    kind = error["kind"]
    if kind == "clip":
        return ClipError(error["message"], error["hint"])
    if kind == "memory":
        limit = f"{MAX_DECODER_BYTES / (1 << 30):.0f} GiB"
        return ClipError(f"{name}: decoding it takes more than {limit} of memory", DAMAGED_HINT)
    if kind == "setup":
        return PllavaError(
            f"{error['library']} cannot be loaded: {error['text']}", SETUP_HINTS[error["library"]]
        )
    return RuntimeError(f"the decode worker failed on {name}:\n{error['text']}")
